"""When a past cycle began."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rules.reset_dates import cycle_start_at, next_reset_after


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


OPENED = _at("2026-01-31T10:00")


@pytest.mark.parametrize(
    ("at", "began"),
    [
        ("2026-05-31T10:00", "2026-04-30T10:00"),
        ("2026-04-30T10:00", "2026-04-30T10:00"),
        ("2026-04-30T09:59", "2026-03-31T10:00"),
        ("2026-03-31T09:59", "2026-02-28T10:00"),
        ("2026-02-28T09:59", "2026-01-31T10:00"),
        ("2026-01-31T10:00", "2026-01-31T10:00"),
        ("2025-12-31T10:00", "2026-01-31T10:00"),
    ],
)
def test_cycles_are_calendar_months_back_to_the_opening(at: str, began: str) -> None:
    found = cycle_start_at(_at(at), cycle_start=_at("2026-04-30T10:00"), anchor_day=31, opened_at=OPENED)
    assert found == _at(began)


@given(months=st.integers(0, 30), day=st.integers(1, 31), minutes=st.integers(0, 60 * 24 * 900))
def test_it_is_the_last_reset_of_those_that_went_forward(months: int, day: int, minutes: int) -> None:
    opened = datetime(2026, 1, day, 7, 30, tzinfo=UTC)
    resets = [opened]
    for _ in range(months):
        resets.append(next_reset_after(resets[-1], day))
    at = opened + timedelta(minutes=minutes)
    found = cycle_start_at(at, cycle_start=resets[-1], anchor_day=day, opened_at=opened)
    assert found == max(each for each in resets if each <= at)


def test_an_account_of_which_no_reset_was_made_has_one_cycle() -> None:
    """The balance says the same: its usage counts from ``cycle_start``, also while a reset is overdue."""
    later = OPENED + timedelta(days=400)
    assert cycle_start_at(later, cycle_start=OPENED, anchor_day=31, opened_at=OPENED) == OPENED
