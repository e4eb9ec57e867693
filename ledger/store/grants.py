"""Grants: the rows that hold the credits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.burning import SpendableGrant
from ledger.rules.errors import UnknownGrant
from ledger.rules.grant_types import GRANT_PRIORITIES
from ledger.rules.money import Price
from ledger.store.tables import grant_mirrors, grants, operations
from messages.grants import Grant, GrantStage, GrantType


@dataclass(frozen=True)
class NewGrant:
    """A grant to be written; ``balance`` is what the account's debt left of ``principal``."""

    grant_id: UUID
    account_id: UUID
    operation_id: str
    type: GrantType
    principal: int
    balance: int
    expires_at: datetime | None
    description: str | None
    price: Price
    payment_id: str | None
    created_at: datetime


async def insert_grant(tx: AsyncConnection, new: NewGrant) -> None:
    """Writes the grant with the priority of its type."""
    await tx.execute(
        insert(grants).values(
            grant_id=new.grant_id,
            account_id=new.account_id,
            operation_id=new.operation_id,
            type=new.type,
            priority=GRANT_PRIORITIES[new.type],
            principal=new.principal,
            balance=new.balance,
            expires_at=new.expires_at,
            description=new.description,
            price_cents=new.price.cents,
            price_credits=new.price.credits,
            currency=new.price.currency,
            payment_id=new.payment_id,
            created_at=new.created_at,
        )
    )


async def filled_grants(tx: AsyncConnection, account_id: UUID) -> list[SpendableGrant]:
    """The account's grants with something left in burn order, also those whose expiry is not booked yet."""
    found = await tx.execute(
        select(*_FILLED)
        .where(grants.c.account_id == account_id, grants.c.live)
        .order_by(grants.c.priority, grants.c.expires_at, grants.c.created_at, grants.c.grant_id)
    )
    return [_filled(row) for row in found]


async def find_filled_grant(tx: AsyncConnection, grant_id: UUID) -> SpendableGrant | None:
    """The grant, if something is left of it."""
    found = await tx.execute(select(*_FILLED).where(grants.c.grant_id == grant_id, grants.c.live))
    row = found.one_or_none()
    return None if row is None else _filled(row)


_FILLED = (
    grants.c.grant_id,
    grants.c.operation_id,
    grants.c.type,
    grants.c.balance,
    grants.c.expires_at,
    grants.c.price_cents,
    grants.c.price_credits,
    grants.c.currency,
    grants.c.held,
    grants.c.revoked_at,
)


def _filled(row: Any) -> SpendableGrant:
    return SpendableGrant(
        grant_id=row.grant_id,
        operation_id=row.operation_id,
        type=GrantType(row.type),
        balance=row.balance,
        expires_at=row.expires_at,
        price_cents=row.price_cents,
        price_credits=row.price_credits,
        currency=row.currency,
        held=row.held,
        revoked=row.revoked_at is not None,
    )


async def mark_revoked(tx: AsyncConnection, grant_id: UUID, now: datetime) -> None:
    """Takes what no hold keeps of the grant and dates its revocation."""
    await tx.execute(update(grants).where(grants.c.grant_id == grant_id).values(balance=grants.c.held, revoked_at=now))


async def payment_of_grant(tx: AsyncConnection, operation_id: str) -> str | None:
    """The payment that the grant was bought with; None where there is no such grant, or nobody paid for it."""
    found = await tx.execute(select(grants.c.payment_id).where(grants.c.operation_id == operation_id))
    payment_id: str | None = found.scalar_one_or_none()
    return payment_id


async def find_grant(tx: AsyncConnection, operation_id: str) -> Grant:
    """The grant made under this operation id, with its mirror's stage. Raises UnknownGrant."""
    found = await tx.execute(_grants_with_mirrors().where(grants.c.operation_id == operation_id))
    row = found.one_or_none()
    if row is None:
        raise UnknownGrant(operation_id)
    return as_grant(row)


async def grants_of_account(
    tx: AsyncConnection, account_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Grant]:
    """A page of the account's grants, oldest first, beginning after the key ``after``."""
    page = _grants_with_mirrors().where(grants.c.account_id == account_id)
    if after is not None:
        page = page.where(tuple_(grants.c.created_at, grants.c.grant_id) > after)
    found = await tx.execute(page.order_by(grants.c.created_at, grants.c.grant_id).limit(limit))
    return [as_grant(row) for row in found]


async def grants_at_stage(
    tx: AsyncConnection, stage: GrantStage, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Grant]:
    """A page of the grants at an open stage, those that wait the longest first."""
    page = _grants_with_mirrors().where(grant_mirrors.c.stage == stage)
    if after is not None:
        page = page.where(tuple_(grant_mirrors.c.stage_since, grant_mirrors.c.grant_id) > after)
    found = await tx.execute(page.order_by(grant_mirrors.c.stage_since, grant_mirrors.c.grant_id).limit(limit))
    return [as_grant(row) for row in found]


def _grants_with_mirrors() -> Select[Any]:
    return (
        select(
            grants,
            grant_mirrors.c.stage,
            grant_mirrors.c.stage_since,
            grant_mirrors.c.stripe_grant_id,
            grant_mirrors.c.reason,
            operations.c.request_id,
        )
        .join(grant_mirrors, grant_mirrors.c.grant_id == grants.c.grant_id)
        .join(
            operations,
            (operations.c.account_id == grants.c.account_id) & (operations.c.operation_id == grants.c.operation_id),
        )
    )


def as_grant(row: Any) -> Grant:
    """A row of grants joined with their mirrors, as the message that everybody reads."""
    return Grant(
        grant_id=str(row.grant_id),
        operation_id=row.operation_id,
        account_id=str(row.account_id),
        type=GrantType(row.type),
        priority=row.priority,
        principal=row.principal,
        balance=row.balance,
        expires_at=row.expires_at,
        created_at=row.created_at,
        description=row.description,
        stage=GrantStage(row.stage),
        stage_since=row.stage_since,
        stripe_grant_id=row.stripe_grant_id,
        reason=row.reason,
        created_by_request=row.request_id,
    )
