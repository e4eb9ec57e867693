"""Reads an account's balance in one statement, hence from one snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Uuid, bindparam, column, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.accounts import LEDGER_NOW
from ledger.store.tables import accounts, grants, journal


@dataclass(frozen=True)
class BalanceRow:
    """The numbers of a balance as the database has them; ``by_type`` lists only types with something live."""

    account_id: UUID
    seq: int
    debt: int
    usage: int
    next_reset: datetime
    now: datetime
    by_type: dict[str, int]


async def read_balance(tx: AsyncConnection, account_id: UUID) -> BalanceRow | None:
    """The account's balance at the transaction's instant, or None."""
    live = (
        select(grants.c.type, func.sum(grants.c.balance).label("credits"))
        .where(
            grants.c.account_id == accounts.c.account_id,
            grants.c.live,
            or_(grants.c.expires_at.is_(None), grants.c.expires_at > LEDGER_NOW),
        )
        .group_by(grants.c.type)
        .correlate(accounts)
        .subquery()
    )
    by_type = select(func.jsonb_object_agg(live.c.type, live.c.credits)).correlate(accounts).scalar_subquery()
    usage = (
        select(func.coalesce(-func.sum(journal.c.credits), 0))
        .where(
            journal.c.account_id == accounts.c.account_id,
            journal.c.kind.in_(("consumed", "debt-incurred")),
            journal.c.effective_at >= accounts.c.cycle_start,
        )
        .correlate(accounts)
        .scalar_subquery()
    )
    found = await tx.execute(
        select(
            accounts.c.account_id,
            accounts.c.seq,
            accounts.c.debt,
            accounts.c.next_reset,
            LEDGER_NOW.label("now"),
            by_type.label("by_type"),
            usage.label("usage"),
        ).where(accounts.c.account_id == account_id)
    )
    row: Any = found.one_or_none()
    if row is None:
        return None
    return BalanceRow(
        account_id=row.account_id,
        seq=row.seq,
        debt=row.debt,
        usage=int(row.usage),
        next_reset=row.next_reset,
        now=row.now,
        by_type={name: int(credits) for name, credits in (row.by_type or {}).items()},
    )


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
