"""Grants: credits come into an account. One operation id has one grant, for ever."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from uuid_utils.compat import uuid7

from ledger.changes import AccountChange, announce
from ledger.expiry import book, look
from ledger.rules.catching_up import earlier
from ledger.rules.debt import pay_debt_first
from ledger.rules.errors import IdempotencyConflict, LimitExceeded, PaymentAlreadyGranted, UnknownGrant
from ledger.rules.grant_types import GRANT_PRIORITIES, MIRRORED_TYPES, expiry_of
from ledger.rules.limits import MAX_CREDITS_PER_ACCOUNT
from ledger.rules.orders import check_expiry, check_order
from ledger.rules.reset_dates import coming_reset
from ledger.store import grants as grant_rows
from ledger.store import mirrors as mirror_rows
from ledger.store.accounts import LockedAccount, change_account, lock_account, parse_account_id
from ledger.store.journal import Entry, Origin, write_entries
from ledger.store.operations import Operation, claim, find_grant_operation, find_operation, refuse_other_payload
from ledger.transaction import with_serializable_transaction, with_transaction
from messages.grants import Grant, GrantOrder, GrantStage, GrantType, MirrorDriver


@dataclass(frozen=True)
class GrantOutcome:
    """The grant, and whether this call made it; a repeat finds it made.

    A call whose commit was not acknowledged repeats itself, and then finds the grant made: by itself.
    """

    grant: Grant
    created: bool


async def process_and_grant_credit(engine: AsyncEngine, order: GrantOrder) -> GrantOutcome:
    """Grants credits: validates the account, claims the operation id, pays the debt, writes the grant and its entries.

    A repeat of the order answers with the grant that it made. Raises UnknownAccount, InvalidOrder, LimitExceeded,
    IdempotencyConflict (the id was used for something else), PaymentAlreadyGranted or LedgerUnavailable.
    """
    check_order(order)
    account_id = parse_account_id(order.account_id)

    async def work(tx: AsyncConnection) -> tuple[GrantOutcome, AccountChange | None]:
        account = await lock_account(tx, account_id)
        recorded = await claim_grant(tx, account, order)
        if recorded is not None:
            return GrantOutcome(await grant_rows.find_grant(tx, order.operation_id), created=False), None
        written = await write_grant(tx, account, order, driver=MirrorDriver.WORKFLOW)
        return GrantOutcome(written.grant, created=True), written.change

    try:
        outcome, change = await with_serializable_transaction(engine, work, what="grant", account_id=account_id)
    except IntegrityError as error:
        if order.payment_id is not None and "uq_grants_payment_id" in str(error.orig):
            raise PaymentAlreadyGranted(order.payment_id) from None
        raise
    if change is not None:
        await announce(engine, change)
    return outcome


def grant_operation(account_id: UUID, order: GrantOrder) -> Operation:
    """The operation by which the order's id is claimed for its grant."""
    return Operation(
        account_id=account_id,
        operation_id=order.operation_id,
        kind="grant",
        request=request_of(order),
        answer=None,
        actor=order.actor,
        request_id=order.request_id,
    )


async def claim_grant(tx: AsyncConnection, account: LockedAccount, order: GrantOrder) -> Operation | None:
    """Takes the order's operation id for a grant; answers what it was used for if the order is a repeat.

    The id of a grant that is bought was taken when its payment began (``ledger/paying.py``): as long as the grant is
    not written, that is no repeat. Raises IdempotencyConflict.
    """
    operation = grant_operation(account.account_id, order)
    recorded = await claim(tx, operation)
    if recorded is not None:
        refuse_other_payload(recorded, account_id=account.account_id, kind="grant", request=operation.request)
    if recorded is None or order.payment_id is None:
        return recorded
    paid_by = await grant_rows.payment_of_grant(tx, order.operation_id)
    if paid_by is not None and paid_by != order.payment_id:
        raise IdempotencyConflict(order.operation_id)
    return None if paid_by is None else recorded


@dataclass(frozen=True)
class WrittenGrant:
    """A grant that this transaction has written, and the change of its account."""

    grant: Grant
    change: AccountChange


async def write_grant(
    tx: AsyncConnection,
    account: LockedAccount,
    order: GrantOrder,
    *,
    driver: MirrorDriver,
) -> WrittenGrant:
    """Writes a new grant in an open SERIALIZABLE transaction that has locked the account and claimed the id.

    ``driver`` says who carries its mirror to Stripe. Raises InvalidOrder and LimitExceeded. It reads nothing but the
    locked account: whatever it looked up in an index, strangers who grant at the same time would conflict over.
    """
    check_expiry(order, account.now)
    found = await look(tx, account)
    payment = pay_debt_first(order.credits, found.debt)
    balance = found.balance + payment.left
    if balance > MAX_CREDITS_PER_ACCOUNT:
        raise LimitExceeded("The credits of the account", limit=MAX_CREDITS_PER_ACCOUNT, would_be=balance)
    booked = await book(tx, account, found, request_id=order.request_id)
    new = _new_grant(account, order, balance=payment.left)
    await grant_rows.insert_grant(tx, new)
    stage = GrantStage.LOCAL if order.type in MIRRORED_TYPES else GrantStage.NOT_MIRRORED
    stage_since = await mirror_rows.insert_mirror(
        tx,
        grant_id=new.grant_id,
        operation_id=new.operation_id,
        account_id=new.account_id,
        stage=stage,
        driver=driver,
    )
    seq = await change_account(
        tx,
        account,
        debt=found.debt - payment.paid,
        balance=balance,
        held=found.held,
        next_expiry=earlier(found.next_expiry, new.expires_at),
    )
    origin = Origin(account_id=account.account_id, seq=seq, actor=order.actor, request_id=order.request_id)
    entries = booked + _entries(account, order, new.grant_id, debt_paid=payment.paid)
    await write_entries(tx, origin, entries, balance_before=account.balance - account.debt)
    return WrittenGrant(
        _as_grant(new, order, stage=stage, stage_since=stage_since),
        AccountChange(account_id=account.account_id, seq=seq),
    )


def _new_grant(account: LockedAccount, order: GrantOrder, *, balance: int) -> grant_rows.NewGrant:
    # An account whose reset is due, and not done yet, gets no credit that has expired at its birth.
    reset = coming_reset(account.next_reset, account.reset_anchor_day, account.now)
    return grant_rows.NewGrant(
        grant_id=uuid7(),
        account_id=account.account_id,
        operation_id=order.operation_id,
        type=order.type,
        principal=order.credits,
        balance=balance,
        expires_at=expiry_of(order.type, order.expires_at, reset),
        description=order.description,
        price=account.price,
        payment_id=order.payment_id,
        created_at=account.now,
    )


def _as_grant(new: grant_rows.NewGrant, order: GrantOrder, *, stage: GrantStage, stage_since: datetime) -> Grant:
    return Grant(
        grant_id=str(new.grant_id),
        operation_id=new.operation_id,
        account_id=str(new.account_id),
        type=new.type,
        priority=GRANT_PRIORITIES[new.type],
        principal=new.principal,
        balance=new.balance,
        expires_at=None if new.expires_at is None else new.expires_at.astimezone(UTC),
        created_at=new.created_at,
        description=new.description,
        stage=stage,
        stage_since=stage_since,
        stripe_grant_id=None,
        reason=None,
        created_by_request=order.request_id,
    )


def _entries(account: LockedAccount, order: GrantOrder, grant_id: UUID, *, debt_paid: int) -> list[Entry]:
    def entry(kind: str, credits: int, *, on_grant: bool) -> Entry:
        return Entry(
            kind=kind,
            operation_id=order.operation_id,
            credits=credits,
            grant_id=grant_id if on_grant else None,
            price=account.price if on_grant else None,
            effective_at=account.now,
            payment_id=order.payment_id,
        )

    entries = [entry("granted", order.credits, on_grant=True)]
    if debt_paid:
        entries.append(entry("debt-paid", -debt_paid, on_grant=True))
        entries.append(entry("debt-paid", debt_paid, on_grant=False))
    return entries


def request_of(order: GrantOrder) -> dict[str, Any]:
    """The order's payload, by which a repeat is told from a conflict; who asked for it does not count.

    Which payment it was bought with is not known when the id is taken, and stands on the grant.
    """
    request: dict[str, Any] = {
        "type": str(order.type),
        "credits": order.credits,
        "description": order.description,
        "expiresAt": None if order.expires_at is None else order.expires_at.astimezone(UTC).isoformat(),
    }
    return request | ({"paymentId": None} if order.payment_id is None else {"bought": True})


async def find_grant(engine: AsyncEngine, operation_id: str) -> Grant:
    """The grant made under this operation id. Raises UnknownGrant."""
    return await with_transaction(engine, lambda tx: grant_rows.find_grant(tx, operation_id), what="find grant")


async def find_repeated_grant(engine: AsyncEngine, order: GrantOrder) -> Grant | None:
    """The grant that a repeated order made, or None for a new order.

    It is asked before Temporal is, so that no nonsense, no conflict and no late repeat ever reaches a workflow.
    Raises InvalidOrder, IdempotencyConflict, UnknownAccount.
    """
    check_order(order)
    account_id = parse_account_id(order.account_id)

    async def work(tx: AsyncConnection) -> Grant | None:
        recorded = await find_taken(tx, account_id, order.operation_id)
        if recorded is None:
            return None
        refuse_other_payload(recorded, account_id=account_id, kind="grant", request=request_of(order))
        return await grant_rows.find_grant(tx, order.operation_id)

    return await with_transaction(engine, work, what="find repeated grant")


async def find_taken(tx: AsyncConnection, account_id: UUID, operation_id: str) -> Operation | None:
    """What the account, or any account's grant, has used the operation id for, or None."""
    recorded = await find_operation(tx, account_id, operation_id)
    return recorded or await find_grant_operation(tx, operation_id)


async def order_of_grant(engine: AsyncEngine, operation_id: str) -> GrantOrder:
    """The order that made a grant, word for word, for a workflow that takes the grant over. Raises UnknownGrant."""

    async def work(tx: AsyncConnection) -> GrantOrder:
        operation = await find_grant_operation(tx, operation_id)
        if operation is None:
            raise UnknownGrant(operation_id)
        return order_from(operation, payment_id=await grant_rows.payment_of_grant(tx, operation_id))

    return await with_transaction(engine, work, what="order of grant")


def order_from(operation: Operation, *, payment_id: str | None) -> GrantOrder:
    """The inverse of :func:`request_of`; ``payment_id`` is what the grant was bought with."""
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
        payment_id=payment_id,
    )
