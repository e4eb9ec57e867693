"""Grants: credits come into an account. One operation id has one grant, for ever."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from uuid_utils.compat import uuid7

from ledger.changes import AccountChange, announce
from ledger.expiry import book_expired
from ledger.rules.debt import pay_debt_first
from ledger.rules.errors import IdempotencyConflict, LimitExceeded, UnknownGrant
from ledger.rules.grant_types import MIRRORED_TYPES, expiry_of
from ledger.rules.limits import MAX_CREDITS_PER_ACCOUNT
from ledger.rules.orders import check_grant
from ledger.store import grants as grant_rows
from ledger.store import mirrors as mirror_rows
from ledger.store.accounts import LockedAccount, change_account, lock_account, parse_account_id
from ledger.store.journal import Entry, Origin, write_entries
from ledger.store.operations import Operation, claim, find_grant_operation, find_operation, refuse_other_payload
from ledger.transaction import with_serializable_transaction, with_transaction
from messages.grants import Grant, GrantOrder, GrantStage, GrantType, MirrorDriver


@dataclass(frozen=True)
class GrantOutcome:
    """The grant, and whether this call made it; a repeat finds it made."""

    grant: Grant
    created: bool


async def process_and_grant_credit(
    engine: AsyncEngine, order: GrantOrder, *, payment_id: str | None = None
) -> GrantOutcome:
    """Grants credits: validates the account, claims the operation id, pays the debt, writes the grant and its entries.

    A repeat of the order answers with the grant that it made. Raises UnknownAccount, InvalidOrder, LimitExceeded,
    IdempotencyConflict (the id was used for something else) or LedgerUnavailable.
    """
    account_id = parse_account_id(order.account_id)

    async def work(tx: AsyncConnection) -> tuple[GrantOutcome, AccountChange | None]:
        account = await lock_account(tx, account_id)
        recorded = await find_operation(tx, account_id, order.operation_id)
        if recorded is not None:
            refuse_other_payload(recorded, account_id=account_id, kind="grant", request=request_of(order))
            return GrantOutcome(await _grant_made(tx, order.operation_id), created=False), None
        change = await write_grant(tx, account, order, driver=MirrorDriver.WORKFLOW, payment_id=payment_id)
        return GrantOutcome(await _grant_made(tx, order.operation_id), created=True), change

    try:
        outcome, change = await with_serializable_transaction(engine, work, what="grant")
    except IntegrityError as error:
        if "uq_operations_global_operation_id" in str(error.orig) or "uq_grants_operation_id" in str(error.orig):
            raise IdempotencyConflict(order.operation_id) from None
        raise
    if change is not None:
        await announce(engine, change)
    return outcome


async def write_grant(
    tx: AsyncConnection,
    account: LockedAccount,
    order: GrantOrder,
    *,
    driver: MirrorDriver,
    payment_id: str | None = None,
) -> AccountChange:
    """Writes a new grant in an open SERIALIZABLE transaction that has locked the account and found the id free.

    ``driver`` says who carries its mirror to Stripe. Raises InvalidOrder and LimitExceeded.
    """
    check_grant(order, account.now)
    await claim(
        tx,
        Operation(
            account_id=account.account_id,
            operation_id=order.operation_id,
            kind="grant",
            request=request_of(order),
            answer=None,
            actor=order.actor,
            request_id=order.request_id,
        ),
    )
    filled = await grant_rows.filled_grants(tx, account.account_id)
    held = sum(grant.balance for grant in filled)
    if held + order.credits > MAX_CREDITS_PER_ACCOUNT:
        raise LimitExceeded("The credits of the account", limit=MAX_CREDITS_PER_ACCOUNT, would_be=held + order.credits)
    payment = pay_debt_first(order.credits, account.debt)
    grant_id = uuid7()
    await grant_rows.insert_grant(
        tx,
        grant_rows.NewGrant(
            grant_id=grant_id,
            account_id=account.account_id,
            operation_id=order.operation_id,
            type=order.type,
            principal=order.credits,
            balance=payment.left,
            expires_at=expiry_of(order.type, order.expires_at, account.next_reset),
            description=order.description,
            price=account.price,
            payment_id=payment_id,
            created_at=account.now,
        ),
    )
    await mirror_rows.insert_mirror(
        tx,
        grant_id=grant_id,
        operation_id=order.operation_id,
        account_id=account.account_id,
        stage=GrantStage.LOCAL if order.type in MIRRORED_TYPES else GrantStage.NOT_MIRRORED,
        driver=driver,
    )
    entries = await book_expired(tx, account, filled, request_id=order.request_id)
    entries += _entries(account, order, grant_id, debt_paid=payment.paid, payment_id=payment_id)
    seq = await change_account(tx, account, debt=account.debt - payment.paid)
    origin = Origin(account_id=account.account_id, seq=seq, actor=order.actor, request_id=order.request_id)
    await write_entries(tx, origin, entries, balance_before=held - account.debt)
    return AccountChange(account_id=account.account_id, seq=seq)


def _entries(
    account: LockedAccount, order: GrantOrder, grant_id: UUID, *, debt_paid: int, payment_id: str | None
) -> list[Entry]:
    def entry(kind: str, credits: int, *, on_grant: bool) -> Entry:
        return Entry(
            kind=kind,
            operation_id=order.operation_id,
            credits=credits,
            grant_id=grant_id if on_grant else None,
            price=account.price if on_grant else None,
            effective_at=account.now,
            payment_id=payment_id,
        )

    entries = [entry("granted", order.credits, on_grant=True)]
    if debt_paid:
        entries.append(entry("debt-paid", -debt_paid, on_grant=True))
        entries.append(entry("debt-paid", debt_paid, on_grant=False))
    return entries


def request_of(order: GrantOrder) -> dict[str, Any]:
    """The order's payload, by which a repeat is told from a conflict; who asked for it does not count."""
    return {
        "type": str(order.type),
        "credits": order.credits,
        "description": order.description,
        "expiresAt": None if order.expires_at is None else order.expires_at.astimezone(UTC).isoformat(),
    }


async def find_grant(engine: AsyncEngine, operation_id: str) -> Grant:
    """The grant made under this operation id. Raises UnknownGrant."""
    return await with_transaction(engine, lambda tx: _grant_made(tx, operation_id), what="find grant")


async def find_repeated_grant(engine: AsyncEngine, order: GrantOrder) -> Grant | None:
    """The grant that a repeated order made, or None for a new order. Raises IdempotencyConflict, UnknownAccount.

    It is asked before Temporal is, so that neither a conflict nor a late repeat ever reaches a workflow.
    """
    account_id = parse_account_id(order.account_id)

    async def work(tx: AsyncConnection) -> Grant | None:
        recorded = await find_operation(tx, account_id, order.operation_id)
        recorded = recorded or await find_grant_operation(tx, order.operation_id)
        if recorded is None:
            return None
        refuse_other_payload(recorded, account_id=account_id, kind="grant", request=request_of(order))
        return await _grant_made(tx, order.operation_id)

    return await with_transaction(engine, work, what="find repeated grant")


async def order_of_grant(engine: AsyncEngine, operation_id: str) -> GrantOrder:
    """The order that made a grant, word for word, for a workflow that takes the grant over. Raises UnknownGrant."""

    async def work(tx: AsyncConnection) -> GrantOrder:
        operation = await find_grant_operation(tx, operation_id)
        if operation is None:
            raise UnknownGrant(operation_id)
        return order_from(operation)

    return await with_transaction(engine, work, what="order of grant")


def order_from(operation: Operation) -> GrantOrder:
    """The inverse of :func:`request_of`."""
    request = operation.request
    expires_at = request["expiresAt"]
    return GrantOrder(
        operation_id=operation.operation_id,
        account_id=str(operation.account_id),
        type=GrantType(request["type"]),
        credits=request["credits"],
        description=request["description"],
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        actor=operation.actor,
        request_id=operation.request_id,
    )


async def _grant_made(tx: AsyncConnection, operation_id: str) -> Grant:
    grant = await grant_rows.find_grant(tx, operation_id)
    if grant is None:
        raise UnknownGrant(operation_id)
    return grant
