"""Consumption by the batch: one statement reads what is needed to decide, one writes all that was decided.

Each is a transaction of its own, in the driver's own SQL over arrays: what they cost does not grow with SQLAlchemy's
work per row. The reader locks nothing. The writer changes an account only if it is as it was read (``seq``), and if
time has not changed it either (``next_expiry``); so what was decided in between holds at the instant of the writing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from ledger.rules.burning import SpendableGrant
from messages.grants import GrantType

_TYPES = {str(grant_type): grant_type for grant_type in GrantType}

# Grants come in burn order, which is the order of ix_grants_live (rules/burn_order.py says it in Python): as many as
# the account's demand needs, and all of them where one may have expired.
READ_SPENDERS = """
SELECT a.account_id, a.debt, a.debt_cap, a.balance, a.held, a.next_expiry, a.seq, ledger_now(), g.*
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
WRITE_BATCH = """
WITH changed AS (
    UPDATE accounts SET seq = new.seq, debt = new.debt, balance = new.balance, usage = usage + new.used,
        next_expiry = new.next_expiry
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])
        AS new (account_id, seq_read, seq, debt, balance, used, next_expiry)
    WHERE accounts.account_id = new.account_id AND accounts.seq = new.seq_read
        AND new.seq BETWEEN -9223372036854775808 AND 9223372036854775807
        AND (new.next_expiry IS NULL OR new.next_expiry > ledger_now())
    RETURNING 1
), burned AS (
    UPDATE grants SET balance = new.balance FROM unnest($8::uuid[], $9::bigint[]) AS new (grant_id, balance)
    WHERE grants.grant_id = new.grant_id
        AND new.balance BETWEEN -9223372036854775808 AND 9223372036854775807
), claimed AS (
    INSERT INTO operations (account_id, operation_id, kind, request, answer, actor, request_id)
    SELECT * FROM unnest($10::uuid[], $11::text[], $12::text[], $13::json[], $14::json[], $15::text[], $16::text[])
), entered AS (
    INSERT INTO journal (account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, request_id,
        price_cents, price_credits, currency, effective_at)
    SELECT account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, request_id,
        price_cents, price_credits, currency, coalesce(effective_at, ledger_now())
    FROM unnest($17::uuid[], $18::bigint[], $19::text[], $20::text[], $21::uuid[], $22::bigint[], $23::bigint[],
        $24::text[], $25::text[], $26::bigint[], $27::bigint[], $28::text[], $29::timestamptz[])
        AS new (account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, request_id,
            price_cents, price_credits, currency, effective_at)
)
SELECT require_unchanged((SELECT count(*) FROM changed), cardinality($1))
"""

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


class Session(Protocol):
    """Where the statements run, each as a transaction (``ledger/session.py``)."""

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]: ...


@dataclass(slots=True)
class Spender:
    """An account as it was read, at ``now``.

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

    ``accounts``: id, seq as it was read, seq, debt, balance, what was used, next expiry. ``grants``: id, balance.
    ``operations``: account, id, kind, request and answer (JSON), actor, request id. ``entries``: account, seq, kind,
    operation id, grant, credits, balance after, actor, request id, price (cents, credits, currency), effective at
    (None: the transaction's instant).
    """

    accounts: list[tuple[Any, ...]] = field(default_factory=list)
    grants: list[tuple[UUID, int]] = field(default_factory=list)
    operations: list[tuple[Any, ...]] = field(default_factory=list)
    entries: list[tuple[Any, ...]] = field(default_factory=list)


async def read_spenders(session: Session, demands: Mapping[str, int]) -> dict[str, Spender]:
    """Reads the accounts, and what can pay for each one's demand, in credits. Unknown accounts are missing."""
    rows = await session.fetch(READ_SPENDERS, list(demands), list(demands.values()))
    spenders: dict[str, Spender] = {}
    spender = None
    for account_id, debt, cap, has, held, next_expiry, seq, now, grant_id, operation_id, kind, *more in rows:
        if spender is None or spender.account_id != account_id:
            spender = Spender(account_id, debt, cap, has, held, next_expiry, seq, now)
            spenders[str(account_id)] = spender
        if grant_id is not None:
            spender.grants.append(SpendableGrant(grant_id, operation_id, _TYPES[kind], *more))
    return spenders


async def write_batch(session: Session, writes: Writes) -> None:
    """Writes everything, or nothing. An operation id that is taken violates ``pk_operations``."""
    await session.fetch(
        WRITE_BATCH,
        *_columns(sorted(writes.accounts), 7),
        *_columns(writes.grants, 2),
        *_columns(writes.operations, 7),
        *_columns(writes.entries, 13),
    )


async def find_operations(
    session: Session, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], RecordedOperation]:
    """What the accounts have used these operation ids for, as far as they have."""
    rows = await session.fetch(FIND_OPERATIONS, *_columns(keys, 2))
    return {(row[0], row[1]): RecordedOperation(row[2], _json(row[3]), _json(row[4]), row[5]) for row in rows}


async def find_free(session: Session, account_ids: Sequence[str]) -> set[str]:
    """Those of the accounts that nobody holds at this moment."""
    return {row[0] for row in await session.fetch(FIND_FREE, account_ids)}


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> tuple[Sequence[Any], ...]:
    return tuple(zip(*rows, strict=True)) if rows else ((),) * width


def _json(value: Any) -> Any:
    return None if value is None else json.loads(value)
