"""Consumption by the batch: one statement reads what is needed to decide, one writes all that was decided.

The statements are driver SQL over arrays: what they cost does not grow with SQLAlchemy's work per row.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.burning import SpendableGrant
from messages.grants import GrantType

_TYPES = {str(grant_type): grant_type for grant_type in GrantType}

# The accounts are locked in the order of their ids, so that two batches never wait for each other in a circle. Their
# grants come in burn order, which is the order of ix_grants_live (rules/burn_order.py says it in Python): as many as
# the account's demand needs, and all of them where one may have expired.
_LOCK = """
WITH locked AS MATERIALIZED (
    SELECT account_id, debt, debt_cap, balance, held, next_expiry, seq
    FROM accounts WHERE account_id = ANY ($1::uuid[]) ORDER BY account_id FOR NO KEY UPDATE {skip}
)
SELECT locked.*, ledger_now(), g.*
FROM locked JOIN unnest($1::uuid[], $2::numeric[]) AS wanted (account_id, demand) USING (account_id)
LEFT JOIN LATERAL (
    SELECT grant_id, operation_id, type, balance, expires_at, price_cents, price_credits, currency, held
    FROM (
        SELECT *, sum(balance - held) OVER in_turn AS upto FROM grants
        WHERE grants.account_id = locked.account_id AND live
        WINDOW in_turn AS (ORDER BY priority, expires_at, created_at, grant_id ROWS UNBOUNDED PRECEDING)
    ) AS filled
    WHERE upto - (balance - held) < demand OR locked.next_expiry <= ledger_now()
    ORDER BY priority, expires_at, created_at, grant_id OFFSET 0
) AS g ON true
"""
LOCK_SPENDERS = _LOCK.format(skip="")
_LOCK_FREE = _LOCK.format(skip="SKIP LOCKED")

# The claim comes first in the reader's order only: all parts run on one snapshot, and whoever finds fewer claims than
# it made rolls everything back.
_WRITE = """
WITH claimed AS (
    INSERT INTO operations (account_id, operation_id, kind, request, answer, actor, request_id)
    SELECT account_id, operation_id, kind, request::jsonb, answer::jsonb, actor, request_id
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        AS new (account_id, operation_id, kind, request, answer, actor, request_id)
    ON CONFLICT DO NOTHING RETURNING 1
), entered AS (
    INSERT INTO journal (account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, request_id,
        price_cents, price_credits, currency, effective_at)
    SELECT * FROM unnest($8::uuid[], $9::bigint[], $10::text[], $11::text[], $12::uuid[], $13::bigint[],
        $14::bigint[], $15::text[], $16::text[], $17::bigint[], $18::bigint[], $19::text[], $20::timestamptz[])
), burned AS (
    UPDATE grants SET balance = new.balance FROM unnest($21::uuid[], $22::bigint[]) AS new (grant_id, balance)
    WHERE grants.grant_id = ANY ($21::uuid[]) AND grants.grant_id = new.grant_id
), changed AS (
    UPDATE accounts SET debt = new.debt, balance = new.balance, next_expiry = new.next_expiry, seq = new.seq
    FROM unnest($23::uuid[], $24::bigint[], $25::bigint[], $26::timestamptz[], $27::bigint[])
        AS new (account_id, debt, balance, next_expiry, seq)
    WHERE accounts.account_id = ANY ($23::uuid[]) AND accounts.account_id = new.account_id
)
SELECT count(*) FROM claimed
"""

_FIND = """
SELECT found.* FROM unnest($1::uuid[], $2::text[]) AS wanted (account_id, operation_id), LATERAL (
    SELECT account_id, operation_id, kind, request, answer, request_id FROM operations
    WHERE operations.account_id = wanted.account_id AND operations.operation_id = wanted.operation_id OFFSET 0
) AS found
"""


@dataclass(slots=True)
class LockedSpender:
    """An account whose row this transaction holds.

    ``grants``, in burn order, are those that the account's demand can reach; where one of its grants may have
    expired (``next_expiry`` is past), all that have something left. ``balance`` is the sum of all, ``held`` the part of
    it that open holds keep.
    """

    account_id: UUID
    debt: int
    debt_cap: int
    balance: int
    held: int
    next_expiry: datetime | None
    seq: int
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

    ``operations``: account, id, kind, request and answer (JSON), actor, request id. ``entries``: account, seq, kind,
    operation id, grant, credits, balance after, actor, request id, price (cents, credits, currency), effective at.
    ``grants``: id, balance. ``accounts``: id, debt, balance, next expiry, seq.
    """

    operations: list[tuple[Any, ...]] = field(default_factory=list)
    entries: list[tuple[Any, ...]] = field(default_factory=list)
    grants: list[tuple[UUID, int]] = field(default_factory=list)
    accounts: list[tuple[UUID, int, int, datetime | None, int]] = field(default_factory=list)


async def lock_spenders(
    tx: AsyncConnection, demands: Mapping[UUID, int], *, skip_locked: bool = False
) -> dict[UUID, LockedSpender]:
    """Locks the accounts in the order of their ids and reads what can pay for each one's demand, in credits.

    Unknown accounts are missing in the answer, and so are those that somebody else holds if these are to be skipped.
    """
    statement = _LOCK_FREE if skip_locked else LOCK_SPENDERS
    found: Any = await tx.exec_driver_sql(statement, (list(demands), list(demands.values())))
    spenders: dict[UUID, LockedSpender] = {}
    for account_id, debt, cap, has, held, next_expiry, seq, now, grant_id, operation_id, kind, *more in found:
        spender = spenders.get(account_id)
        if spender is None:
            spender = LockedSpender(account_id, debt, cap, has, held, next_expiry, seq, now)
            spenders[account_id] = spender
        if grant_id is not None:
            spender.grants.append(SpendableGrant(grant_id, operation_id, _TYPES[kind], *more))
    return spenders


async def write_consumptions(tx: AsyncConnection, writes: Writes) -> bool:
    """Writes everything; False if one of the operation ids was taken already, and then the caller must roll back."""
    columns = (
        *_columns(writes.operations, 7),
        *_columns(writes.entries, 13),
        *_columns(writes.grants, 2),
        *_columns(writes.accounts, 5),
    )
    claimed: int = (await tx.exec_driver_sql(_WRITE, columns)).scalar_one()
    return claimed == len(writes.operations)


async def find_operations(
    tx: AsyncConnection, keys: Sequence[tuple[UUID, str]]
) -> dict[tuple[UUID, str], RecordedOperation]:
    """What the accounts have used these operation ids for, as far as they have."""
    found: Any = await tx.exec_driver_sql(_FIND, _columns(keys, 2))
    return {(row[0], row[1]): RecordedOperation(row[2], _json(row[3]), _json(row[4]), row[5]) for row in found}


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True)) if rows else tuple([] for _ in range(width))


def _json(value: Any) -> Any:
    # Driver SQL passes JSON through as text.
    return json.loads(value) if isinstance(value, str) else value
