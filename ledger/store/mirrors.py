"""Mirrors: how far a grant has come at Stripe. No money runs over these rows, so READ COMMITTED is enough."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.errors import UnknownGrant
from ledger.rules.money import Price, credits_to_cents
from ledger.store.accounts import LEDGER_NOW
from ledger.store.tables import account_profiles, grant_mirrors, grants
from messages.grants import (
    CLOSED_STAGES,
    GrantStage,
    GrantType,
    MirrorClosing,
    MirrorDriver,
    MirrorRequest,
)


@dataclass(frozen=True)
class LockedMirror:
    """A mirror whose row this transaction holds, with what its grant and its account say of it."""

    grant_id: UUID
    stage: GrantStage
    stripe_grant_id: str | None
    key_number: int
    revoked: bool
    expired: bool
    request: MirrorRequest


async def insert_mirror(
    tx: AsyncConnection,
    *,
    grant_id: UUID,
    operation_id: str,
    account_id: UUID,
    stage: GrantStage,
    driver: MirrorDriver,
) -> datetime:
    """Writes the mirror beside its new grant, with the first idempotency key of its creation at Stripe.

    Answers since when it is at its stage.
    """
    written = await tx.execute(
        insert(grant_mirrors)
        .values(
            grant_id=grant_id,
            operation_id=operation_id,
            account_id=account_id,
            stage=stage,
            driver=driver,
            idempotency_key=idempotency_key(operation_id, 1),
        )
        .returning(grant_mirrors.c.stage_since)
    )
    since: datetime = written.scalar_one()
    return since


def idempotency_key(operation_id: str, number: int) -> str:
    """The ``number``-th key under which the grant may be created at Stripe."""
    return f"grant-{operation_id}-{number}"


async def lock_mirror(tx: AsyncConnection, operation_id: str) -> LockedMirror:
    """Locks the mirror of the grant with this operation id. Raises UnknownGrant."""
    found = await tx.execute(
        select(
            grant_mirrors,
            grants.c.type,
            grants.c.principal,
            grants.c.expires_at,
            grants.c.revoked_at,
            grants.c.price_cents,
            grants.c.price_credits,
            grants.c.currency,
            (grants.c.expires_at <= LEDGER_NOW).label("expired"),
            account_profiles.c.stripe_customer_id,
        )
        .join(grants, grants.c.grant_id == grant_mirrors.c.grant_id)
        .join(account_profiles, account_profiles.c.account_id == grant_mirrors.c.account_id)
        .where(grant_mirrors.c.operation_id == operation_id)
        .with_for_update(of=grant_mirrors)
    )
    row = found.one_or_none()
    if row is None:
        raise UnknownGrant(operation_id)
    return _locked(row)


def _locked(row: Any) -> LockedMirror:
    price = Price(cents=row.price_cents, credits=row.price_credits, currency=row.currency)
    return LockedMirror(
        grant_id=row.grant_id,
        stage=GrantStage(row.stage),
        stripe_grant_id=row.stripe_grant_id,
        key_number=row.key_number,
        revoked=row.revoked_at is not None,
        expired=bool(row.expired),
        request=MirrorRequest(
            operation_id=row.operation_id,
            account_id=str(row.account_id),
            stripe_customer_id=row.stripe_customer_id,
            type=GrantType(row.type),
            credits=row.principal,
            amount_cents=credits_to_cents(row.principal, price),
            currency=row.currency,
            expires_at=row.expires_at,
            idempotency_key=row.idempotency_key,
            key_stored_at=row.key_stored_at,
        ),
    )


async def write_stage(
    tx: AsyncConnection,
    operation_id: str,
    stage: GrantStage,
    *,
    stripe_grant_id: str | None = None,
    reason: str | None = None,
) -> None:
    """Writes the stage; ``stage_since`` moves only when the stage does.

    A known Stripe id is kept, but for a stuck mirror: there what stood at Stripe is gone, and a retry makes another.
    """
    known = func.coalesce(grant_mirrors.c.stripe_grant_id, stripe_grant_id)
    since = case((grant_mirrors.c.stage == stage, grant_mirrors.c.stage_since), else_=func.now())
    await tx.execute(
        update(grant_mirrors)
        .where(grant_mirrors.c.operation_id == operation_id)
        .values(
            stage=stage,
            stage_since=since,
            stripe_grant_id=None if stage is GrantStage.STUCK else known,
            reason=reason,
        )
    )


async def write_key(tx: AsyncConnection, operation_id: str, number: int) -> None:
    """Stores the ``number``-th idempotency key, before the call that uses it."""
    await tx.execute(
        update(grant_mirrors)
        .where(grant_mirrors.c.operation_id == operation_id)
        .values(key_number=number, idempotency_key=idempotency_key(operation_id, number), key_stored_at=func.now())
    )


async def write_stripe_id(tx: AsyncConnection, operation_id: str, stripe_grant_id: str) -> None:
    """Notes Stripe's id on a mirror whose stage is final, so that the sweep can close it there."""
    await tx.execute(
        update(grant_mirrors)
        .where(grant_mirrors.c.operation_id == operation_id, grant_mirrors.c.stripe_grant_id.is_(None))
        .values(stripe_grant_id=stripe_grant_id)
    )


async def waiting_for_pump(tx: AsyncConnection, *, limit: int) -> list[str]:
    """The operation ids of grants that the pump is to mirror, oldest first."""
    found = await tx.execute(
        select(grant_mirrors.c.operation_id)
        .where(
            grant_mirrors.c.stage.in_((GrantStage.LOCAL, GrantStage.STRIPE_PENDING)),
            grant_mirrors.c.driver == MirrorDriver.PUMP,
        )
        .order_by(grant_mirrors.c.stage_since)
        .limit(limit)
    )
    return list(found.scalars())


async def late(tx: AsyncConnection, *, older_than: timedelta, asked_before: timedelta, limit: int) -> list[str]:
    """The operation ids of open mirrors that have not moved for ``older_than``, and for which no workflow
    was asked for within ``asked_before``."""
    found = await tx.execute(
        select(grant_mirrors.c.operation_id)
        .where(
            grant_mirrors.c.stage.in_((GrantStage.LOCAL, GrantStage.STRIPE_PENDING, GrantStage.AWAITING_WEBHOOK)),
            grant_mirrors.c.stage_since < func.now() - older_than,
            or_(
                grant_mirrors.c.workflow_asked_at.is_(None),
                grant_mirrors.c.workflow_asked_at < func.now() - asked_before,
            ),
        )
        .order_by(grant_mirrors.c.stage_since)
        .limit(limit)
    )
    return list(found.scalars())


async def give_to_workflow(tx: AsyncConnection, operation_id: str) -> None:
    """The grant's own workflow carries the mirror from here; the pump leaves it alone."""
    await tx.execute(
        update(grant_mirrors)
        .where(grant_mirrors.c.operation_id == operation_id)
        .values(driver=MirrorDriver.WORKFLOW, workflow_asked_at=func.now())
    )


async def spent(tx: AsyncConnection, *, account_id: UUID | None, limit: int) -> list[MirrorClosing]:
    """Mirrors that stand open at Stripe although their grant has nothing left, or was given up.

    Those whose time has run out are left to Stripe, where it has run out as well and nothing can be closed any more.
    """
    query: Select[Any] = (
        select(grant_mirrors.c.operation_id, grant_mirrors.c.stripe_grant_id)
        .join(grants, grants.c.grant_id == grant_mirrors.c.grant_id)
        .where(
            grant_mirrors.c.stripe_grant_id.is_not(None),
            grant_mirrors.c.closed_at.is_(None),
            grant_mirrors.c.stage.in_(tuple(CLOSED_STAGES)),
            or_(grants.c.balance == 0, grant_mirrors.c.stage == GrantStage.ABANDONED),
            or_(grants.c.expires_at.is_(None), grants.c.expires_at > LEDGER_NOW),
        )
        .limit(limit)
    )
    if account_id is not None:
        query = query.where(grant_mirrors.c.account_id == account_id)
    found = await tx.execute(query)
    return [
        MirrorClosing(
            operation_id=row.operation_id,
            stripe_grant_id=row.stripe_grant_id,
            idempotency_key=f"close-{row.operation_id}",
        )
        for row in found
    ]


async def mark_closed(tx: AsyncConnection, operation_id: str) -> None:
    """Notes that the mirror is closed at Stripe."""
    await tx.execute(
        update(grant_mirrors).where(grant_mirrors.c.operation_id == operation_id).values(closed_at=func.now())
    )
