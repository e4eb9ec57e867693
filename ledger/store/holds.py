"""Holds and what they keep of which grant.

The statements are driver SQL over arrays, like those of consumption: a batch reads and writes the holds of many
accounts at once, and makes these statements only where there are any.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.burning import SpendableGrant
from ledger.rules.holding import Hold, HoldState

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

_DUE = f"""
SELECT wanted.account_id, coming.held_until, found.*, grant_id, part, revoked_at
FROM unnest($1::uuid[]) AS wanted (account_id)
LEFT JOIN LATERAL (
    SELECT held_until FROM holds
    WHERE holds.account_id = wanted.account_id AND state = 'open' AND held_until > ledger_now()
    ORDER BY held_until LIMIT 1
) AS coming ON true
LEFT JOIN LATERAL (
    SELECT account_id, {_HOLD} FROM holds
    WHERE holds.account_id = wanted.account_id AND state = 'open' AND held_until <= ledger_now() OFFSET 0
) AS found ON true {_PARTS}
"""  # noqa: S608 - our own words

_NAMED = f"""
SELECT wanted.account_id, NULL, found.*, grant_id, part, revoked_at
FROM unnest($1::uuid[], $2::text[]) AS wanted (account_id, operation_id)
JOIN LATERAL (
    SELECT account_id, {_HOLD} FROM holds
    WHERE holds.account_id = wanted.account_id AND holds.operation_id = wanted.operation_id OFFSET 0
) AS found ON true {_PARTS}
"""  # noqa: S608 - our own words

_WRITE = """
WITH placed AS (
    INSERT INTO holds (account_id, operation_id, credits, made_by, held_until, created_at, state, closed_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[],
        $7::text[], $8::timestamptz[])
), parts AS (
    INSERT INTO hold_parts (account_id, operation_id, grant_id, credits)
    SELECT * FROM unnest($9::uuid[], $10::text[], $11::uuid[], $12::bigint[])
), changed AS (
    UPDATE holds SET held_until = new.held_until, state = new.state, closed_at = new.closed_at
    FROM unnest($13::uuid[], $14::text[], $15::timestamptz[], $16::text[], $17::timestamptz[])
        AS new (account_id, operation_id, held_until, state, closed_at)
    WHERE holds.account_id = ANY ($13::uuid[]) AND holds.operation_id = ANY ($14::text[])
        AND holds.account_id = new.account_id AND holds.operation_id = new.operation_id
), kept AS (
    UPDATE grants SET balance = new.balance, held = new.held
    FROM unnest($18::uuid[], $19::bigint[], $20::bigint[]) AS new (grant_id, balance, held)
    WHERE grants.grant_id = ANY ($18::uuid[]) AND grants.grant_id = new.grant_id
), accounted AS (
    UPDATE accounts SET debt = new.debt, balance = new.balance, held = new.held, next_expiry = new.next_expiry,
        seq = new.seq
    FROM unnest($21::uuid[], $22::bigint[], $23::bigint[], $24::bigint[], $25::timestamptz[], $26::bigint[])
        AS new (account_id, debt, balance, held, next_expiry, seq)
    WHERE accounts.account_id = ANY ($21::uuid[]) AND accounts.account_id = new.account_id
)
SELECT 1
"""

_FIND_ACCOUNTS = "SELECT account_id, made_by FROM holds WHERE operation_id = $1 ORDER BY account_id LIMIT 100"


@dataclass(slots=True)
class FoundHolds:
    """The holds of an account as they were read, by their operation ids; ``coming`` is when the next one lapses of
    those that are not due, as far as that was asked."""

    holds: dict[str, Hold] = field(default_factory=dict)
    coming: datetime | None = None


@dataclass(slots=True)
class HoldWrites:
    """All rows that holds make a transaction write, each in the order of its columns in the statement.

    ``placed``: account, operation id, credits, made by, held until, created at, state, closed at. ``parts``: account,
    operation id, grant, credits. ``changed``: account, operation id, held until, state, closed at. ``grants``: id,
    balance, held. ``accounts``: id, debt, balance, held, next expiry, seq.
    """

    placed: list[tuple[Any, ...]] = field(default_factory=list)
    parts: list[tuple[Any, ...]] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)
    grants: list[tuple[UUID, int, int]] = field(default_factory=list)
    accounts: list[tuple[Any, ...]] = field(default_factory=list)

    def place(self, account_id: UUID, hold: Hold) -> None:
        """Adds the rows of a new hold."""
        row = (account_id, hold.operation_id, hold.credits, hold.made_by, hold.held_until, hold.created_at)
        self.placed.append((*row, str(hold.state), hold.closed_at))
        self.parts.extend((account_id, hold.operation_id, grant.grant_id, part) for grant, part in hold.parts)

    def change(self, account_id: UUID, hold: Hold) -> None:
        """Adds what has become of a hold."""
        self.changed.append((account_id, hold.operation_id, hold.held_until, str(hold.state), hold.closed_at))

    def keep(self, grants: Iterable[SpendableGrant]) -> None:
        """Adds what has become of grants."""
        self.grants.extend((grant.grant_id, grant.balance, grant.held) for grant in grants)

    def __bool__(self) -> bool:
        return bool(self.placed or self.changed or self.grants or self.accounts)


async def due_holds(tx: AsyncConnection, grants: Mapping[UUID, Sequence[SpendableGrant]]) -> dict[UUID, FoundHolds]:
    """The open holds of these accounts whose time is over, and when the next one's is.

    ``grants`` are all of each account's grants with something left, in burn order; the holds' parts refer to them.
    """
    return _found(await tx.exec_driver_sql(_DUE, (list(grants),)), grants)


async def named_holds(
    tx: AsyncConnection, names: Sequence[tuple[UUID, str]], grants: Mapping[UUID, Sequence[SpendableGrant]]
) -> dict[UUID, FoundHolds]:
    """The holds of these accounts and operation ids, as far as there are any. ``grants`` as for :func:`due_holds`."""
    columns = ([account_id for account_id, _ in names], [operation_id for _, operation_id in names])
    return _found(await tx.exec_driver_sql(_NAMED, columns), grants)


async def write_holds(tx: AsyncConnection, writes: HoldWrites) -> None:
    """Writes everything. A grant or account that is in here must be written by no other statement of the
    transaction: the constraints look at each by itself."""
    columns = (
        *_columns(writes.placed, 8),
        *_columns(writes.parts, 4),
        *_columns(writes.changed, 5),
        *_columns(writes.grants, 3),
        *_columns(writes.accounts, 6),
    )
    await tx.exec_driver_sql(_WRITE, columns)


async def accounts_with_hold(tx: AsyncConnection, operation_id: str) -> list[tuple[UUID, str]]:
    """The accounts that have a hold of this operation id, each with the kind of token that made it; at most 100."""
    found: Any = await tx.exec_driver_sql(_FIND_ACCOUNTS, (operation_id,))
    return [(row[0], row[1]) for row in found]


def _found(rows: Any, grants: Mapping[UUID, Sequence[SpendableGrant]]) -> dict[UUID, FoundHolds]:
    by_account: dict[UUID, FoundHolds] = {}
    places: dict[UUID, dict[UUID, int]] = {}
    for account_id, coming, owner, operation_id, *row, grant_id, part, revoked_at in rows:
        found = by_account.setdefault(account_id, FoundHolds(coming=coming))
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


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True)) if rows else tuple([] for _ in range(width))
