"""Payments: decided and stored before Stripe hears of them, and kept in step with what Stripe says.

Each function is one short transaction, and each may be repeated.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.granting import find_taken, grant_operation
from ledger.rules.errors import IdempotencyConflict, UnknownAccount
from ledger.rules.limits import (
    DECLINES_WITHIN_DAYS,
    MAX_DECLINES_PER_CARD,
    MAX_PURCHASE_CREDITS,
    MIN_PURCHASE_CREDITS,
    PURCHASE_PRESETS,
)
from ledger.rules.money import credits_to_cents
from ledger.rules.orders import check_operation_id
from ledger.rules.topping_up import check_purchase
from ledger.store import payments as rows
from ledger.store import top_ups as top_up_rows
from ledger.store.accounts import LockedAccount, find_account, lock_account, parse_account_id
from ledger.store.operations import claim, refuse_other_payload
from ledger.transaction import with_serializable_transaction, with_snapshot, with_transaction
from messages.payments import BlockedMethods, Payment, PaymentKind, PaymentNews, PurchaseOrder, grant_order

_NO_INTENT_YET = "none yet"


@dataclass(frozen=True)
class PurchaseOptions:
    """What an account can buy: any number from ``least`` to ``most`` credits. ``presets`` are numbers to choose from,
    each with what it costs, in minor units of ``currency``."""

    account_id: str
    least: int
    most: int
    currency: str
    presets: list[tuple[int, int]]


async def purchase_options(engine: AsyncEngine, account_id: str) -> PurchaseOptions:
    """What the account can buy, at its own price. Raises UnknownAccount."""
    parsed = parse_account_id(account_id)
    account = await with_transaction(
        engine, lambda tx: top_up_rows.find_top_up_account(tx, parsed), what="purchase options"
    )
    if account is None:
        raise UnknownAccount(account_id)
    return PurchaseOptions(
        account_id=account_id,
        least=MIN_PURCHASE_CREDITS,
        most=MAX_PURCHASE_CREDITS,
        currency=account.price.currency,
        presets=[(credits, credits_to_cents(credits, account.price)) for credits in PURCHASE_PRESETS[account.kind]],
    )


async def open_purchase(engine: AsyncEngine, order: PurchaseOrder) -> Payment:
    """Claims the operation id for the grant that is to be bought, and stores the payment.

    A repeat answers with the payment as it stands. Raises InvalidOrder, UnknownAccount, IdempotencyConflict or
    LedgerUnavailable.
    """
    check_operation_id(order.operation_id)
    check_purchase(order.credits)
    account_id = parse_account_id(order.account_id)

    async def work(tx: AsyncConnection) -> Payment:
        account = await lock_account(tx, account_id)
        payment = await write_payment(
            tx,
            account,
            operation_id=order.operation_id,
            kind=PaymentKind.PURCHASE,
            credits=order.credits,
            actor=order.actor,
            request_id=order.request_id,
        )
        if payment is None:
            return _repeated(await rows.get_payment(tx, order.operation_id), order)
        await claim_for_payment(tx, payment)
        return payment

    return await with_serializable_transaction(engine, work, what="open purchase", account_id=account_id)


async def write_payment(
    tx: AsyncConnection,
    account: LockedAccount,
    *,
    operation_id: str,
    kind: PaymentKind,
    credits: int,
    actor: str,
    request_id: str,
) -> Payment | None:
    """Writes a payment at the account's price; None where the id has a payment. In an open transaction that has locked
    the account."""
    return await rows.insert_payment(
        tx,
        operation_id=operation_id,
        account_id=account.account_id,
        kind=kind,
        credits=credits,
        amount_cents=credits_to_cents(credits, account.price),
        currency=account.price.currency,
        actor=actor,
        request_id=request_id,
    )


async def claim_for_payment(tx: AsyncConnection, payment: Payment) -> None:
    """Takes the id of the grant that the payment is for; whoever repeats it finds it taken by himself.

    In an open SERIALIZABLE transaction that has locked the account. Raises IdempotencyConflict.
    """
    order = grant_order(payment, _NO_INTENT_YET)
    operation = grant_operation(parse_account_id(payment.account_id), order)
    recorded = await claim(tx, operation)
    if recorded is not None:
        # Nobody but a payment claims an id for a grant that is bought.
        refuse_other_payload(recorded, account_id=operation.account_id, kind="grant", request=operation.request)


async def find_repeated_purchase(engine: AsyncEngine, order: PurchaseOrder) -> Payment | None:
    """The payment that a repeated order made, or None for a new order.

    It is asked before Temporal is. Raises InvalidOrder, UnknownAccount, IdempotencyConflict.
    """
    check_operation_id(order.operation_id)
    check_purchase(order.credits)
    account_id = parse_account_id(order.account_id)

    async def work(tx: AsyncConnection) -> Payment | None:
        known = await rows.find_payment(tx, order.operation_id)
        if known is not None:
            return _repeated(known, order)
        if await find_account(tx, account_id) is None:
            raise UnknownAccount(order.account_id)
        if await find_taken(tx, account_id, order.operation_id) is not None:
            raise IdempotencyConflict(order.operation_id)
        return None

    # One snapshot: the purchase itself may be committed between the two looks, and would be taken for another's.
    return await with_snapshot(engine, work, what="find repeated purchase")


def _repeated(known: Payment, order: PurchaseOrder) -> Payment:
    same = (known.kind, known.account_id, known.credits) == (PaymentKind.PURCHASE, order.account_id, order.credits)
    if not same:
        raise IdempotencyConflict(order.operation_id)
    return known


async def read_payment(engine: AsyncEngine, operation_id: str) -> Payment:
    """The payment as it stands. Raises UnknownPurchase."""
    return await with_transaction(engine, lambda tx: rows.get_payment(tx, operation_id), what="read payment")


async def find_payment_of_intent(engine: AsyncEngine, payment_intent_id: str) -> Payment | None:
    """The payment that is this PaymentIntent at Stripe, or None where it is none of ours."""
    return await with_transaction(
        engine, lambda tx: rows.find_payment_of_intent(tx, payment_intent_id), what="find payment of intent"
    )


async def record_payment(engine: AsyncEngine, news: PaymentNews) -> Payment:
    """Writes what has become of the payment, and answers with it. Raises UnknownPurchase."""

    async def work(tx: AsyncConnection) -> Payment:
        await rows.write_news(tx, news)
        return await rows.get_payment(tx, news.operation_id)

    return await with_transaction(engine, work, what="record payment")


async def record_canceled(engine: AsyncEngine, payment_intent_id: str) -> None:
    """The payment was canceled at Stripe, or can't be any more; either way nobody has to try it again."""
    await with_transaction(engine, lambda tx: rows.write_canceled(tx, payment_intent_id), what="record canceled")


async def renew_payment_key(engine: AsyncEngine, payment: Payment) -> Payment:
    """Stores the idempotency key that follows the payment's, once, and answers with the payment."""

    async def work(tx: AsyncConnection) -> Payment:
        await rows.renew_key(tx, payment.operation_id, used=payment.idempotency_key)
        return await rows.get_payment(tx, payment.operation_id)

    return await with_transaction(engine, work, what="renew payment key")


async def blocked_methods(engine: AsyncEngine, account_id: str) -> BlockedMethods:
    """The account's payment methods that the card networks' rules forbid to charge now. Raises UnknownAccount."""
    parsed = parse_account_id(account_id)
    return await with_transaction(engine, lambda tx: read_blocked_methods(tx, parsed), what="blocked methods")


async def read_blocked_methods(tx: AsyncConnection, account_id: UUID) -> BlockedMethods:
    """The same in an open transaction."""
    return await rows.declined_methods(
        tx,
        account_id,
        at_most=MAX_DECLINES_PER_CARD,
        within=timedelta(days=DECLINES_WITHIN_DAYS),
    )


async def payments_of_account(
    engine: AsyncEngine, account_id: str, *, before: tuple[datetime, str] | None = None, limit: int
) -> list[Payment]:
    """A page of the account's payments, newest first. Raises UnknownAccount."""
    parsed = parse_account_id(account_id)

    async def work(tx: AsyncConnection) -> list[Payment]:
        page = await rows.payments_of_account(tx, parsed, before=before, limit=limit)
        if not page and await find_account(tx, parsed) is None:
            raise UnknownAccount(account_id)
        return page

    return await with_transaction(engine, work, what="payments of account")


async def take_waiting_payments(engine: AsyncEngine, *, older_than: timedelta, limit: int) -> list[Payment]:
    """Payments that are at no end and have not moved for so long; whoever asks next gets others first."""

    async def work(tx: AsyncConnection) -> list[Payment]:
        waiting = await rows.waiting_payments(tx, older_than=older_than, limit=limit)
        await rows.mark_looked_at(tx, [payment.operation_id for payment in waiting])
        return waiting

    return await with_transaction(engine, work, what="waiting payments")
