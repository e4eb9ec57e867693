"""Reversals: what is booked of each payment, and where credits that were bought with it may be."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as insert_new
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.burning import SpendableGrant
from ledger.rules.errors import UnknownPayment
from ledger.rules.holding import Hold
from ledger.rules.money import Price
from ledger.store.hold_tables import hold_parts, holds
from ledger.store.holds import NAMED_HOLDS, found_holds
from ledger.store.reversal_tables import payment_reversals, rollover_sources
from ledger.store.tables import grants, journal
from messages.grants import GrantType

# More rollovers than resets will ever come: a month has one.
ROLLOVERS = 10_000


@dataclass(frozen=True)
class Purchase:
    """The grant that a payment paid for: what never changes of it."""

    payment_id: str
    account_id: UUID
    grant_id: UUID
    operation_id: str
    type: GrantType
    principal: int
    price: Price


@dataclass(frozen=True)
class BookedReversal:
    """What is booked for a payment: the target in minor units, the credits, and how often it was changed."""

    paid_cents: int
    reversed_cents: int = 0
    frozen_cents: int = 0
    reversed_credits: int = 0
    covered_credits: int = 0
    frozen_hold: str | None = None
    changes: int = 0


async def find_purchase(tx: AsyncConnection, payment_id: str) -> Purchase:
    """The grant that this payment paid for. Raises UnknownPayment where there is none yet."""
    found = await tx.execute(
        select(
            grants.c.account_id,
            grants.c.grant_id,
            grants.c.operation_id,
            grants.c.type,
            grants.c.principal,
            grants.c.price_cents,
            grants.c.price_credits,
            grants.c.currency,
        ).where(grants.c.payment_id == payment_id)
    )
    row = found.one_or_none()
    if row is None:
        raise UnknownPayment(payment_id)
    return Purchase(
        payment_id=payment_id,
        account_id=row.account_id,
        grant_id=row.grant_id,
        operation_id=row.operation_id,
        type=GrantType(row.type),
        principal=row.principal,
        price=Price(cents=row.price_cents, credits=row.price_credits, currency=row.currency),
    )


async def begin_reversal(tx: AsyncConnection, purchase: Purchase, *, paid_cents: int, now: datetime) -> BookedReversal:
    """What is booked for the payment; if nothing is, the row that says so is written.

    It writes first and reads only where there is a row: a look for one that is not there predicate-locks its
    neighbours in the index, and first reversals of strangers would conflict.
    """
    written = await tx.execute(
        insert_new(payment_reversals)
        .values(
            payment_id=purchase.payment_id,
            account_id=purchase.account_id,
            grant_id=purchase.grant_id,
            paid_cents=paid_cents,
            reversed_cents=0,
            frozen_cents=0,
            reversed_credits=0,
            covered_credits=0,
            changes=0,
            updated_at=now,
        )
        .on_conflict_do_nothing()
        .returning(payment_reversals.c.payment_id)
    )
    if written.first() is not None:
        return BookedReversal(paid_cents)
    return await find_reversal(tx, purchase.payment_id) or BookedReversal(paid_cents)


async def find_reversal(tx: AsyncConnection, payment_id: str) -> BookedReversal | None:
    """What is booked for the payment, or None where nothing ever was."""
    found = await tx.execute(
        select(
            payment_reversals.c.paid_cents,
            payment_reversals.c.reversed_cents,
            payment_reversals.c.frozen_cents,
            payment_reversals.c.reversed_credits,
            payment_reversals.c.covered_credits,
            payment_reversals.c.frozen_hold,
            payment_reversals.c.changes,
        ).where(payment_reversals.c.payment_id == payment_id)
    )
    row = found.one_or_none()
    return None if row is None else BookedReversal(**row._mapping)


async def write_reversal(tx: AsyncConnection, payment_id: str, booked: BookedReversal, *, now: datetime) -> None:
    """Writes what is booked for the payment from now on."""
    await tx.execute(
        update(payment_reversals)
        .where(payment_reversals.c.payment_id == payment_id)
        .values(
            paid_cents=booked.paid_cents,
            reversed_cents=booked.reversed_cents,
            frozen_cents=booked.frozen_cents,
            reversed_credits=booked.reversed_credits,
            covered_credits=booked.covered_credits,
            frozen_hold=booked.frozen_hold,
            changes=booked.changes,
            updated_at=now,
        )
    )


async def empty_grant(tx: AsyncConnection, purchase: Purchase) -> SpendableGrant:
    """The purchase, of which nothing is left, as it may be given to again."""
    found = await tx.execute(select(grants.c.revoked_at).where(grants.c.grant_id == purchase.grant_id))
    return new_grant(
        purchase, purchase.grant_id, purchase.operation_id, purchase.type, revoked=found.scalar() is not None
    )


def new_grant(
    purchase: Purchase, grant_id: UUID, operation_id: str, grant_type: GrantType, *, revoked: bool = False
) -> SpendableGrant:
    """A grant at the purchase's price that never expires, with nothing on it."""
    price = purchase.price
    return SpendableGrant(
        grant_id, operation_id, grant_type, 0, None, price.cents, price.credits, price.currency, revoked=revoked
    )


async def revoked_credits(tx: AsyncConnection, account_id: UUID, grant_id: UUID) -> int:
    """How much revocations have taken of the grant, as far as it is booked."""
    # The kind in the statement itself, so that the index of what was taken back can be used.
    found = await tx.execute(
        select(func.coalesce(-func.sum(journal.c.credits), 0)).where(
            journal.c.account_id == account_id,
            journal.c.grant_id == grant_id,
            journal.c.kind == literal_column("'revoked'"),
        )
    )
    return int(found.scalar_one())


async def rollovers_of(tx: AsyncConnection, account_id: UUID, grant_id: UUID) -> set[UUID]:
    """The rollovers that came of the grant, and those that came of them, and so on."""
    first = (
        select(rollover_sources.c.grant_id)
        .where(rollover_sources.c.account_id == account_id, rollover_sources.c.source_grant_id == grant_id)
        .cte("came_of_it", recursive=True)
    )
    # UNION, and not UNION ALL: each grant once, so that it ends.
    all_of_them = first.union(
        select(rollover_sources.c.grant_id).where(
            rollover_sources.c.account_id == account_id, rollover_sources.c.source_grant_id == first.c.grant_id
        )
    )
    found = await tx.execute(select(all_of_them.c.grant_id).limit(ROLLOVERS))
    return set(found.scalars())


async def write_source(tx: AsyncConnection, account_id: UUID, grant_id: UUID, *, source: UUID) -> None:
    """Records that the rollover came of the grant ``source``."""
    await tx.execute(insert(rollover_sources).values(account_id=account_id, grant_id=grant_id, source_grant_id=source))


async def kept_by(tx: AsyncConnection, account_id: UUID, hold_id: str | None) -> int:
    """How many credits the open freeze of this name keeps; nothing where there is none."""
    if hold_id is None:
        return 0
    found = await tx.execute(
        select(holds.c.credits).where(holds.c.account_id == account_id, holds.c.operation_id == hold_id)
    )
    return int(found.scalar_one())


async def find_freeze(tx: AsyncConnection, account_id: UUID, hold_id: str, filled: list[SpendableGrant]) -> Hold:
    """The freeze of this name. ``filled`` are all grants of the account with something left, in burn order."""
    rows: Any = await tx.exec_driver_sql(NAMED_HOLDS, ([account_id], [hold_id]))
    return found_holds(rows, {account_id: filled})[account_id].holds[hold_id]


async def insert_freeze(tx: AsyncConnection, account_id: UUID, freeze: Hold) -> None:
    """Writes a new freeze with its parts."""
    await tx.execute(
        insert(holds).values(
            account_id=account_id,
            operation_id=freeze.operation_id,
            credits=freeze.credits,
            state=str(freeze.state),
            made_by=freeze.made_by,
            held_until=freeze.held_until,
            created_at=freeze.created_at,
        )
    )
    parts = [
        {
            "account_id": account_id,
            "operation_id": freeze.operation_id,
            "grant_id": grant.grant_id,
            "credits": credits,
        }
        for grant, credits in freeze.parts
    ]
    await tx.execute(insert(hold_parts), parts)
