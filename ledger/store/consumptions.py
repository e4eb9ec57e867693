"""Consumption by the batch: one statement reads what is needed to decide, one writes all that was decided.

Each is a transaction of its own, in the driver's own SQL over arrays: what they cost does not grow with SQLAlchemy's
work per row. The reader locks nothing. The writer changes an account only if it is as it was read (``seq``), and if
time has not changed it either (``next_expiry``); so what was decided in between holds at the instant of the writing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.rules.burning import SpendableGrant
from ledger.store.arrays import columns, rows_from, thrifty_columns
from ledger.store.holds import (
    DUE_HOLDS,
    NAMED_HOLDS,
    FoundHolds,
    HoldWrites,
    Session,
    found_holds,
    write_holds_from,
)
from messages.grants import GrantType

_TYPES = {str(grant_type): grant_type for grant_type in GrantType}

# Grants come in burn order, which is the order of ix_grants_live (rules/burn_order.py says it in Python): as many as
# the account's demand needs, and all of them where one may have expired.
READ_SPENDERS = """
SELECT a.account_id, a.debt, a.debt_cap, a.balance, a.held, a.next_expiry, a.seq, a.topup_threshold, ledger_now(), g.*
FROM unnest($1::uuid[], $2::numeric[]) AS wanted (account_id, demand)
CROSS JOIN LATERAL (SELECT * FROM accounts WHERE accounts.account_id = wanted.account_id OFFSET 0) AS a
LEFT JOIN LATERAL (
    SELECT grant_id, operation_id, type, balance, expires_at, price_cents, price_credits, currency, held
    FROM (
        SELECT *, sum(balance - held) OVER in_turn AS upto FROM grants
        WHERE grants.account_id = a.account_id AND live
        WINDOW in_turn AS (ORDER BY priority, expires_at, created_at, grant_id ROWS UNBOUNDED PRECEDING)
    ) AS filled
    WHERE upto - (balance - held) < demand OR a.next_expiry <= ledger_now()
    ORDER BY priority, expires_at, created_at, grant_id OFFSET 0
) AS g ON true
"""

# Accounts come in the order of their ids and are locked in it, so that two batches never wait for each other in a
# circle. An entry that names no instant counts from the transaction's. "Between the least and the largest number" says
# nothing to the reader, but it makes the planner expect a single row, and look it up: of the ten that it expects of an
# array, it would walk through the whole index of a small table.
_WRITE = """
WITH changed AS (
    UPDATE accounts SET seq = new.seq, debt = new.debt, balance = new.balance, usage = usage + new.used,
        next_expiry = new.next_expiry{held}
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[]
        {held_by_account}) AS new (account_id, seq_read, seq, debt, balance, used, next_expiry{held_column})
    WHERE accounts.account_id = new.account_id AND accounts.seq = new.seq_read
        AND new.seq BETWEEN -9223372036854775808 AND 9223372036854775807
        AND (new.next_expiry IS NULL OR new.next_expiry > ledger_now())
    RETURNING 1
), burned AS (
    UPDATE grants SET balance = new.balance{held}
    FROM unnest($8::uuid[], $9::bigint[]{held_by_grant}) AS new (grant_id, balance{held_column})
    WHERE grants.grant_id = new.grant_id
        AND new.balance BETWEEN -9223372036854775808 AND 9223372036854775807
), claimed AS (
    INSERT INTO operations ({operation_columns}) {operations}
), entered AS (
    INSERT INTO journal ({entry_columns}, effective_at)
    SELECT {entry_columns}, coalesce(effective_at, ledger_now()) FROM ({entries}) AS new
){holds}
SELECT require_unchanged((SELECT count(*) FROM changed), cardinality($1))
"""

_OPERATION = {
    "operation_id": "text",
    "account_id": "uuid",
    "kind": "text",
    "request": "json",
    "answer": "json",
    "actor": "text",
    "request_id": "text",
}
_ENTRY = {
    "operation_id": "text",
    "account_id": "uuid",
    "seq": "bigint",
    "kind": "text",
    "grant_id": "uuid",
    "credits": "bigint",
    "balance_after": "bigint",
    "actor": "text",
    "request_id": "text",
    "price_cents": "bigint",
    "price_credits": "bigint",
    "currency": "text",
}
_ROWS = {
    "operation_columns": ", ".join(_OPERATION),
    "operations": rows_from(10, _OPERATION),
    "entry_columns": ", ".join(_ENTRY),
    "entries": rows_from(17, _ENTRY | {"effective_at": "timestamptz"}),
}

WRITE_BATCH = _WRITE.format(held="", held_column="", held_by_account="", held_by_grant="", holds="", **_ROWS)
# What holds keep is written only where a hold has changed.
WRITE_BATCH_WITH_HOLDS = _WRITE.format(
    held=", held = new.held",
    held_column=", held",
    held_by_account=", $30::bigint[]",
    held_by_grant=", $31::bigint[]",
    holds=write_holds_from(32),
    **_ROWS,
)

FIND_OPERATIONS = """
SELECT found.* FROM unnest($1::uuid[], $2::text[]) AS wanted (account_id, operation_id), LATERAL (
    SELECT account_id::text, operation_id, kind, request, answer, request_id FROM operations
    WHERE operations.account_id = wanted.account_id AND operations.operation_id = wanted.operation_id OFFSET 0
) AS found
"""

# Those that nobody holds; the lock is gone again with the statement.
FIND_FREE = """
SELECT account_id::text FROM accounts WHERE account_id = ANY ($1::uuid[]) FOR NO KEY UPDATE SKIP LOCKED
"""


class AccountsMoved(Exception):
    """An account has changed between two looks at it: it has to be read again from the beginning."""


@dataclass(slots=True)
class Spender:
    """An account as it was read, at ``now``.

    ``topup_threshold`` is the net balance below which it is to be topped up, if its owner wants that. ``grants``, in
    burn order, are those that the account's demand can reach; where time may have changed something
    (``next_expiry`` is past), all that have something left. ``balance`` is the sum of all, ``held`` the part of it that
    open holds keep.
    """

    account_id: UUID
    debt: int
    debt_cap: int
    balance: int
    held: int
    next_expiry: datetime | None
    seq: int
    topup_threshold: int | None
    now: datetime
    grants: list[SpendableGrant] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecordedOperation:
    """What an account has used an operation id for."""

    kind: str
    request: dict[str, Any]
    answer: dict[str, Any] | None
    request_id: str


@dataclass(slots=True)
class Writes:
    """All that a batch writes, row by row, each row in the order of its columns in the statement.

    ``accounts``: id, seq as it was read, seq, debt, balance, what was used, next expiry, held. ``grants``: id, balance,
    held.
    ``operations``: id, account, kind, request and answer (JSON), actor, request id. ``entries``: operation id, account,
    seq, kind, grant, credits, balance after, actor, request id, price (cents, credits, currency), effective at (None:
    the transaction's instant).
    """

    accounts: list[tuple[Any, ...]] = field(default_factory=list)
    grants: list[tuple[UUID, int, int]] = field(default_factory=list)
    operations: list[tuple[Any, ...]] = field(default_factory=list)
    entries: list[tuple[Any, ...]] = field(default_factory=list)
    holds: HoldWrites = field(default_factory=HoldWrites)


async def read_spenders(session: Session, demands: Mapping[str, int]) -> dict[str, Spender]:
    """Reads the accounts, and what can pay for each one's demand, in credits. Unknown accounts are missing."""
    rows = await session.fetch(READ_SPENDERS, list(demands), list(demands.values()))
    spenders: dict[str, Spender] = {}
    spender = None
    for account_id, debt, cap, has, held, next_expiry, seq, threshold, now, grant_id, operation_id, kind, *more in rows:
        if spender is None or spender.account_id != account_id:
            spender = Spender(account_id, debt, cap, has, held, next_expiry, seq, threshold, now)
            spenders[str(account_id)] = spender
        if grant_id is not None:
            spender.grants.append(SpendableGrant(grant_id, operation_id, _TYPES[kind], *more))
    return spenders


async def read_holds(
    session: Session, spenders: Mapping[str, Spender], named: Sequence[tuple[str, str]]
) -> dict[str, FoundHolds]:
    """The holds of these accounts that have fallen due, and those that are named (account and operation id).

    For the accounts of both, ``spenders`` must have all grants. Raises AccountsMoved.
    """
    due = [spender for spender in spenders.values() if spender.held and _is_due(spender)]
    if not due and not named:
        return {}
    found: dict[str, FoundHolds] = {}
    grants = {spender.account_id: spender.grants for spender in spenders.values()}
    try:
        if named:
            # Several items may name the same hold, and it is one hold.
            rows = await session.fetch(NAMED_HOLDS, *columns(list(dict.fromkeys(named)), 2))
            found = _by_text(found_holds(rows, grants))
        if due:
            ids = [spender.account_id for spender in due]
            rows = await session.fetch(DUE_HOLDS, ids, due[0].now)
            for account_id, fallen in _by_text(found_holds(rows, grants)).items():
                if account_id in found:
                    # A hold that is named and has fallen due is one hold.
                    fallen.holds = found[account_id].holds | fallen.holds
                found[account_id] = fallen
    except KeyError as error:
        raise AccountsMoved from error
    if any(spenders[account_id].seq != each.seq for account_id, each in found.items()):
        raise AccountsMoved
    return found


def _is_due(spender: Spender) -> bool:
    return spender.next_expiry is not None and spender.next_expiry <= spender.now


def _by_text(found: dict[UUID, FoundHolds]) -> dict[str, FoundHolds]:
    return {str(account_id): each for account_id, each in found.items()}


async def write_batch(session: Session, writes: Writes) -> None:
    """Writes everything, or nothing. An operation id that is taken violates ``pk_operations``,
    or the key of its hold."""
    *accounts, held_by_account = columns(sorted(writes.accounts), 8)
    *grants, held_by_grant = columns(writes.grants, 3)
    written = (*accounts, *grants, *thrifty_columns(writes.operations, 7), *thrifty_columns(writes.entries, 13))
    if writes.holds:
        await session.fetch(WRITE_BATCH_WITH_HOLDS, *written, held_by_account, held_by_grant, *writes.holds.columns())
    else:
        await session.fetch(WRITE_BATCH, *written)


async def find_operations(
    session: Session, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], RecordedOperation]:
    """What the accounts have used these operation ids for, as far as they have."""
    rows = await session.fetch(FIND_OPERATIONS, *columns(keys, 2))
    return {(row[0], row[1]): RecordedOperation(row[2], _json(row[3]), _json(row[4]), row[5]) for row in rows}


async def find_free(session: Session, account_ids: Sequence[str]) -> set[str]:
    """Those of the accounts that nobody holds at this moment."""
    return {row[0] for row in await session.fetch(FIND_FREE, account_ids)}


def _json(value: Any) -> Any:
    return None if value is None else json.loads(value)
