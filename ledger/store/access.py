"""Tokens and tickets, by their hashes."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.tables import account_tokens, tickets


async def insert_token(tx: AsyncConnection, *, token_hash: bytes, account_id: UUID) -> None:
    """Stores a new token of the account. A repeat, after a commit whose answer was lost, changes nothing."""
    await tx.execute(
        insert(account_tokens).values(token_hash=token_hash, account_id=account_id).on_conflict_do_nothing()
    )


async def find_token(tx: AsyncConnection, token_hash: bytes) -> UUID | None:
    """The account of a token that has not been revoked."""
    found = await tx.execute(
        select(account_tokens.c.account_id).where(
            account_tokens.c.token_hash == token_hash, account_tokens.c.revoked_at.is_(None)
        )
    )
    return found.scalar_one_or_none()


async def insert_ticket(tx: AsyncConnection, *, ticket_hash: bytes, account_id: UUID, life: timedelta) -> None:
    """Stores a ticket, and clears away those that nobody came for."""
    await tx.execute(delete(tickets).where(tickets.c.expires_at < func.now()))
    await tx.execute(
        insert(tickets)
        .values(ticket_hash=ticket_hash, account_id=account_id, expires_at=func.now() + life)
        .on_conflict_do_nothing()
    )


async def take_ticket(tx: AsyncConnection, ticket_hash: bytes) -> UUID | None:
    """Removes the ticket and answers whose it was, if it is still good. Two who come at once: one gets it."""
    found = await tx.execute(
        delete(tickets)
        .where(tickets.c.ticket_hash == ticket_hash, tickets.c.expires_at > func.now())
        .returning(tickets.c.account_id)
    )
    return found.scalar_one_or_none()
