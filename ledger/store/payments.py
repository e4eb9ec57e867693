"""Payments: what was decided, under which key it is made at Stripe, and what has become of it.

Rows are written before Stripe hears of them. No credits run over them, so READ COMMITTED is enough; that an account has
one auto top-up at a time is a unique index's, and not a matter of isolation.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, case, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.errors import UnknownPurchase
from ledger.store.payment_tables import UNSETTLED, UNSETTLED_TOP_UP, payments
from ledger.store.tables import grants
from messages.payments import BlockedMethods, Payment, PaymentKind, PaymentNews, PaymentState

_ENDS = (PaymentState.PAID, PaymentState.FAILED)
_WITHOUT_CREDITS = (PaymentState.REQUIRES_ACTION, PaymentState.FAILED)


def payment_key(operation_id: str, number: int) -> str:
    """The ``number``-th key under which the payment may be made at Stripe."""
    return f"payment-{operation_id}-{number}"


async def insert_payment(
    tx: AsyncConnection,
    *,
    operation_id: str,
    account_id: UUID,
    kind: PaymentKind,
    credits: int,
    amount_cents: int,
    currency: str,
    actor: str,
    request_id: str,
) -> Payment | None:
    """Writes a payment that was decided just now, with its first idempotency key; None where the id has a payment.

    It reads nothing: a look into an index would predicate-lock the page, and strangers who buy would conflict.
    """
    written = await tx.execute(
        insert(payments)
        .values(
            operation_id=operation_id,
            account_id=account_id,
            kind=kind,
            credits=credits,
            amount_cents=amount_cents,
            currency=currency,
            idempotency_key=payment_key(operation_id, 1),
            actor=actor,
            request_id=request_id,
        )
        .on_conflict_do_nothing(index_elements=[payments.c.operation_id])
        .returning(payments, literal(value=False).label("granted"))
    )
    return _one(written)


async def find_payment(tx: AsyncConnection, operation_id: str) -> Payment | None:
    """The payment with this operation id, or None."""
    return _one(await tx.execute(_payments().where(payments.c.operation_id == operation_id)))


async def get_payment(tx: AsyncConnection, operation_id: str) -> Payment:
    """The payment with this operation id. Raises UnknownPurchase."""
    found = await find_payment(tx, operation_id)
    if found is None:
        raise UnknownPurchase(operation_id)
    return found


async def find_payment_of_intent(tx: AsyncConnection, payment_intent_id: str) -> Payment | None:
    """The payment that is this PaymentIntent at Stripe, or None."""
    return _one(await tx.execute(_payments().where(payments.c.payment_intent_id == payment_intent_id)))


async def find_unsettled_top_up(tx: AsyncConnection, account_id: UUID) -> Payment | None:
    """The account's auto top-up that is not settled, if there is one; there is never a second."""
    found = await tx.execute(
        _payments().where(payments.c.account_id == account_id, text(f"payments.{UNSETTLED_TOP_UP}"))
    )
    return _one(found)


async def latest_top_up(tx: AsyncConnection, account_id: UUID) -> Payment | None:
    """The account's latest auto top-up, however it ended."""
    page = (
        _payments()
        .where(payments.c.account_id == account_id, payments.c.kind == PaymentKind.AUTO_TOPUP)
        .order_by(payments.c.created_at.desc(), payments.c.operation_id.desc())
        .limit(1)
    )
    return _one(await tx.execute(page))


async def payments_of_account(
    tx: AsyncConnection, account_id: UUID, *, before: tuple[datetime, str] | None, limit: int
) -> list[Payment]:
    """A page of the account's payments, newest first, beginning before the instant and operation id ``before``."""
    query = _payments().where(payments.c.account_id == account_id)
    if before is not None:
        at, operation_id = before
        query = query.where(
            or_(
                payments.c.created_at < at,
                and_(payments.c.created_at == at, payments.c.operation_id < operation_id),
            )
        )
    page = query.order_by(payments.c.created_at.desc(), payments.c.operation_id.desc()).limit(limit)
    return [_payment(row) for row in await tx.execute(page)]


async def top_up_cents_since(tx: AsyncConnection, account_id: UUID, since: datetime) -> int:
    """What the account's auto top-ups have cost since the instant, those that are under way included."""
    found = await tx.execute(
        select(func.coalesce(func.sum(payments.c.amount_cents), 0)).where(
            payments.c.account_id == account_id,
            payments.c.created_at >= since,
            payments.c.kind == PaymentKind.AUTO_TOPUP,
            or_(text(f"payments.{UNSETTLED}"), payments.c.state == PaymentState.PAID),
        )
    )
    return int(found.scalar_one())


async def renew_key(tx: AsyncConnection, operation_id: str, *, used: str) -> None:
    """Stores the key after ``used``, unless that was done before."""
    found = await tx.execute(
        select(payments.c.key_number)
        .where(payments.c.operation_id == operation_id, payments.c.idempotency_key == used)
        .with_for_update()
    )
    number = found.scalar_one_or_none()
    if number is not None:
        await tx.execute(
            update(payments)
            .where(payments.c.operation_id == operation_id)
            .values(
                key_number=number + 1, idempotency_key=payment_key(operation_id, number + 1), key_stored_at=func.now()
            )
        )


async def write_news(tx: AsyncConnection, news: PaymentNews) -> None:
    """Writes what has become of the payment; what the news does not know stays as it is.

    ``url`` is where its owner goes now, and None says nowhere. An error stands until the payment goes through. No
    payment becomes ``open`` again: such news, which may be told again when others have been, is of its ids alone.
    """
    named = {
        "payment_method_id": news.payment_method_id,
        "payment_method_fingerprint": news.payment_method_fingerprint,
        "payment_intent_id": news.payment_intent_id,
        "checkout_session_id": news.checkout_session_id,
        "receipt_url": news.receipt_url,
    }
    values: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    values["changed_at"] = func.now()
    if news.state is not PaymentState.OPEN:
        values |= _standing(news)
    await tx.execute(update(payments).where(payments.c.operation_id == news.operation_id).values(values))


def _standing(news: PaymentNews) -> dict[str, Any]:
    values: dict[str, Any] = {
        "state": news.state,
        "url": news.url,
        "error": news.error,
        "message": news.message,
    }
    if news.state in _WITHOUT_CREDITS:
        values |= {
            "error": func.coalesce(news.error, payments.c.error),
            "message": func.coalesce(news.message, payments.c.message),
        }
    if news.decline is not None:
        values |= {
            "decline_code": news.decline.decline_code or news.decline.code,
            "advice_code": news.decline.advice_code,
        }
        if news.decline.never_again:
            values["never_again"] = True
    ended = news.state in _ENDS
    values["closed_at"] = func.coalesce(payments.c.closed_at, func.now()) if ended else None
    return values


async def supersede_waiting_top_ups(tx: AsyncConnection, account_id: UUID) -> None:
    """Ends the account's auto top-ups that still wait for an authentication: another one takes their place."""
    await tx.execute(
        update(payments)
        .where(
            payments.c.account_id == account_id,
            payments.c.kind == PaymentKind.AUTO_TOPUP,
            payments.c.state == PaymentState.REQUIRES_ACTION,
        )
        .values(
            state=PaymentState.FAILED,
            error="superseded",
            message="A later top-up took its place.",
            url=None,
            cancel_due=payments.c.payment_intent_id.is_not(None),
            changed_at=func.now(),
            closed_at=func.now(),
        )
    )


async def to_cancel(tx: AsyncConnection, account_id: UUID) -> list[str]:
    """The account's payments that are to be canceled at Stripe, by their ids there."""
    found = await tx.execute(
        select(payments.c.payment_intent_id)
        .where(payments.c.account_id == account_id, payments.c.cancel_due)
        .order_by(payments.c.created_at, payments.c.operation_id)
    )
    return list(found.scalars())


async def write_canceled(tx: AsyncConnection, payment_intent_id: str) -> None:
    """The payment needs no canceling any more."""
    await tx.execute(update(payments).where(payments.c.payment_intent_id == payment_intent_id).values(cancel_due=False))


async def declined_methods(tx: AsyncConnection, account_id: UUID, *, at_most: int, within: timedelta) -> BlockedMethods:
    """The account's payment methods that may not be charged: those that a network forbids for good, and those that were
    declined ``at_most`` times or more within that time. The same card under several ids is one."""
    recent = case((payments.c.recorded_at > func.now() - within, 1), else_=0)
    card = func.coalesce(payments.c.payment_method_fingerprint, payments.c.payment_method_id)
    found = await tx.execute(
        select(
            func.array_agg(payments.c.payment_method_id.distinct()).label("ids"),
            func.min(payments.c.payment_method_fingerprint).label("fingerprint"),
        )
        .where(
            payments.c.account_id == account_id,
            payments.c.payment_method_id.is_not(None),
            payments.c.decline_code.is_not(None),
        )
        .group_by(card)
        .having(or_(func.bool_or(payments.c.never_again), func.sum(recent) >= at_most))
    )
    cards = found.all()
    return BlockedMethods(
        payment_method_ids=sorted(method for card in cards for method in card.ids),
        fingerprints=sorted(card.fingerprint for card in cards if card.fingerprint is not None),
    )


async def waiting_payments(tx: AsyncConnection, *, older_than: timedelta, limit: int) -> list[Payment]:
    """Payments that are at no end and have not moved for so long, the oldest first."""
    found = await tx.execute(
        _payments()
        .where(
            text("payments.state NOT IN ('paid', 'failed')"),
            payments.c.changed_at < func.now() - older_than,
        )
        .order_by(payments.c.changed_at)
        .limit(limit)
    )
    return [_payment(row) for row in found]


async def mark_looked_at(tx: AsyncConnection, operation_ids: Sequence[str]) -> None:
    """Puts these payments behind the others that wait."""
    await tx.execute(update(payments).where(payments.c.operation_id.in_(operation_ids)).values(changed_at=func.now()))


def _payments() -> Select[Any]:
    # A value and no EXISTS: that one may be answered by a walk through all grants.
    grant = select(grants.c.grant_id).where(grants.c.operation_id == payments.c.operation_id).scalar_subquery()
    return select(payments, grant.is_not(None).label("granted"))


def _one(found: Any) -> Payment | None:
    row = found.one_or_none()
    return None if row is None else _payment(row)


def _payment(row: Any) -> Payment:
    return Payment(
        operation_id=row.operation_id,
        account_id=str(row.account_id),
        kind=PaymentKind(row.kind),
        credits=row.credits,
        amount_cents=row.amount_cents,
        currency=row.currency,
        state=PaymentState(row.state),
        idempotency_key=row.idempotency_key,
        key_stored_at=row.key_stored_at,
        created_at=row.created_at,
        request_id=row.request_id,
        actor=row.actor,
        payment_method_id=row.payment_method_id,
        payment_intent_id=row.payment_intent_id,
        checkout_session_id=row.checkout_session_id,
        url=row.url,
        error=row.error,
        message=row.message,
        receipt_url=row.receipt_url,
        granted=row.granted,
        closed_at=row.closed_at,
    )
