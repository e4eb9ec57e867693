"""Catching up with time: what time alone has changed in an account since it was last written.

A hold lapses at its ``held_until``, and what no hold keeps of a grant expires at its ``expires_at``. Both may be booked
late, and are then booked as at those instants, one after the other: a hold that lapsed before its grant's expiry gave
its credits back before they expired. Whoever reads an account without booking shows the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ledger.rules.burning import Purse, SpendableGrant
from ledger.rules.holding import Hold, Movement, lapse

_Due = tuple[datetime, SpendableGrant]


@dataclass(slots=True)
class TimeEvent:
    """Something that happened by itself at ``at``: a grant's expiry, or the lapse of ``hold``.

    ``operation_id`` names it in the journal, ``subject`` is the operation id of the grant or hold, and ``grants`` are
    those whose numbers changed.
    """

    kind: str
    subject: str
    at: datetime
    grants: list[SpendableGrant]
    movements: list[Movement]
    hold: Hold | None = None

    @property
    def operation_id(self) -> str:
        """The id of the operation that books it; no client can choose it."""
        return f"{self.kind}/{self.subject}"

    @property
    def request(self) -> dict[str, str]:
        """What is recorded as the request of what nobody requested."""
        return {"grantId": str(self.grants[0].grant_id)} if self.hold is None else {"holdId": self.subject}


def catch_up(purse: Purse, holds: Iterable[Hold], now: datetime) -> list[TimeEvent]:
    """Brings the purse to ``now``: all that fell due, in the order of the instants.

    ``purse.grants`` must be all grants with something left, and ``holds`` all open ones that are due. At one instant,
    expiry comes before lapses: credit that comes back at the instant of its expiry has expired.
    """
    events: list[TimeEvent] = []
    expiring = [(grant.expires_at, grant) for grant in purse.grants if grant.expires_at and grant.expires_at <= now]
    expiring.sort(key=_expiry, reverse=True)
    lapsing = [(hold.held_until, hold) for hold in holds if hold.held_until and hold.held_until <= now]
    for at, hold in sorted(lapsing, key=_lapse):
        _expire(purse, expiring, at, events)
        parts = [grant for grant, _ in hold.parts]
        events.append(TimeEvent("lapse", hold.operation_id, at, parts, lapse(purse, hold, at), hold))
    _expire(purse, expiring, now, events)
    return events


def next_instant(
    grants: Iterable[SpendableGrant], held_until: Iterable[datetime | None], now: datetime
) -> datetime | None:
    """A bound on the next instant after ``now`` at which time alone changes something, or None.

    Grants that have just been emptied count: what was taken of them must be written before they expire.
    """
    ends = [grant.expires_at for grant in grants]
    return min((each for each in (*ends, *held_until) if each is not None and each > now), default=None)


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two instants, of which None is never."""
    if one is None or other is None:
        return one or other
    return min(one, other)


def _expire(purse: Purse, expiring: list[_Due], until: datetime, events: list[TimeEvent]) -> None:
    """Expires those that do so by ``until``; the soonest are at the end of the list."""
    while expiring and expiring[-1][0] <= until:
        at, grant = expiring.pop()
        if expired := purse.expire(grant):
            events.append(TimeEvent("expire", grant.operation_id, at, [grant], [Movement("expired", grant, -expired)]))


def _expiry(due: _Due) -> tuple[datetime, str]:
    at, grant = due
    return at, str(grant.grant_id)


def _lapse(due: tuple[datetime, Hold]) -> tuple[datetime, datetime, str]:
    at, hold = due
    return at, hold.created_at, hold.operation_id
