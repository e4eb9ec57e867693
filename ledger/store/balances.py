"""Reads an account's balance in one statement, hence from one snapshot."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Uuid, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.burning import SpendableGrant
from ledger.rules.holding import Hold
from ledger.store.tables import accounts
from messages.grants import GrantType

# The grants and holds themselves are read only where time may have changed something since the account was written.
# Nobody has to pay for one's own held credits twice: the breakdown has them, and ``held`` says how many they are.
_BALANCE = """
SELECT a.account_id, a.seq, a.debt, a.held, a.usage, a.next_reset, ledger_now() AS now,
    (
        SELECT jsonb_object_agg(type, credits) FROM (
            SELECT type, sum(balance) AS credits FROM grants
            WHERE grants.account_id = a.account_id AND live GROUP BY type
        ) AS filled
    ) AS by_type,
    CASE WHEN a.next_expiry <= ledger_now() THEN (
        SELECT jsonb_agg(jsonb_build_array(grant_id, operation_id, type, balance, expires_at, price_cents,
            price_credits, currency, held, revoked_at IS NOT NULL) ORDER BY priority, expires_at, created_at, grant_id)
        FROM grants WHERE grants.account_id = a.account_id AND live
    ) END AS grants,
    CASE WHEN a.next_expiry <= ledger_now() AND a.held > 0 THEN (
        SELECT jsonb_agg(jsonb_build_array(operation_id, credits, made_by, held_until, created_at, (
            SELECT jsonb_agg(jsonb_build_array(grant_id, credits)) FROM hold_parts
            WHERE hold_parts.account_id = a.account_id AND hold_parts.operation_id = holds.operation_id
        )))
        FROM holds WHERE holds.account_id = a.account_id AND state = 'open' AND held_until <= ledger_now()
    ) END AS holds
FROM accounts AS a WHERE a.account_id = $1
"""


@dataclass(frozen=True)
class BalanceRow:
    """The numbers of a balance as they were last written; ``by_type`` lists only types with something left.

    Where time may have changed something since, ``grants`` are all grants with something left, in burn order, and
    ``holds`` the open holds whose time is over.
    """

    account_id: UUID
    seq: int
    debt: int
    held: int
    usage: int
    next_reset: datetime
    now: datetime
    by_type: dict[str, int]
    grants: list[SpendableGrant] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)


async def read_balance(tx: AsyncConnection, account_id: UUID) -> BalanceRow | None:
    """The account's balance at the transaction's instant, or None."""
    found: Any = await tx.exec_driver_sql(_BALANCE, (account_id,))
    row = found.one_or_none()
    if row is None:
        return None
    grants = [_grant(*each) for each in _json(row.grants)]
    return BalanceRow(
        account_id=row.account_id,
        seq=row.seq,
        debt=row.debt,
        held=row.held,
        usage=row.usage,
        next_reset=row.next_reset,
        now=row.now,
        by_type=dict(_json(row.by_type)),
        grants=grants,
        holds=[_hold(grants, *each) for each in _json(row.holds)],
    )


def _grant(
    grant_id: str, operation_id: str, kind: str, balance: int, expires_at: str | None, *more: Any
) -> SpendableGrant:
    ends = None if expires_at is None else datetime.fromisoformat(expires_at)
    return SpendableGrant(UUID(grant_id), operation_id, GrantType(kind), balance, ends, *more)


def _hold(
    grants: list[SpendableGrant],
    operation_id: str,
    credits: int,
    made_by: str,
    held_until: str,
    created_at: str,
    parts: list[tuple[str, int]],
) -> Hold:
    kept = dict(parts)
    return Hold(
        operation_id,
        credits,
        made_by,
        datetime.fromisoformat(held_until),
        datetime.fromisoformat(created_at),
        parts=[(grant, kept[str(grant.grant_id)]) for grant in grants if str(grant.grant_id) in kept],
    )


def _json(value: Any) -> Any:
    # Driver SQL passes JSON through as text; an aggregate of nothing is nothing.
    return json.loads(value or "[]") if value is None or isinstance(value, str) else value


async def changed_since(tx: AsyncConnection, known: Mapping[UUID, int]) -> dict[UUID, int]:
    """Those of the accounts whose change number is past the one in ``known``, each with the number it has now."""
    then = (
        func.unnest(
            bindparam("accounts", list(known), ARRAY(Uuid)), bindparam("seqs", list(known.values()), ARRAY(BigInteger))
        )
        .table_valued(column("account_id", Uuid), column("seq", BigInteger))
        .render_derived()
    )
    found = await tx.execute(
        select(accounts.c.account_id, accounts.c.seq)
        .join(then, then.c.account_id == accounts.c.account_id)
        .where(accounts.c.seq > then.c.seq)
    )
    return {row.account_id: row.seq for row in found}
