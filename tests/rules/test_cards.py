"""Cards: one can be charged through the end of the month that it bears."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.customers import PaymentMethod

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def card(month: int, year: int) -> PaymentMethod:
    """A card that bears this month."""
    return PaymentMethod(payment_method_id="pm_1", kind="card", last4="4242", expiry_month=month, expiry_year=year)


@pytest.mark.parametrize(
    ("now", "usable"),
    [
        (datetime(2027, 2, 1, tzinfo=UTC), True),
        (datetime(2027, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC), True),
        (datetime(2027, 3, 1, tzinfo=UTC), False),
        (datetime(2026, 12, 31, tzinfo=UTC), True),  # a later month of the year before
        (datetime(2028, 1, 1, tzinfo=UTC), False),  # an earlier month of the year after
    ],
)
def test_a_card_is_good_through_the_end_of_its_month(now: datetime, usable: bool) -> None:
    assert card(2, 2027).is_in_date(now) is usable


@given(MOMENTS, st.integers(1, 12), st.integers(2000, 2100))
def test_a_card_is_good_exactly_before_the_month_after(now: datetime, month: int, year: int) -> None:
    after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    assert card(month, year).is_in_date(now) == (now < after)


def test_what_bears_no_month_never_expires() -> None:
    assert PaymentMethod(payment_method_id="pm_1", kind="link").is_in_date(datetime(2027, 2, 1, tzinfo=UTC))
