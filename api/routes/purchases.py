"""Purchases over HTTP, and the list of all payments of an account."""

from typing import Any

from fastapi import APIRouter, Response

from api.auth import AsAnyone, AsOwner, Holder, TheParts
from api.calls import ThisCall
from api.purchasing import purchase_once, shown_payment
from api.wire.base import Page
from api.wire.pages import PAGE_SIZE, Cursor, Limit, decode_cursor, encode_cursor
from api.wire.purchases import (
    PaymentAnswer,
    PaymentFields,
    PurchaseAnswer,
    PurchaseOptionsAnswer,
    PurchaseRequest,
    is_payment_id,
    payment_key,
)
from ledger.paying import payments_of_account, purchase_options, read_payment
from ledger.rules.errors import UnknownPurchase

router = APIRouter(prefix="/v1", tags=["purchases"])

_LIST = "payments"
_REPEAT: dict[int | str, dict[str, Any]] = {200: {"model": PurchaseAnswer, "description": "A repeat, as it stands now"}}


@router.post("/accounts/{account_id}/purchases", status_code=201, responses=_REPEAT, response_model_exclude_unset=True)
async def buy_credits(
    account_id: str, body: PurchaseRequest, parts: TheParts, principal: AsOwner, call: ThisCall, response: Response
) -> PurchaseAnswer:
    """Buys credits with the stored card, or by Stripe's page at ``checkoutUrl``: 201, or 200 for a repeat."""
    order = body.order(account_id, actor=principal.actor, request_id=call.call_id)
    purchased = await purchase_once(parts, order)
    if not purchased.created:
        response.status_code = 200
    fields = await shown_payment(parts, purchased.payment)
    return PurchaseAnswer.model_validate(fields | {"replayed": not purchased.created})


@router.get("/accounts/{account_id}/purchases", response_model_exclude_unset=True)
async def list_payments(
    account_id: str, parts: TheParts, _: AsOwner, limit: Limit = PAGE_SIZE, cursor: Cursor = None
) -> Page[PaymentFields]:
    """A page of the account's payments, newest first: purchases and auto top-ups, as ``kind`` says."""
    before = decode_cursor(cursor, of=_LIST, key=payment_key)
    found = await payments_of_account(parts.engine, account_id, before=before, limit=limit + 1)
    shown = found[:limit]
    next_cursor = None
    if len(found) > limit:
        next_cursor = encode_cursor(_LIST, shown[-1].created_at.isoformat(), shown[-1].operation_id)
    public_url = parts.settings.public_url
    data = [PaymentFields.of(payment, public_url=public_url) for payment in shown]
    return Page[PaymentFields](data=data, next_cursor=next_cursor)


@router.get("/accounts/{account_id}/purchase-options")
async def show_options(account_id: str, parts: TheParts, _: AsOwner) -> PurchaseOptionsAnswer:
    """What the account can buy: numbers of credits to choose from with their prices, and the bounds of any other."""
    return PurchaseOptionsAnswer.of(await purchase_options(parts.engine, account_id))


@router.get("/purchases/{operation_id}", response_model_exclude_unset=True)
async def show_payment(operation_id: str, parts: TheParts, principal: AsAnyone) -> PaymentAnswer:
    """The payment that was made under this operation id.

    While its owner has still to pay it, Stripe is asked after the answer: what is found, the next one says.
    """
    if not is_payment_id(operation_id):
        raise UnknownPurchase(operation_id)
    payment = await read_payment(parts.engine, operation_id)
    if isinstance(principal, Holder) and principal.account_id != payment.account_id:
        # That it exists is none of the asker's business.
        raise UnknownPurchase(operation_id)
    parts.looks.asked(payment)
    return PaymentAnswer.model_validate(await shown_payment(parts, payment))
