"""The burn order is total, debt is paid first, and credit lives exactly until its expiry."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ledger.rules.burn_order import burn_order, is_live
from ledger.rules.debt import pay_debt_first
from ledger.rules.grant_types import EXPIRING_TYPES, GRANT_PRIORITIES, MIRRORED_TYPES, PAID_TYPES, expiry_of
from messages.grants import GrantType

SOME_DAY = datetime(2026, 3, 31, 12, tzinfo=UTC)
INSTANTS = st.integers(0, 3).map(lambda hours: SOME_DAY + timedelta(hours=hours))


@dataclass(frozen=True)
class Burnable:
    """As much of a grant as the burn order looks at."""

    grant_id: UUID
    priority: int
    expires_at: datetime | None
    created_at: datetime


# Few values each, so that ties are common.
GRANTS = st.lists(
    st.builds(
        Burnable,
        grant_id=st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number)),
        priority=st.sampled_from(sorted(GRANT_PRIORITIES.values())),
        expires_at=st.none() | INSTANTS,
        created_at=INSTANTS,
    ),
    max_size=8,
    unique_by=lambda grant: grant.grant_id,
)


@given(GRANTS, st.randoms(use_true_random=False))
def test_the_order_is_total_whoever_reads_the_rows(grants: list[Burnable], random: Random) -> None:
    shuffled = random.sample(grants, len(grants))
    assert sorted(shuffled, key=burn_order) == sorted(grants, key=burn_order)
    assert len({burn_order(grant) for grant in grants}) == len(grants)


@given(GRANTS)
def test_priority_comes_before_expiry_before_age_before_id(grants: list[Burnable]) -> None:
    ordered = sorted(grants, key=burn_order)
    for first, second in itertools.pairwise(ordered):
        assert first.priority <= second.priority
        if first.priority < second.priority:
            continue
        assert first.expires_at is not None or second.expires_at is None  # never-expiring last
        if first.expires_at != second.expires_at:
            assert second.expires_at is None or (first.expires_at or SOME_DAY) < second.expires_at
            continue
        assert (first.created_at, first.grant_id) < (second.created_at, second.grant_id)


def test_what_was_given_away_burns_before_what_was_paid_for() -> None:
    assert GRANT_PRIORITIES == {
        GrantType.FREE: 20,
        GrantType.REFERRAL: 40,
        GrantType.ADMIN: 60,
        GrantType.ROLLOVER: 70,
        GrantType.PURCHASE: 80,
    }
    assert {GrantType.FREE, GrantType.REFERRAL} == EXPIRING_TYPES
    assert {GrantType.PURCHASE, GrantType.ROLLOVER} == PAID_TYPES
    assert set(GrantType) - {GrantType.ROLLOVER} == MIRRORED_TYPES


@given(st.sampled_from(GrantType), st.none() | INSTANTS)
def test_free_and_referral_expire_and_the_others_never(grant_type: GrantType, wanted: datetime | None) -> None:
    expires_at = expiry_of(grant_type, wanted, next_reset=SOME_DAY)
    assert expires_at == ((wanted or SOME_DAY) if grant_type in EXPIRING_TYPES else None)


def test_credit_lives_exactly_while_now_is_before_its_expiry() -> None:
    instant = timedelta(microseconds=1)
    assert is_live(SOME_DAY, SOME_DAY - instant)
    assert not is_live(SOME_DAY, SOME_DAY)
    assert not is_live(SOME_DAY, SOME_DAY + instant)
    assert is_live(None, datetime.max.replace(tzinfo=UTC))


@given(st.integers(1, 10**12), st.integers(0, 2**53 - 1))
def test_debt_is_paid_first_and_only_up_to_what_comes_in(credits: int, debt: int) -> None:
    payment = pay_debt_first(credits, debt)
    assert payment.paid + payment.left == credits
    assert 0 <= payment.paid <= debt
    assert payment.left == 0 or payment.paid == debt  # never debt and credit both
    assert payment.left - (debt - payment.paid) == credits - debt  # the net rises by exactly what came in
