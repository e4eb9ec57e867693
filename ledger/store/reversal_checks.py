"""What is booked of reversals, to be compared with the journal and the holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import and_, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.books import one_of
from ledger.store.hold_tables import holds
from ledger.store.reversal_tables import payment_reversals
from ledger.store.tables import TAKEN_BACK, journal


@dataclass(frozen=True, slots=True)
class ReversalBooks:
    """What is booked for a payment: ``reversed_credits`` in all, of which a revocation ``covered`` some."""

    account_id: UUID
    payment_id: str
    grant_id: UUID
    reversed_credits: int
    covered_credits: int
    frozen_hold: str | None


async def read_reversals(tx: AsyncConnection, account_ids: Sequence[UUID]) -> list[ReversalBooks]:
    """The rows of the reversals of these accounts."""
    found = await tx.execute(
        select(
            payment_reversals.c.account_id,
            payment_reversals.c.payment_id,
            payment_reversals.c.grant_id,
            payment_reversals.c.reversed_credits,
            payment_reversals.c.covered_credits,
            payment_reversals.c.frozen_hold,
        ).where(payment_reversals.c.account_id == one_of(account_ids))
    )
    return [ReversalBooks(**row._mapping) for row in found]


async def reversed_by_payment(tx: AsyncConnection, account_ids: Sequence[UUID]) -> dict[tuple[UUID, str | None], int]:
    """What the journal says was taken back for each payment of these accounts, debt included, less what was given
    back."""
    found = await tx.execute(
        select(journal.c.account_id, journal.c.payment_id, (-func.sum(journal.c.credits)).label("credits"))
        # The condition of the index, word for word.
        .where(journal.c.account_id == one_of(account_ids), text(TAKEN_BACK), text("kind <> 'revoked'"))
        .group_by(journal.c.account_id, journal.c.payment_id)
    )
    return {(row.account_id, row.payment_id): int(row.credits) for row in found}


async def open_freezes(tx: AsyncConnection, account_ids: Sequence[UUID]) -> set[tuple[UUID, str]]:
    """Account and operation id of the open holds that the system has made in these accounts."""
    found = await tx.execute(
        select(holds.c.account_id, holds.c.operation_id).where(
            and_(holds.c.account_id == one_of(account_ids), holds.c.state == "open"), holds.c.made_by == "system"
        )
    )
    return {(row.account_id, row.operation_id) for row in found}
