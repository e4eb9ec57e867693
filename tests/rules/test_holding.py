"""Holds and time, by the pure rules: what they keep, give back, cost, and in which order things happen.

The last test compares everything with a ledger that knows one credit at a time.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.rules.burning import Drawn, OnInsufficient, Purse, SpendableGrant
from ledger.rules.catching_up import TimeEvent, catch_up, earlier, next_instant
from ledger.rules.errors import HoldClosed, InsufficientCredits, LimitExceeded
from ledger.rules.holding import Hold, HoldState, Movement, extend, lapse, place, release, settle
from ledger.rules.limits import MAX_CREDITS_PER_ACCOUNT, MAX_HOLD_SECONDS
from messages.grants import GrantType

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def after(minutes: int) -> datetime:
    """So many minutes after the beginning."""
    return NOW + minutes * MINUTE


def a_grant(
    place: int, balance: int, expires: int | None = None, *, kind: GrantType = GrantType.FREE
) -> SpendableGrant:
    """A grant named by its place in the burn order; it expires so many minutes after the beginning."""
    ends = None if expires is None else after(expires)
    return SpendableGrant(UUID(int=place), f"g{place}", GrantType.FREE, balance, ends, 1, 1, "usd")


def a_purse(*grants: SpendableGrant, debt: int = 0, debt_cap: int = 0) -> Purse:
    """A purse of grants of which nothing is held."""
    return Purse(list(grants), sum(grant.balance for grant in grants), debt, debt_cap)


def a_hold(purse: Purse, credits: int, minutes: int = 10, name: str = "h") -> Hold:
    """A hold that was placed at the beginning."""
    return place(purse, name, credits, minutes * 60, "account", NOW)


def names(drawn: Drawn) -> list[tuple[str, int]]:
    """Which grant gives how much."""
    return [(grant.operation_id, credits) for grant, credits in drawn]


def moved(movements: list[Movement]) -> list[tuple[str, str | None, int]]:
    """The movements with their grants' names."""
    return [(each.kind, None if each.grant is None else each.grant.operation_id, each.credits) for each in movements]


def told(events: list[TimeEvent]) -> list[tuple[str, datetime, list[tuple[str, str | None, int]]]]:
    """What happened by itself."""
    return [(event.operation_id, event.at, moved(event.movements)) for event in events]


def test_a_hold_draws_in_burn_order_and_nobody_else_reaches_it() -> None:
    purse = a_purse(a_grant(1, 10), a_grant(2, 10), debt_cap=100)
    hold = a_hold(purse, 15)
    assert names(hold.parts) == [("g1", 10), ("g2", 5)]
    assert (purse.remaining, purse.held, purse.net) == (5, 15, 20)
    with pytest.raises(InsufficientCredits) as refused:
        purse.burn(6, OnInsufficient.REFUSE)
    assert refused.value.available == 5
    burned = purse.burn(8, OnInsufficient.DEBT)
    assert (names(burned.drawn), burned.debt_incurred) == ([("g2", 5)], 3)


def test_a_hold_is_never_made_of_debt() -> None:
    purse = a_purse(a_grant(1, 10), debt_cap=100)
    with pytest.raises(InsufficientCredits) as refused:
        a_hold(purse, 11)
    assert (refused.value.needed, refused.value.available) == (11, 10)
    assert (purse.remaining, purse.held, purse.grants[0].held) == (10, 0, 0)


def test_settling_for_less_gives_the_rest_back() -> None:
    purse = a_purse(a_grant(1, 10), a_grant(2, 10))
    hold = a_hold(purse, 15)
    settled = settle(purse, hold, 12, after(1))
    assert (names(settled.drawn), settled.debt_incurred, settled.given_back) == ([("g1", 10), ("g2", 2)], 0, 3)
    assert (purse.remaining, purse.held, hold.state, hold.closed_at) == (8, 0, HoldState.SETTLED, after(1))
    assert names(purse.burn(8, OnInsufficient.REFUSE).drawn) == [("g2", 8)]


def test_settling_for_more_takes_what_can_be_spent_and_then_debt_beyond_the_cap() -> None:
    purse = a_purse(a_grant(1, 10), a_grant(2, 10), debt_cap=1)
    settled = settle(purse, a_hold(purse, 15), 25, after(1))
    assert (names(settled.drawn), settled.debt_incurred) == ([("g1", 10), ("g2", 10)], 5)
    assert moved(settled.movements) == [
        ("consumed", "g1", -10),
        ("consumed", "g2", -10),
        ("debt-incurred", None, -5),
    ]
    assert (purse.remaining, purse.held, purse.debt) == (0, 0, 5)


def test_a_settlement_takes_cheaper_credit_after_the_holds_own() -> None:
    dear, cheap = a_grant(2, 10), a_grant(1, 10)
    purse = a_purse(dear)
    hold = a_hold(purse, 5)
    purse.grants.insert(0, cheap)
    purse.remaining += 10
    assert names(settle(purse, hold, 17, after(1)).drawn) == [("g2", 7), ("g1", 10)]


def test_a_settlement_of_nothing_is_a_settlement() -> None:
    purse = a_purse(a_grant(1, 10))
    hold = a_hold(purse, 4)
    assert settle(purse, hold, 0, after(1)).given_back == 4
    assert (purse.remaining, hold.state) == (10, HoldState.SETTLED)


def test_what_comes_back_pays_debt_first_in_burn_order() -> None:
    purse = a_purse(a_grant(1, 10), a_grant(2, 10), debt_cap=100)
    hold = a_hold(purse, 20)
    purse.burn(13, OnInsufficient.DEBT)
    given_back, movements = release(purse, hold, after(1))
    assert given_back == 20
    assert moved(movements) == [
        ("debt-paid", "g1", -10),
        ("debt-paid", None, 10),
        ("debt-paid", "g2", -3),
        ("debt-paid", None, 3),
    ]
    assert (purse.remaining, purse.held, purse.debt) == (7, 0, 0)


def test_credit_of_an_expired_or_revoked_grant_leaves_when_its_hold_closes_and_pays_nothing() -> None:
    purse = a_purse(a_grant(1, 10, 5), a_grant(2, 10), a_grant(3, 10), debt_cap=100)
    hold = a_hold(purse, 30)
    purse.grants[1].revoked = True
    purse.burn(4, OnInsufficient.DEBT)
    assert told(catch_up(purse, [hold], after(6))) == []  # all of it is held, and lives as long as its hold
    assert hold.state is HoldState.OPEN
    given_back, movements = release(purse, hold, after(7))
    assert given_back == 30
    assert moved(movements) == [
        ("expired", "g1", -10),
        ("revoked", "g2", -10),
        ("debt-paid", "g3", -4),
        ("debt-paid", None, 4),
    ]
    assert (purse.remaining, purse.held, purse.debt, purse.net) == (6, 0, 0, 6)


def test_credit_given_back_before_its_expiry_expires_with_the_rest() -> None:
    purse = a_purse(a_grant(1, 10, 20), a_grant(2, 5))
    first, second = a_hold(purse, 4, 10, "first"), a_hold(purse, 3, 30, "second")
    assert told(catch_up(purse, [second, first], after(30))) == [
        ("lapse/first", after(10), []),
        ("expire/g1", after(20), [("expired", "g1", -7)]),
        ("lapse/second", after(30), [("expired", "g1", -3)]),
    ]
    assert (purse.remaining, purse.held) == (5, 0)
    assert (first.closed_at, second.closed_at) == (after(10), after(30))


def test_at_one_instant_expiry_comes_first() -> None:
    purse = a_purse(a_grant(1, 10, 10))
    hold = a_hold(purse, 4, 10)
    assert [event.operation_id for event in catch_up(purse, [hold], after(10))] == ["expire/g1", "lapse/h"]
    assert (purse.remaining, purse.held, purse.net) == (0, 0, 0)


def test_a_lapse_pays_the_debt_of_its_own_instant() -> None:
    purse = a_purse(a_grant(1, 10), debt_cap=100)
    hold = a_hold(purse, 10)
    purse.burn(4, OnInsufficient.DEBT)
    (event,) = catch_up(purse, [hold], after(60))
    assert (event.at, moved(event.movements)) == (after(10), [("debt-paid", "g1", -4), ("debt-paid", None, 4)])
    assert (purse.remaining, purse.debt) == (6, 0)


def test_a_hold_is_open_exactly_until_its_instant() -> None:
    purse = a_purse(a_grant(1, 10))
    hold = a_hold(purse, 4)
    assert catch_up(purse, [hold], after(10) - timedelta(microseconds=1)) == []
    assert len(catch_up(purse, [hold], after(10))) == 1


def test_settling_after_the_time_books_all_the_same() -> None:
    purse = a_purse(a_grant(1, 10))
    hold = a_hold(purse, 10)
    catch_up(purse, [hold], after(11))
    purse.burn(7, OnInsufficient.REFUSE)
    settled = settle(purse, hold, 10, after(12))
    assert (names(settled.drawn), settled.debt_incurred, settled.given_back) == ([("g1", 3)], 7, 0)
    assert (hold.state, hold.closed_at) == (HoldState.SETTLED, after(10))


def test_releasing_after_the_time_gives_nothing_back_and_is_a_release() -> None:
    purse = a_purse(a_grant(1, 10))
    hold = a_hold(purse, 10)
    lapse(purse, hold, after(10))
    assert release(purse, hold, after(11)) == (0, [])
    with pytest.raises(HoldClosed):
        settle(purse, hold, 1, after(12))


@pytest.mark.parametrize("state", [HoldState.SETTLED, HoldState.RELEASED])
def test_what_is_closed_stays_closed(state: HoldState) -> None:
    purse = a_purse(a_grant(1, 10))
    hold = a_hold(purse, 10)
    hold.close(state, after(1))
    for attempt in (
        lambda: settle(purse, hold, 1, after(2)),
        lambda: release(purse, hold, after(2)),
        lambda: extend(hold, 60, after(2)),
    ):
        with pytest.raises(HoldClosed) as refused:
            attempt()
        assert refused.value.state == state
    assert (purse.remaining, purse.held) == (0, 10)


def test_a_lapsed_hold_can_not_be_extended() -> None:
    purse = a_purse(a_grant(1, 10))
    hold = a_hold(purse, 10)
    catch_up(purse, [hold], after(10))
    with pytest.raises(HoldClosed):
        extend(hold, 60, after(10))


def test_an_extension_counts_from_now_never_shortens_and_ends_a_day_after_the_beginning() -> None:
    hold = a_hold(a_purse(a_grant(1, 10)), 4)
    extend(hold, 60, after(1))
    assert hold.held_until == after(10)
    extend(hold, 600, after(5))
    assert hold.held_until == after(15)
    extend(hold, MAX_HOLD_SECONDS, after(6))
    assert hold.held_until == NOW + timedelta(days=1)


def test_a_freeze_has_no_end() -> None:
    purse = a_purse(a_grant(1, 10))
    hold = a_hold(purse, 10)
    hold.held_until = None
    assert catch_up(purse, [hold], NOW + timedelta(days=9999)) == []
    extend(hold, 60, NOW)
    assert hold.held_until is None


def test_a_debt_that_no_account_may_have_is_refused_and_nothing_is_taken() -> None:
    purse = a_purse(a_grant(1, 10), debt=MAX_CREDITS_PER_ACCOUNT)
    hold = a_hold(purse, 10)
    with pytest.raises(LimitExceeded):
        settle(purse, hold, 11, NOW)
    assert (purse.held, hold.state) == (10, HoldState.OPEN)
    settle(purse, hold, 10, NOW)


def test_the_next_instant_is_the_first_after_now() -> None:
    grants = [a_grant(1, 1, 5), a_grant(2, 1, 9), a_grant(3, 0, 7), a_grant(4, 1)]
    assert next_instant(grants, [None, after(6)], after(5)) == after(6)
    assert next_instant(grants, [after(30)], after(5)) == after(7)  # the third has just been emptied
    assert next_instant(grants, [after(30)], after(7)) == after(9)
    assert next_instant(grants, [], after(9)) is None
    assert (earlier(None, NOW), earlier(NOW, None), earlier(after(1), NOW), earlier(None, None)) == (
        NOW,
        NOW,
        NOW,
        None,
    )


@dataclass
class Credit:
    """One credit: which grant it is of, until when, and which hold keeps it."""

    grant: int
    until: int
    hold: int | None = None


@dataclass
class Napkin:
    """An account whose credits are counted one by one, minute by minute, in the order of their grants."""

    credits: list[Credit]
    debt: int = 0
    ends: dict[int, int] = field(default_factory=dict)
    revoked: set[int] = field(default_factory=set)

    def free(self, minute: int) -> list[Credit]:
        return [each for each in self.credits if each.hold is None and minute < each.until]

    def give_back(self, hold: int, minute: int) -> None:
        for each in [each for each in self.credits if each.hold == hold]:
            each.hold = None
            gone = each.grant in self.revoked or each.until <= minute
            if gone or self.debt:
                self.debt -= 0 if gone else 1
                self.credits.remove(each)
        self.ends.pop(hold, None)

    def tick(self, minute: int) -> None:
        self.credits = [each for each in self.credits if each.hold is not None or minute < each.until]
        for hold in sorted(hold for hold, end in self.ends.items() if end == minute):
            self.give_back(hold, minute)

    def spend(self, credits: list[Credit], cost: int) -> None:
        for each in credits[:cost]:
            self.credits.remove(each)
        self.debt += max(0, cost - len(credits))


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "settle", "release", "extend", "owe", "spend", "revoke", "wait"]),
        st.integers(0, 5),
        st.integers(1, 15),
    ),
    max_size=25,
)


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, 8), st.none() | st.integers(1, 30)), min_size=1, max_size=4), ACTS)
def test_it_is_as_if_every_credit_were_watched_every_minute(
    grants: list[tuple[int, int | None]], acts: list[tuple[str, int, int]]
) -> None:
    purse = a_purse(*(a_grant(place, size, ends) for place, (size, ends) in enumerate(grants)), debt_cap=1000)
    napkin = Napkin([Credit(place, ends or 10**6) for place, (size, ends) in enumerate(grants) for _ in range(size)])
    holds: list[Hold] = []
    minute = 0
    for act, which, amount in acts:
        # Ours looks up once in a while; the napkin never looks away.
        catch_up(purse, [hold for hold in holds if hold.state is HoldState.OPEN], after(minute))
        now, hold = after(minute), holds[which] if which < len(holds) else None
        match act:
            case "wait":
                for _ in range(amount):
                    minute += 1
                    napkin.tick(minute)
                continue
            case "hold" if amount <= purse.remaining:
                holds.append(place(purse, f"h{len(holds):02}", amount, (1 + which) * 180, "account", now))
                for each in napkin.free(minute)[:amount]:
                    each.hold = len(holds) - 1
                napkin.ends[len(holds) - 1] = minute + 3 * (1 + which)
            case "settle" if hold is not None and hold.state in (HoldState.OPEN, HoldState.LAPSED):
                kept = [each for each in napkin.credits if each.hold == which]
                settle(purse, hold, amount, now)
                free = napkin.free(minute)
                napkin.spend([*kept, *free], amount)
                napkin.give_back(which, minute)
            case "release" if hold is not None and hold.state is HoldState.OPEN:
                release(purse, hold, now)
                napkin.give_back(which, minute)
            case "extend" if hold is not None and hold.state is HoldState.OPEN:
                extend(hold, amount * 60, now)
                napkin.ends[which] = max(napkin.ends[which], minute + amount)
            case "owe" | "spend":
                policy = OnInsufficient.DEBT if act == "owe" else OnInsufficient.REFUSE
                if act == "owe" or amount <= purse.remaining:
                    purse.burn(amount, policy)
                    napkin.spend(napkin.free(minute), amount)
            case "revoke" if which < len(grants):
                purse.grants[which].revoked = True
                purse.expire(purse.grants[which])
                napkin.revoked.add(which)
                napkin.credits = [each for each in napkin.credits if each.grant != which or each.hold is not None]
        _compare(purse, napkin, minute)
    catch_up(purse, [hold for hold in holds if hold.state is HoldState.OPEN], after(minute))
    _compare(purse, napkin, minute)


def _compare(purse: Purse, napkin: Napkin, minute: int) -> None:
    held = [each for each in napkin.credits if each.hold is not None]
    assert (purse.remaining, purse.held, purse.debt) == (len(napkin.free(minute)), len(held), napkin.debt)
    for place_in_order, grant in enumerate(purse.grants):
        assert grant.held == sum(each.grant == place_in_order for each in held)
        assert grant.balance == sum(each.grant == place_in_order for each in napkin.credits)
    assert not (purse.debt and purse.remaining)
