"""Holds: credits that are set aside for work whose cost is not known yet.

A hold keeps parts of grants, in burn order. Its credits stay on the grants, also past a grant's expiry, and nobody else
can spend them. It ends by a settlement, which books the real cost, by a release, or at ``held_until`` by itself.

What an ended hold gives back pays the account's debt first. What comes back to a grant that has expired or was revoked
meanwhile leaves the account at once, and pays nothing: that credit could not have been spent either.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from ledger.rules.burn_order import is_live
from ledger.rules.burning import Drawn, Purse, SpendableGrant
from ledger.rules.errors import HoldClosed
from ledger.rules.limits import MAX_HOLD_SECONDS


class HoldState(StrEnum):
    """What has become of a hold."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"
    LAPSED = "lapsed"


@dataclass(slots=True)
class Hold:
    """A hold. It is open exactly while now is before ``held_until`` (None: without end) and nothing has closed it.

    ``parts`` is what it drew from each grant, in burn order; it does not change. ``made_by`` is the kind of token that
    made it, ``admin`` or ``account``. ``closed_at`` is the instant at which it stopped keeping its credits.
    """

    operation_id: str
    credits: int
    made_by: str
    held_until: datetime | None
    created_at: datetime
    state: HoldState = HoldState.OPEN
    closed_at: datetime | None = None
    parts: Drawn = field(default_factory=list)

    def close(self, state: HoldState, at: datetime) -> None:
        """Ends the hold; one that has lapsed before stopped keeping its credits then."""
        self.state = state
        self.closed_at = self.closed_at or at


@dataclass(slots=True)
class Movement:
    """Credits that enter or leave the account, as the journal names them: signed, of a grant or (None) of the debt."""

    kind: str
    grant: SpendableGrant | None
    credits: int


@dataclass(slots=True)
class Settlement:
    """What a settlement took: from each grant, the hold's own first, and as debt; what moved, and what was left of the
    hold and went back."""

    drawn: Drawn
    debt_incurred: int
    movements: list[Movement]
    given_back: int


def place(purse: Purse, operation_id: str, credits: int, ttl_seconds: int, made_by: str, now: datetime) -> Hold:
    """A new hold of ``credits``. Raises InsufficientCredits, with nothing held: a hold is never made of debt."""
    parts = purse.set_aside(credits)
    return Hold(operation_id, credits, made_by, now + timedelta(seconds=ttl_seconds), now, parts=parts)


def extend(hold: Hold, ttl_seconds: int, now: datetime) -> None:
    """Lets the hold live ``ttl_seconds`` from now, never shorter than it would, and at most a day in all.

    Raises HoldClosed for one that is not open.
    """
    if hold.state is not HoldState.OPEN:
        raise HoldClosed(hold.operation_id, state=hold.state)
    if hold.held_until is None:
        return
    latest = hold.created_at + timedelta(seconds=MAX_HOLD_SECONDS)
    hold.held_until = max(hold.held_until, min(now + timedelta(seconds=ttl_seconds), latest))


def settle(purse: Purse, hold: Hold, credits: int, now: datetime) -> Settlement:
    """Books the real cost, in full: from the hold's parts, then from what can be spent, then as debt, beyond the cap
    if need be. Of a hold that has lapsed nothing is left to begin with.

    Raises HoldClosed for one that was settled or released, and LimitExceeded for a debt that no account may have.
    """
    if hold.state not in (HoldState.OPEN, HoldState.LAPSED):
        raise HoldClosed(hold.operation_id, state=hold.state)
    parts = hold.parts if hold.state is HoldState.OPEN else []
    spent, left = _split(parts, credits)
    from_hold = sum(part for _, part in spent)
    burned = purse.burn_in_full(credits - from_hold)
    purse.spend_held(spent)
    drawn = _merged(spent, burned.drawn)
    movements = [Movement("consumed", grant, -part) for grant, part in drawn]
    if burned.debt_incurred:
        movements.append(Movement("debt-incurred", None, -burned.debt_incurred))
    movements += _give_back(purse, left, now)
    hold.close(HoldState.SETTLED, now)
    return Settlement(drawn, burned.debt_incurred, movements, sum(part for _, part in left))


def release(purse: Purse, hold: Hold, now: datetime) -> tuple[int, list[Movement]]:
    """Ends the hold with nothing spent; answers what it gave back (nothing where it has lapsed), and what moved.

    Raises HoldClosed for one that was settled or released.
    """
    if hold.state not in (HoldState.OPEN, HoldState.LAPSED):
        raise HoldClosed(hold.operation_id, state=hold.state)
    if hold.state is HoldState.LAPSED:
        hold.close(HoldState.RELEASED, now)
        return 0, []
    movements = _give_back(purse, hold.parts, now)
    hold.close(HoldState.RELEASED, now)
    return hold.credits, movements


def lapse(purse: Purse, hold: Hold, at: datetime) -> list[Movement]:
    """Ends the hold at the end of its time."""
    movements = _give_back(purse, hold.parts, at)
    hold.close(HoldState.LAPSED, at)
    return movements


def _give_back(purse: Purse, parts: Drawn, at: datetime) -> list[Movement]:
    movements = []
    for grant, credits in parts:
        if grant.revoked or not is_live(grant.expires_at, at):
            purse.take_held(grant, credits)
            movements.append(Movement("revoked" if grant.revoked else "expired", grant, -credits))
        elif paid := purse.set_free(grant, credits):
            movements.append(Movement("debt-paid", grant, -paid))
            movements.append(Movement("debt-paid", None, paid))
    return movements


def _split(parts: Drawn, credits: int) -> tuple[Drawn, Drawn]:
    """The parts that ``credits`` are spent from, and what is left of them."""
    spent: Drawn = []
    left: Drawn = []
    for grant, part in parts:
        now_spent = min(part, credits)
        credits -= now_spent
        if now_spent:
            spent.append((grant, now_spent))
        if now_spent < part:
            left.append((grant, part - now_spent))
    return spent, left


def _merged(first: Drawn, then: Drawn) -> Drawn:
    """Both, with one part for each grant."""
    merged = {grant.grant_id: (grant, part) for grant, part in first}
    for grant, part in then:
        before = merged.get(grant.grant_id)
        merged[grant.grant_id] = (grant, part if before is None else part + before[1])
    return list(merged.values())
