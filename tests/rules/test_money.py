"""Money and credits are exact rationals, rounded once, in the house's favour."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.rules.limits import MAX_CREDITS_PER_OPERATION
from ledger.rules.money import Price, cents_to_credits, credits_to_cents

SIDES = st.integers(1, 10**6)
PRICES = st.builds(Price, cents=SIDES, credits=SIDES)
AMOUNTS = st.integers(0, MAX_CREDITS_PER_OPERATION)


def test_what_floats_got_wrong() -> None:
    assert credits_to_cents(100, Price(cents=11, credits=10)) == 110  # 100 * 1.1 is 110.00000000000001 in floats
    assert cents_to_credits(7, Price(cents=7, credits=100)) == 100  # 7 / 0.07 is 99.99999999999999 in floats


def test_a_credit_is_a_cent_unless_told() -> None:
    assert Price() == Price(cents=1, credits=1, currency="usd")
    assert credits_to_cents(123, Price()) == cents_to_credits(123, Price()) == 123


@given(AMOUNTS, PRICES)
@example(MAX_CREDITS_PER_OPERATION, Price(cents=999_983, credits=999_979))
def test_credits_are_worth_their_price_rounded_up(credits: int, price: Price) -> None:
    exact = credits * price.cents_per_credit
    cents = credits_to_cents(credits, price)
    assert exact <= cents < exact + 1
    assert isinstance(cents, int)


@given(AMOUNTS, PRICES)
def test_cents_buy_whole_credits_rounded_down(cents: int, price: Price) -> None:
    exact = Fraction(cents) / price.cents_per_credit
    credits = cents_to_credits(cents, price)
    assert exact - 1 < credits <= exact
    assert isinstance(credits, int)


@given(AMOUNTS, PRICES)
def test_there_and_back_never_gains(amount: int, price: Price) -> None:
    assert credits_to_cents(cents_to_credits(amount, price), price) <= amount
    assert cents_to_credits(credits_to_cents(amount, price), price) >= amount


@given(AMOUNTS, AMOUNTS, PRICES)
def test_more_credits_never_cost_less(one: int, other: int, price: Price) -> None:
    fewer, more = sorted((one, other))
    assert credits_to_cents(fewer, price) <= credits_to_cents(more, price)
    assert credits_to_cents(fewer + more, price) <= credits_to_cents(fewer, price) + credits_to_cents(more, price)


@pytest.mark.parametrize(("cents", "credits"), [(0, 1), (1, 0), (-1, 1), (1, -1)])
def test_a_price_is_positive_on_both_sides(cents: int, credits: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        Price(cents=cents, credits=credits)
