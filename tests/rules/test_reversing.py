"""Reversals: only where it ends counts, nothing is lost or doubled, and no grant ever has more than came."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rules.burning import Purse, SpendableGrant
from ledger.rules.errors import LimitExceeded
from ledger.rules.holding import Hold, Movement, release
from ledger.rules.limits import MAX_CREDITS_PER_ACCOUNT
from ledger.rules.reversing import Cover, credits_frozen, credits_reversed, give_back, in_turn, set_aside, take
from messages.grants import GrantType

NOW = datetime(2027, 1, 31, tzinfo=UTC)
PRINCIPAL, PAID = 700, 999

CENTS = st.integers(0, PAID)
TARGETS = st.tuples(CENTS, CENTS).map(lambda cents: (cents[0], min(cents[1], PAID - cents[0])))
STEPS = st.lists(TARGETS | st.integers(1, 500), max_size=8)


def a_grant(place: int, balance: int, kind: GrantType = GrantType.ADMIN, held: int = 0) -> SpendableGrant:
    return SpendableGrant(UUID(int=place), f"g{place}", kind, balance, None, 1, 1, "usd", held=held)


@dataclass
class Account:
    """An account with a purchase, and what is booked of its payment: as ``ledger/reversing.py`` goes about it."""

    others: list[int] = field(default_factory=list)
    spent: int = 0
    held: int = 0
    revoked: bool = False
    cover: Cover = field(default_factory=lambda: Cover(0, 0))
    reversed_credits: int = 0
    freeze: Hold | None = None
    movements: list[Movement] = field(default_factory=list)
    restored: list[SpendableGrant] = field(default_factory=list)

    def __post_init__(self) -> None:
        left = PRINCIPAL - self.spent
        self.purchase = a_grant(0, left, GrantType.PURCHASE, min(self.held, left))
        if self.revoked:
            self.cover.revoked = left - self.purchase.held
            self.purchase.balance, self.purchase.revoked = self.purchase.held, True
        others = [a_grant(place, balance) for place, balance in enumerate(self.others, start=1)]
        self.purse = Purse([*others, self.purchase], 0, 0, 0)
        self.purse.remaining = sum(each.balance - each.held for each in self.purse.grants)
        self.purse.held = self.purchase.held
        self.principals = {grant.grant_id: grant.balance for grant in others} | {self.purchase.grant_id: PRINCIPAL}

    def reach(self, reversed_cents: int, frozen_cents: int) -> None:
        before = self.purse.net
        self.movements = []
        if self.freeze is not None:
            _, self.movements = release(self.purse, self.freeze, NOW)
            self.cover.revoked -= sum(each.credits for each in self.movements if each.kind == "revoked")
        target = credits_reversed(PRINCIPAL, paid_cents=PAID, reversed_cents=reversed_cents)
        wanted = target - self.reversed_credits
        if wanted < 0:
            given = self.cover.give_back(-wanted, booked=self.reversed_credits)
            restored = a_grant(100 + len(self.restored), 0, GrantType.ROLLOVER)
            self.movements += give_back(self.purse, self.purchase, given, principal=PRINCIPAL, restored=restored)
            self.purse.grants.append(restored)
            self.restored.append(restored)
            self.principals[restored.grant_id] = restored.balance
        sources = in_turn(self.purchase, {each.grant_id for each in self.restored}, self.purse.grants)
        self.movements += take(self.purse, sources, self.cover.take(max(0, wanted))).movements
        self.reversed_credits = target
        frozen = credits_frozen(PRINCIPAL, paid_cents=PAID, reversed_cents=reversed_cents, frozen_cents=frozen_cents)
        parts = set_aside(self.purse, sources, frozen - self.cover.would_cover(frozen))
        self.freeze = Hold("f", sum(part for _, part in parts), "system", None, NOW, parts=parts) if parts else None
        assert self.purse.net == before + sum(movement.credits for movement in self.movements)
        self.check()

    def check(self) -> None:
        grants = self.purse.grants
        assert all(0 <= each.held <= each.balance <= self.principals[each.grant_id] for each in grants)
        assert self.purse.remaining == sum(each.balance - each.held for each in grants)
        assert self.purse.held == sum(each.held for each in grants)
        assert self.purse.remaining >= 0
        assert self.purse.debt >= 0
        assert self.purse.debt == 0 or self.purse.remaining == 0
        assert 0 <= self.cover.covered <= min(self.reversed_credits, self.cover.revoked)
        assert not self.purchase.revoked or self.purchase.balance == self.purchase.held


ACCOUNTS = st.builds(
    Account,
    others=st.lists(st.integers(1, 400), max_size=4),
    spent=st.integers(0, PRINCIPAL),
    held=st.just(0) | st.integers(0, PRINCIPAL),
    revoked=st.booleans(),
)


@given(account=ACCOUNTS, steps=STEPS, last=TARGETS)
def test_only_where_it_ends_counts(account: Account, steps: list[tuple[int, int] | int], last: tuple[int, int]) -> None:
    direct = Account(account.others, account.spent, account.held, account.revoked)
    cost = 0
    for step in steps:
        if isinstance(step, int):
            account.purse.burn_in_full(step)
            cost += step
        else:
            account.reach(*step)
    account.reach(*last)
    direct.reach(*last)
    assert account.reversed_credits == direct.reversed_credits
    # What a revocation takes of a thawed freeze is gone, whoever counts it.
    gone = account.cover.revoked - account.cover.covered
    assert account.purse.net + gone + cost == direct.purse.net + direct.cover.revoked - direct.cover.covered


@given(account=ACCOUNTS, targets=st.lists(TARGETS, max_size=6))
def test_what_was_taken_comes_back(account: Account, targets: list[tuple[int, int]]) -> None:
    net = account.purse.net
    for target in targets:
        account.reach(*target)
    account.reach(0, 0)
    assert (account.purse.net, account.reversed_credits, account.cover.covered, account.freeze) == (net, 0, 0, None)


@given(account=ACCOUNTS, targets=st.lists(TARGETS, max_size=6))
def test_a_full_refund_takes_all_that_came(account: Account, targets: list[tuple[int, int]]) -> None:
    net, revoked = account.purse.net, account.cover.revoked
    for target in targets:
        account.reach(*target)
    account.reach(PAID, 0)
    assert (account.reversed_credits, account.freeze) == (PRINCIPAL, None)
    assert account.purse.net == net - PRINCIPAL + revoked


@given(
    principal=st.integers(1, 10**12),
    cents=st.lists(st.integers(0, 10**12), min_size=3, max_size=3).map(sorted),
)
def test_credits_follow_the_money(principal: int, cents: list[int]) -> None:
    less, more, paid = cents[0], cents[1], cents[2] + 1

    def part(reversed_cents: int) -> int:
        return credits_reversed(principal, paid_cents=paid, reversed_cents=reversed_cents)

    assert (part(0), part(paid)) == (0, principal)
    assert 0 <= part(less) <= part(more) <= principal
    frozen = credits_frozen(principal, paid_cents=paid, reversed_cents=less, frozen_cents=more - less)
    assert 0 <= frozen <= principal - part(less)
    rest = credits_frozen(principal, paid_cents=paid, reversed_cents=less, frozen_cents=paid - less)
    assert part(less) + rest == principal


def test_the_purchase_gives_first_then_what_came_of_it_then_the_others() -> None:
    grants = [a_grant(place, 10) for place in range(1, 5)]
    turn = in_turn(grants[3], {grants[1].grant_id}, grants)
    assert [each.operation_id for each in turn] == ["g4", "g2", "g1", "g3"]


def test_what_holds_keep_is_passed_by() -> None:
    account = Account([50], held=600)
    account.reach(PAID, 0)
    assert [each.credits for each in account.movements] == [-100, -50, -550]
    assert {each.kind for each in account.movements} == {"reversed"}
    assert (account.purchase.balance, account.purse.debt, account.movements[2].grant) == (600, 550, None)


def test_no_account_owes_or_has_more_than_can_be_counted() -> None:
    purse = Purse([], 0, MAX_CREDITS_PER_ACCOUNT - 5, 0)
    with pytest.raises(LimitExceeded):
        take(purse, [], 6)
    assert take(purse, [], 5).debt_incurred == 5
    full = Purse([], MAX_CREDITS_PER_ACCOUNT - 5, 0, 0)
    with pytest.raises(LimitExceeded):
        give_back(full, a_grant(1, 0), 6, principal=10, restored=a_grant(2, 0))
    assert full.remaining == MAX_CREDITS_PER_ACCOUNT - 5
