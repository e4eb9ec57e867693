"""The journal: append-only, enforced by the database. An entry carries all that can't be filled in later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.money import Price
from ledger.store.tables import journal


@dataclass(frozen=True)
class Entry:
    """One change of a balance. ``credits`` is signed; ``grant_id`` is None on entries of the debt alone.

    ``price`` is the grant's price, None on debt entries. ``effective_at`` is when it counts, in UTC. ``actor`` is
    None where it is the transaction's.
    """

    kind: str
    operation_id: str
    credits: int
    grant_id: UUID | None
    price: Price | None
    effective_at: datetime
    payment_id: str | None = None
    actor: str | None = None


@dataclass(frozen=True)
class Origin:
    """Who caused the entries, by which request, and the change of the account that they make up."""

    account_id: UUID
    seq: int
    actor: str
    request_id: str


async def write_entries(tx: AsyncConnection, origin: Origin, entries: Sequence[Entry], *, balance_before: int) -> None:
    """Appends the entries, each with the net balance after it, beginning from ``balance_before``."""
    balance = balance_before
    rows = []
    for entry in entries:
        balance += entry.credits
        rows.append(
            {
                "account_id": origin.account_id,
                "seq": origin.seq,
                "kind": entry.kind,
                "operation_id": entry.operation_id,
                "grant_id": entry.grant_id,
                "credits": entry.credits,
                "balance_after": balance,
                "actor": entry.actor or origin.actor,
                "request_id": origin.request_id,
                "payment_id": entry.payment_id,
                "price_cents": entry.price.cents if entry.price else None,
                "price_credits": entry.price.credits if entry.price else None,
                "currency": entry.price.currency if entry.price else None,
                "effective_at": entry.effective_at,
            }
        )
    if rows:
        await tx.execute(insert(journal), rows)
