"""Accounts that time alone has changed, while nobody touched them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.accounts import LEDGER_NOW
from ledger.store.tables import accounts


async def due_accounts(tx: AsyncConnection, *, limit: int) -> list[UUID]:
    """The accounts in which something may be due, the longest due first. A look that locks nothing."""
    found = await tx.execute(
        select(accounts.c.account_id)
        .where(accounts.c.next_expiry <= LEDGER_NOW)
        .order_by(accounts.c.next_expiry)
        .limit(limit)
    )
    return list(found.scalars())


async def move_next_expiry(tx: AsyncConnection, account_id: UUID, next_expiry: datetime | None) -> None:
    """Writes a closer bound on the account's next expiry. The account has not changed: its change number stays."""
    await tx.execute(update(accounts).where(accounts.c.account_id == account_id).values(next_expiry=next_expiry))
