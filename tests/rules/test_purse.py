"""Burning keeps running balances: nothing is lost, doubled, repaid by spending, or taken out of its turn."""

from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rules.burning import Burned, OnInsufficient, Purse, SpendableGrant
from ledger.rules.errors import InsufficientCredits
from messages.grants import GrantType

REFUSE, DEBT = OnInsufficient.REFUSE, OnInsufficient.DEBT


def purse(*balances: int, debt: int = 0, debt_cap: int = 0, types: tuple[GrantType, ...] = ()) -> Purse:
    """A purse of grants with these balances, of type free unless told."""
    kinds = types or (GrantType.FREE,) * len(balances)
    grants = [
        SpendableGrant(UUID(int=place), f"g{place}", kind, balance, None, 1, 1, "usd")
        for place, (balance, kind) in enumerate(zip(balances, kinds, strict=True))
    ]
    return Purse(grants, sum(balances), debt, debt_cap)


def drawn(burned: Burned) -> list[tuple[str, int]]:
    """Which grant gave how much."""
    return [(grant.operation_id, credits) for grant, credits in burned.drawn]


def test_overshooting_the_last_grant_books_the_rest_as_debt() -> None:
    spent = purse(10, debt_cap=100)
    burned = spent.burn(100, DEBT)
    assert (drawn(burned), burned.debt_incurred, spent.net) == ([("g0", 10)], 90, -90)


def test_spending_adds_to_the_debt_and_never_repays_it() -> None:
    spent = purse(debt=100, debt_cap=1000)
    spent.burn(150, DEBT)
    spent.burn(100, DEBT)
    assert (spent.debt, spent.net) == (350, -350)


def test_a_debt_goes_up_to_its_cap_and_not_beyond() -> None:
    spent = purse(5, debt=0, debt_cap=10)
    with pytest.raises(InsufficientCredits) as refused:
        spent.burn(16, DEBT)
    assert (refused.value.needed, refused.value.available, refused.value.remaining_balance) == (16, 15, 5)
    assert (spent.remaining, spent.debt) == (5, 0)
    assert spent.burn(15, DEBT).debt_incurred == 10
    with pytest.raises(InsufficientCredits):
        spent.burn(1, DEBT)


def test_who_owes_more_than_a_lowered_cap_has_no_room_left() -> None:
    with pytest.raises(InsufficientCredits) as refused:
        purse(debt=50, debt_cap=10).burn(1, DEBT)
    assert refused.value.available == 0


def test_a_demand_of_all_there_is_leaves_nothing_and_no_debt() -> None:
    spent = purse(3, 4)
    assert drawn(spent.burn(7, REFUSE)) == [("g0", 3), ("g1", 4)]
    assert (spent.remaining, spent.debt) == (0, 0)


def test_what_was_paid_for_is_told_apart() -> None:
    kinds = (GrantType.FREE, GrantType.REFERRAL, GrantType.ADMIN, GrantType.ROLLOVER, GrantType.PURCHASE)
    assert purse(1, 2, 4, 8, 16, types=kinds).burn(31, REFUSE).from_purchased == 24


@dataclass
class Demand:
    """A demand and its policy."""

    credits: int
    policy: OnInsufficient


DEMANDS = st.lists(st.builds(Demand, st.integers(1, 60), st.sampled_from(OnInsufficient)), max_size=12)


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(0, 80), DEMANDS)
def test_every_demand_is_booked_whole_or_not_at_all(balances: list[int], cap: int, demands: list[Demand]) -> None:
    spent = purse(*balances, debt_cap=cap)
    net = sum(balances)
    for demand in demands:
        before = [grant.balance for grant in spent.grants]
        state = (spent.remaining, spent.debt, before)
        available = spent.remaining + (max(0, cap - spent.debt) if demand.policy is DEBT else 0)
        if demand.credits > available:
            with pytest.raises(InsufficientCredits) as refused:
                spent.burn(demand.credits, demand.policy)
            assert refused.value.available == available
            assert (spent.remaining, spent.debt, [grant.balance for grant in spent.grants]) == state
            continue
        burned = spent.burn(demand.credits, demand.policy)
        net -= demand.credits
        assert sum(credits for _, credits in burned.drawn) + burned.debt_incurred == demand.credits
        assert all(credits > 0 for _, credits in burned.drawn)
        assert spent.net == net
        assert spent.remaining == sum(grant.balance for grant in spent.grants)
        assert all(grant.balance >= 0 for grant in spent.grants)
        assert not (spent.debt and spent.remaining)
        assert spent.debt <= cap
        # Nobody pays while somebody before them has something left.
        touched = [place for place, grant in enumerate(spent.grants) if grant.balance != before[place]]
        assert all(spent.grants[place].balance == 0 for place in range(max(touched, default=0)))
