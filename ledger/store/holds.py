"""Holds and what they keep of which grant.

Like those of consumption, the statements are the driver's own SQL over arrays: a batch reads and writes the holds of
many accounts at once, and makes these statements only where there are any.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.burning import SpendableGrant
from ledger.rules.holding import Hold, HoldState
from ledger.store.arrays import columns

_HOLD = "operation_id, credits, made_by, held_until, created_at, state, closed_at"
_PARTS = """
LEFT JOIN LATERAL (
    SELECT grant_id, credits AS part FROM hold_parts
    WHERE hold_parts.account_id = found.account_id AND hold_parts.operation_id = found.operation_id OFFSET 0
) AS parts ON true
LEFT JOIN LATERAL (
    SELECT revoked_at FROM grants WHERE grants.grant_id = parts.grant_id OFFSET 0
) AS kept ON true
"""

DUE_HOLDS = f"""
SELECT a.account_id, a.seq, coming.held_until, found.*, grant_id, part, revoked_at
FROM unnest($1::uuid[]) AS wanted (account_id)
CROSS JOIN LATERAL (SELECT * FROM accounts WHERE accounts.account_id = wanted.account_id OFFSET 0) AS a
LEFT JOIN LATERAL (
    SELECT held_until FROM holds
    WHERE holds.account_id = a.account_id AND state = 'open' AND held_until > $2
    ORDER BY held_until LIMIT 1
) AS coming ON true
LEFT JOIN LATERAL (
    SELECT account_id, {_HOLD} FROM holds
    WHERE holds.account_id = a.account_id AND state = 'open' AND held_until <= $2 OFFSET 0
) AS found ON true {_PARTS}
"""  # noqa: S608 - our own words

NAMED_HOLDS = f"""
SELECT a.account_id, a.seq, NULL, found.*, grant_id, part, revoked_at
FROM unnest($1::uuid[], $2::text[]) AS wanted (account_id, operation_id)
CROSS JOIN LATERAL (SELECT * FROM accounts WHERE accounts.account_id = wanted.account_id OFFSET 0) AS a
LEFT JOIN LATERAL (
    SELECT account_id, {_HOLD} FROM holds
    WHERE holds.account_id = a.account_id AND holds.operation_id = wanted.operation_id OFFSET 0
) AS found ON true {_PARTS}
"""  # noqa: S608 - our own words

_CHANGED = """
    UPDATE holds SET held_until = new.held_until, state = new.state, closed_at = new.closed_at
    FROM unnest(${0}::uuid[], ${1}::text[], ${2}::timestamptz[], ${3}::text[], ${4}::timestamptz[])
        AS new (account_id, operation_id, held_until, state, closed_at)
    WHERE holds.account_id = ANY (${0}::uuid[]) AND holds.operation_id = ANY (${1}::text[])
        AND holds.account_id = new.account_id AND holds.operation_id = new.operation_id
"""

_WRITE_ENDS = f"""
WITH ended AS ({_CHANGED.format(*range(1, 6))})
UPDATE grants SET balance = new.balance, held = new.held
FROM unnest($6::uuid[], $7::bigint[], $8::bigint[]) AS new (grant_id, balance, held)
WHERE grants.grant_id = ANY ($6::uuid[]) AND grants.grant_id = new.grant_id
"""  # noqa: S608 - our own words

_FIND_ACCOUNTS = "SELECT account_id, made_by FROM holds WHERE operation_id = $1 ORDER BY account_id LIMIT 100"


class Session(Protocol):
    """Where the statements of a batch run, each as a transaction (``ledger/session.py``)."""

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]: ...


def write_holds_from(first: int) -> str:
    """The part of a batch's statement that writes holds, by the columns of HoldWrites from the parameter ``first``."""
    numbers = iter(range(first, first + 17))
    placed = ("uuid", "text", "bigint", "text", "timestamptz", "timestamptz", "text", "timestamptz")
    parts = ("uuid", "text", "uuid", "bigint")
    return f"""
, placed AS (
    INSERT INTO holds (account_id, operation_id, credits, made_by, held_until, created_at, state, closed_at)
    SELECT * FROM unnest({", ".join(f"${next(numbers)}::{kind}[]" for kind in placed)})
), parts AS (
    INSERT INTO hold_parts (account_id, operation_id, grant_id, credits)
    SELECT * FROM unnest({", ".join(f"${next(numbers)}::{kind}[]" for kind in parts)})
), held AS ({_CHANGED.format(*numbers)})
"""  # noqa: S608 - our own words


@dataclass(slots=True)
class FoundHolds:
    """The holds of an account as they were read, by their operation ids, and the account's ``seq`` at that instant.

    ``coming`` is when the next one lapses of those that are not due, if that was asked.
    """

    holds: dict[str, Hold] = field(default_factory=dict)
    coming: datetime | None = None
    seq: int = 0


@dataclass(slots=True)
class HoldWrites:
    """All rows of holds that a batch writes, each in the order of its columns in the statement.

    ``placed``: account, operation id, credits, made by, held until, created at, state, closed at. ``parts``: account,
    operation id, grant, credits. ``changed``: account, operation id, held until, state, closed at.
    """

    placed: list[tuple[Any, ...]] = field(default_factory=list)
    parts: list[tuple[Any, ...]] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)

    def place(self, account_id: UUID, hold: Hold) -> None:
        """Adds the rows of a new hold."""
        row = (account_id, hold.operation_id, hold.credits, hold.made_by, hold.held_until, hold.created_at)
        self.placed.append((*row, str(hold.state), hold.closed_at))
        self.parts.extend((account_id, hold.operation_id, grant.grant_id, part) for grant, part in hold.parts)

    def change(self, account_id: UUID, hold: Hold) -> None:
        """Adds what has become of a hold."""
        self.changed.append((account_id, hold.operation_id, hold.held_until, str(hold.state), hold.closed_at))

    def columns(self) -> tuple[Sequence[Any], ...]:
        """The columns of all of them, as the statement takes them."""
        return *columns(self.placed, 8), *columns(self.parts, 4), *columns(self.changed, 5)

    def __bool__(self) -> bool:
        return bool(self.placed or self.changed)


async def due_holds(
    tx: AsyncConnection, account_id: UUID, grants: Sequence[SpendableGrant], now: datetime
) -> FoundHolds:
    """The open holds of the account whose time is over by ``now``, and when the next one's is.

    ``grants`` are all of the account's grants with something left, in burn order; the holds' parts refer to them.
    """
    rows: Any = await tx.exec_driver_sql(DUE_HOLDS, ([account_id], now))
    return found_holds(rows, {account_id: grants})[account_id]


async def write_ends(
    tx: AsyncConnection, account_id: UUID, holds: Iterable[Hold], grants: Iterable[SpendableGrant]
) -> None:
    """Writes how these holds have ended, and what the grants have now."""
    writes = HoldWrites()
    for hold in holds:
        writes.change(account_id, hold)
    kept = [(grant.grant_id, grant.balance, grant.held) for grant in grants]
    await tx.exec_driver_sql(_WRITE_ENDS, _lists(*columns(writes.changed, 5), *columns(kept, 3)))


async def accounts_with_hold(tx: AsyncConnection, operation_id: str) -> list[tuple[UUID, str]]:
    """The accounts that have a hold of this operation id, each with the kind of token that made it; at most 100."""
    found: Any = await tx.exec_driver_sql(_FIND_ACCOUNTS, (operation_id,))
    return [(row[0], row[1]) for row in found]


def found_holds(rows: Iterable[Any], grants: Mapping[UUID, Sequence[SpendableGrant]]) -> dict[UUID, FoundHolds]:
    """What the rows of DUE_HOLDS or NAMED_HOLDS say, by account. ``grants`` as for :func:`due_holds`.

    Raises KeyError where a hold keeps something of a grant that is not among them: the account has changed in between.
    """
    by_account: dict[UUID, FoundHolds] = {}
    places: dict[UUID, dict[UUID, int]] = {}
    for account_id, seq, coming, owner, operation_id, *row, grant_id, part, revoked_at in rows:
        found = by_account.setdefault(account_id, FoundHolds(coming=coming, seq=seq))
        if owner is None:
            continue
        hold = found.holds.get(operation_id)
        if hold is None:
            credits, made_by, held_until, created_at, state, closed_at = row
            hold = Hold(operation_id, credits, made_by, held_until, created_at, HoldState(state), closed_at)
            found.holds[operation_id] = hold
        # Of a hold that is over, grants may have nothing left, and nobody asks for its parts.
        if hold.state is HoldState.OPEN:
            if account_id not in places:
                places[account_id] = {grant.grant_id: place for place, grant in enumerate(grants[account_id])}
            grant = grants[account_id][places[account_id][grant_id]]
            grant.revoked = revoked_at is not None
            hold.parts.append((grant, part))
    for account_id, place_of in places.items():
        for hold in by_account[account_id].holds.values():
            _put_in_turn(hold, place_of)
    return by_account


def _put_in_turn(hold: Hold, place_of: Mapping[UUID, int]) -> None:
    """Brings the parts into burn order."""
    hold.parts.sort(key=lambda part: place_of[part[0].grant_id])


def _lists(*arrays: Sequence[Any]) -> tuple[list[Any], ...]:
    # SQLAlchemy takes a tuple in a parameter for something of its own.
    return tuple(list(array) for array in arrays)
