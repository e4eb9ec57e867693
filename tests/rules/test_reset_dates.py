"""Reset dates: a calendar month apart, in UTC, on the day that the account began."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ledger.rules.reset_dates import coming_reset, next_reset_after, running_cycle_start

OPENINGS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def test_the_thirty_first_is_kept_through_short_months() -> None:
    date = datetime(2027, 1, 31, 9, 30, tzinfo=UTC)
    days = []
    for _ in range(14):
        date = next_reset_after(date, 31)
        days.append((date.month, date.day))
    assert days == [
        *((2, 28), (3, 31), (4, 30), (5, 31), (6, 30), (7, 31), (8, 31), (9, 30), (10, 31), (11, 30), (12, 31)),
        *((1, 31), (2, 29), (3, 31)),
    ]
    assert (date.year, date.hour, date.minute, date.tzinfo) == (2028, 9, 30, UTC)


@given(OPENINGS)
def test_the_anchor_is_kept_for_years(opened: datetime) -> None:
    date = opened
    for months in range(1, 60):
        date = next_reset_after(date, opened.day)
        year, month = divmod(opened.month - 1 + months, 12)
        assert (date.year, date.month) == (opened.year + year, month + 1)
        assert date.day == min(opened.day, monthrange(date.year, date.month)[1])
        assert date.timetz() == opened.timetz()


@given(OPENINGS, st.integers(0, 4000))
def test_the_coming_reset_is_the_first_after_now(opened: datetime, days: int) -> None:
    first, now = next_reset_after(opened, opened.day), opened + timedelta(days=days)
    coming = coming_reset(first, opened.day, now)
    assert coming > now
    assert coming == first or (coming - timedelta(days=31) <= now and coming.day <= opened.day)


def test_at_the_instant_of_the_reset_the_reset_is_due() -> None:
    reset = datetime(2027, 2, 28, tzinfo=UTC)
    assert coming_reset(reset, 31, reset - timedelta(microseconds=1)) == reset
    assert coming_reset(reset, 31, reset) == datetime(2027, 3, 31, tzinfo=UTC)


@given(OPENINGS, st.integers(0, 4000))
def test_the_running_cycle_ends_with_the_coming_reset(opened: datetime, days: int) -> None:
    first, now = next_reset_after(opened, opened.day), opened + timedelta(days=days)
    began = running_cycle_start(opened, first, opened.day, now)
    assert began <= now < next_reset_after(began, opened.day)
    assert next_reset_after(began, opened.day) == coming_reset(first, opened.day, now)


def test_at_the_instant_of_the_reset_the_next_cycle_runs_done_or_not() -> None:
    began, reset = datetime(2027, 1, 31, tzinfo=UTC), datetime(2027, 2, 28, tzinfo=UTC)
    assert running_cycle_start(began, reset, 31, reset - timedelta(microseconds=1)) == began
    assert running_cycle_start(began, reset, 31, reset) == reset
    # Months later, nobody having done a reset; and a cycle that began on a day of its own.
    assert running_cycle_start(began, reset, 31, datetime(2027, 5, 2, tzinfo=UTC)) == datetime(2027, 4, 30, tzinfo=UTC)
    odd = datetime(2027, 2, 3, tzinfo=UTC)
    assert running_cycle_start(odd, reset, 31, odd + timedelta(days=1)) == odd
