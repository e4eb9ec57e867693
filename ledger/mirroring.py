"""Mirroring: the grant's way to Stripe, as its row tells it. Each function is one short transaction."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.store import grants as grant_rows
from ledger.store import mirrors
from ledger.store.accounts import parse_account_id
from ledger.transaction import with_transaction
from messages.grants import (
    CLOSED_STAGES,
    Grant,
    GrantStage,
    MirrorClosing,
    MirrorRequest,
    PreparedMirror,
    StageChange,
)

# A mirror that has not moved for so long is late: a workflow takes it over, where one can see it.
LATE_AFTER = timedelta(minutes=10)
ASK_AGAIN_AFTER = timedelta(hours=1)


async def prepare_mirror(engine: AsyncEngine, operation_id: str) -> PreparedMirror:
    """Moves the mirror to ``stripe-pending`` and says what Stripe is to be told, under the stored key.

    There is nothing to create when the mirror is closed, or stands at Stripe already, or when its grant was revoked
    or has expired before Stripe knew of it (then it becomes ``not-mirrored``). Raises UnknownGrant.
    """

    async def work(tx: AsyncConnection) -> PreparedMirror:
        mirror = await mirrors.lock_mirror(tx, operation_id)
        to_create = mirror.stage not in CLOSED_STAGES and mirror.stripe_grant_id is None
        if to_create and (mirror.revoked or mirror.expired):
            to_create = False
            reason = "revoked before it reached Stripe" if mirror.revoked else "expired before it reached Stripe"
            await mirrors.write_stage(tx, operation_id, GrantStage.NOT_MIRRORED, reason=reason)
        elif to_create:
            await mirrors.write_stage(tx, operation_id, GrantStage.STRIPE_PENDING)
        return PreparedMirror(
            grant=await grant_rows.find_grant(tx, operation_id), request=mirror.request if to_create else None
        )

    return await with_transaction(engine, work, what="prepare mirror")


async def renew_mirror_key(engine: AsyncEngine, operation_id: str, *, used: str) -> MirrorRequest:
    """Stores the idempotency key that follows ``used`` and answers with it; a repeat answers the same."""

    async def work(tx: AsyncConnection) -> MirrorRequest:
        mirror = await mirrors.lock_mirror(tx, operation_id)
        if mirror.request.idempotency_key == used:
            await mirrors.write_key(tx, operation_id, mirror.key_number + 1)
        return (await mirrors.lock_mirror(tx, operation_id)).request

    return await with_transaction(engine, work, what="renew mirror key")


async def change_stage(engine: AsyncEngine, change: StageChange) -> Grant:
    """Writes the stage to the grant's row, unless that is final already, and answers with the grant.

    A confirmation that comes after the mirror was given up leaves the stage and notes Stripe's id, so that the
    sweep closes what stands there. Raises UnknownGrant.
    """

    async def work(tx: AsyncConnection) -> Grant:
        mirror = await mirrors.lock_mirror(tx, change.operation_id)
        if mirror.stage not in CLOSED_STAGES:
            await mirrors.write_stage(
                tx,
                change.operation_id,
                change.stage,
                stripe_grant_id=change.stripe_grant_id,
                reason=change.reason,
            )
        elif change.stripe_grant_id is not None:
            await mirrors.write_stripe_id(tx, change.operation_id, change.stripe_grant_id)
        return await grant_rows.find_grant(tx, change.operation_id)

    return await with_transaction(engine, work, what="change stage")


@dataclass(frozen=True)
class PumpWork:
    """What the pump finds: grants ``to_mirror`` by itself, and ``late`` ones that need a workflow of their own."""

    to_mirror: list[str]
    late: list[str]


async def pump_work(engine: AsyncEngine, *, limit: int) -> PumpWork:
    """The next grants for the pump, at most ``limit`` of each sort, oldest first."""

    async def work(tx: AsyncConnection) -> PumpWork:
        late = await mirrors.late(tx, older_than=LATE_AFTER, asked_before=ASK_AGAIN_AFTER, limit=limit)
        waiting = await mirrors.waiting_for_pump(tx, limit=limit)
        return PumpWork(to_mirror=[each for each in waiting if each not in set(late)], late=late)

    return await with_transaction(engine, work, what="pump work")


async def give_to_workflow(engine: AsyncEngine, operation_id: str) -> None:
    """Notes that the grant's own workflow carries its mirror from here."""
    await with_transaction(engine, lambda tx: mirrors.give_to_workflow(tx, operation_id), what="give to workflow")


async def spent_mirrors(engine: AsyncEngine, *, account_id: str | None = None, limit: int = 100) -> list[MirrorClosing]:
    """Mirrors that stand open at Stripe for nothing, of one account or of all."""
    account = None if account_id is None else parse_account_id(account_id)
    return await with_transaction(
        engine, lambda tx: mirrors.spent(tx, account_id=account, limit=limit), what="spent mirrors"
    )


async def record_closing(engine: AsyncEngine, operation_id: str) -> None:
    """Notes that the mirror is closed at Stripe."""
    await with_transaction(engine, lambda tx: mirrors.mark_closed(tx, operation_id), what="record closing")
