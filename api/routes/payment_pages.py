"""Pages for people who pay: they need no token, so they say no amounts and nothing that could be guessed.

The operation id of an auto top-up is random, and whoever has it may authenticate that payment. Clients choose the ids
of purchases themselves: about those the pages say nothing.
"""

from html import escape

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.auth import TheParts
from api.parts import Parts
from api.problems import problem_of
from api.routes.page import PAGE_HEADERS
from api.wire.purchases import is_payment_id
from gateways.temporal.flows import FlowRefused, FlowUnavailable
from ledger.paying import read_payment
from ledger.rules.errors import LedgerUnavailable, UnknownPurchase
from messages.payments import Payment, PaymentError, PaymentKind, PaymentState

router = APIRouter(include_in_schema=False)

# The address is a secret: it stays out of caches and of the next page's log.
_HEADERS = {**PAGE_HEADERS, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_AGAIN = "Stripe, or a part of ours, does not answer at the moment. Nothing is lost: try again in a minute."
_UNKNOWN = "There is no such payment. Check that you have opened the whole link."


@router.get("/payments/{operation_id}/authenticate")
async def authenticate(operation_id: str, parts: TheParts) -> Response:
    """Leads the owner of an auto top-up to where Stripe wants it authenticated, or says why there is nothing to do."""
    try:
        payment = await _find_top_up(parts, operation_id)
        if payment is not None and payment.state is PaymentState.REQUIRES_ACTION:
            payment = await _authenticated(parts, payment)
    except (FlowUnavailable, LedgerUnavailable):
        return _page("Please try again", _AGAIN, status=503, retry=True)
    if payment is None:
        return _page("Not found", _UNKNOWN, status=404)
    if payment.state is PaymentState.REQUIRES_ACTION and payment.url is not None:
        return RedirectResponse(payment.url, status_code=303, headers=_HEADERS)
    return _page("Your payment", _sentence(payment))


@router.get("/payments/{operation_id}/done")
async def done(operation_id: str, parts: TheParts) -> Response:
    """Where Stripe leads back to after a payment: a reason to ask Stripe, whether or not its webhook comes."""
    payment = await _find_quietly(parts, operation_id)
    if payment is not None:
        parts.looks.asked(payment)
    thanks = "Thank you. If the payment went through, its credits are in your balance within moments."
    return _back_from_stripe(payment, otherwise=thanks)


@router.get("/payments/{operation_id}/canceled")
async def canceled(operation_id: str, parts: TheParts) -> Response:
    """Where Stripe leads back to when its page was left without a payment."""
    payment = await _find_quietly(parts, operation_id)
    return _back_from_stripe(payment, otherwise="The page was left, and nothing was paid on it.")


def _back_from_stripe(payment: Payment | None, *, otherwise: str) -> Response:
    """The page. Of a purchase it says what it says of nothing."""
    said = otherwise if payment is None or payment.kind is not PaymentKind.AUTO_TOPUP else _sentence(payment)
    return _page("Your payment", f"{said} You can close this page and go back to your client.")


async def _find_quietly(parts: Parts, operation_id: str) -> Payment | None:
    try:
        return await _find(parts, operation_id)
    except LedgerUnavailable:
        return None


async def _find_top_up(parts: Parts, operation_id: str) -> Payment | None:
    payment = await _find(parts, operation_id)
    return None if payment is None or payment.kind is not PaymentKind.AUTO_TOPUP else payment


async def _find(parts: Parts, operation_id: str) -> Payment | None:
    if not is_payment_id(operation_id):
        return None
    try:
        return await read_payment(parts.engine, operation_id)
    except UnknownPurchase:
        return None


async def _authenticated(parts: Parts, payment: Payment) -> Payment | None:
    """The payment after Stripe was asked where its owner is wanted."""
    try:
        return await parts.flows.authenticate_payment(payment)
    except FlowRefused as refusal:
        problem = problem_of(refusal)
        if problem is not None and problem.retryable:
            raise FlowUnavailable(refusal.message) from refusal
        # There was nothing to authenticate any more; how it stands now, the ledger knows.
        return await _find_top_up(parts, payment.operation_id)


def _sentence(payment: Payment) -> str:
    match payment.state:
        case PaymentState.REQUIRES_ACTION:
            return "Stripe is looking at this payment. What has become of it will be seen here in a moment."
        case PaymentState.FAILED if payment.error == PaymentError.SUPERSEDED:
            return "A later payment has taken the place of this one. There is nothing left to do here."
        case PaymentState.FAILED:
            return "This payment did not go through. There is nothing left to do here."
        case PaymentState.SUCCEEDED | PaymentState.PAID if payment.granted:
            return "This payment is made, and its credits are in your balance."
        case _:
            return "This payment is under way. Its credits will be in your balance within moments."


def _page(title: str, text: str, *, status: int = 200, retry: bool = False) -> HTMLResponse:
    again = '<p><a href="">Try again</a></p>' if retry else ""
    headers = {**_HEADERS, "Retry-After": "60"} if retry else _HEADERS
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Grantflow: {escape(title)}</title>'
        f'<body style="font:16px/1.5 system-ui;max-width:44rem;margin:2rem auto;padding:0 1rem"><h1>{escape(title)}'
        f"</h1><p>{escape(text)}</p>{again}",
        status_code=status,
        headers=headers,
    )
