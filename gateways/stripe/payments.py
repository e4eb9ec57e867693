"""Payments with a stored payment method: PaymentIntents that are made and confirmed in one call.

https://docs.stripe.com/payments/save-and-reuse#charge-saved-payment-method
"""

from dataclasses import replace
from datetime import timedelta

import stripe
from stripe import StripeClient
from stripe.params import PaymentIntentConfirmParams, PaymentIntentCreateParams

from gateways.stripe.declines import decline_in
from gateways.stripe.errors import our_errors, told_by
from gateways.stripe.intents import as_payment, id_of, metadata_of, operation_of
from messages.payments import (
    Authentication,
    Cancellation,
    ChargeRequest,
    Decline,
    FoundPayment,
    PaymentIntentId,
    PaymentKind,
    PaymentQuestion,
    PaymentStatus,
    StripePayment,
)

_PAGE = 100
_CLOCKS_DIFFER = timedelta(minutes=5)
_WITH_CHARGE = ["latest_charge"]
_UNEXPECTED_STATE = "payment_intent_unexpected_state"
_PURPOSES = {PaymentKind.AUTO_TOPUP: "automatic top-up", PaymentKind.PURCHASE: "purchase"}

# Of several payments for one operation, the one that has got furthest is the one that counts.
_FURTHEST_FIRST = (
    PaymentStatus.SUCCEEDED,
    PaymentStatus.PROCESSING,
    PaymentStatus.REQUIRES_ACTION,
    PaymentStatus.DECLINED,
    PaymentStatus.UNTRIED,
    PaymentStatus.CANCELED,
)
# What a late no does not change.
_PAST_A_DECLINE = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.PROCESSING, PaymentStatus.CANCELED})


async def charge(client: StripeClient, request: ChargeRequest) -> StripePayment:
    """Makes and confirms the payment under the key of the request. A payment method's no is an answer.

    Off-session an authentication that is needed comes as such a no. Should Stripe want something else of the owner
    all the same, the answer is ``requires-action`` like on-session: no payment hangs without our knowing.
    """
    async with our_errors():
        try:
            made = await client.v1.payment_intents.create_async(
                _charge_params(request), {"idempotency_key": request.idempotency_key}
            )
        except stripe.StripeError as error:
            decline = decline_in(error)
            if decline is None:
                raise
            return _declined(error, decline) or _untold(request, decline)
        return as_payment(made.to_dict())


async def find(client: StripeClient, question: PaymentQuestion) -> FoundPayment:
    """Pages through the customer's payments for those with our operation id.

    Stripe's search would lag behind by up to a minute, and a charge that it misses would be made again.
    """
    since = question.since - _CLOCKS_DIFFER
    found: StripePayment | None = None
    async with our_errors():
        page = await client.v1.payment_intents.list_async(
            {
                "customer": question.stripe_customer_id,
                "created": {"gte": int(since.timestamp())},
                "limit": _PAGE,
                "expand": ["data.latest_charge"],
            }
        )
        async for intent in page.auto_paging_iter():
            body = intent.to_dict()
            if operation_of(body) == question.operation_id:
                found = _further(found, as_payment(body))
    return FoundPayment(found)


async def retrieve(client: StripeClient, payment: PaymentIntentId) -> StripePayment:
    """How the payment stands at Stripe."""
    async with our_errors():
        found = await client.v1.payment_intents.retrieve_async(payment.payment_intent_id, {"expand": _WITH_CHARGE})
        return as_payment(found.to_dict())


async def authenticate(client: StripeClient, authentication: Authentication) -> StripePayment:
    """Confirms the payment once more, with its owner there. One that can't be confirmed any more is as it stands."""
    params: PaymentIntentConfirmParams = {
        "payment_method": authentication.payment_method_id,
        "return_url": authentication.return_url,
        "expand": _WITH_CHARGE,
    }
    intent_id = PaymentIntentId(authentication.payment_intent_id)
    async with our_errors():
        try:
            confirmed = await client.v1.payment_intents.confirm_async(
                intent_id.payment_intent_id, params, {"idempotency_key": authentication.idempotency_key}
            )
        except stripe.StripeError as error:
            if told_by(error).get("code") == _UNEXPECTED_STATE:
                return await retrieve(client, intent_id)
            decline = decline_in(error)
            if decline is None:
                raise
            return _declined(error, decline) or _but_declined(await retrieve(client, intent_id), decline)
        return as_payment(confirmed.to_dict())


async def cancel(client: StripeClient, cancellation: Cancellation) -> StripePayment:
    """Cancels the payment, for good. One that can't be canceled (any more) is as it stands."""
    intent_id = cancellation.payment_intent_id
    async with our_errors():
        try:
            canceled = await client.v1.payment_intents.cancel_async(
                intent_id, {"expand": _WITH_CHARGE}, {"idempotency_key": cancellation.idempotency_key}
            )
        except stripe.StripeError as error:
            if told_by(error).get("code") == _UNEXPECTED_STATE:
                return await retrieve(client, PaymentIntentId(intent_id))
            raise
        return as_payment(canceled.to_dict())


def _charge_params(request: ChargeRequest) -> PaymentIntentCreateParams:
    params: PaymentIntentCreateParams = {
        "amount": request.amount_cents,
        "currency": request.currency,
        "customer": request.stripe_customer_id,
        "payment_method": request.payment_method_id,
        "confirm": True,
        "description": f"{request.credits} credits ({_PURPOSES[request.kind]})",
        "metadata": metadata_of(
            operation_id=request.operation_id,
            account_id=request.account_id,
            kind=request.kind,
            credits=request.credits,
        ),
        "expand": _WITH_CHARGE,
        # By the types that the account has switched on, not by a list: a type that it has not makes Stripe refuse the
        # list. Cards, Link and bank accounts need no redirect; the types that do need a place to come back to.
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }
    if request.off_session:
        params["off_session"] = True
    elif request.return_url is not None:
        params["automatic_payment_methods"] = {"enabled": True}
        params["return_url"] = request.return_url
    return params


def _declined(error: stripe.StripeError, decline: Decline) -> StripePayment | None:
    """The payment that came along with a no."""
    told = told_by(error)
    intent = told.get("payment_intent")
    if not isinstance(intent, dict):
        return None
    tried = id_of(told.get("payment_method"))
    payment = as_payment(intent)
    return replace(
        payment,
        status=PaymentStatus.DECLINED,
        decline=decline,
        redirect_url=None,
        payment_method_id=tried or payment.payment_method_id,
    )


def _untold(request: ChargeRequest, decline: Decline) -> StripePayment:
    """A no without a payment: Stripe has refused the payment method before it made one."""
    return StripePayment(
        payment_intent_id="",
        status=PaymentStatus.DECLINED,
        operation_id=request.operation_id,
        amount_cents=request.amount_cents,
        received_cents=0,
        decline=decline,
        payment_method_id=request.payment_method_id,
    )


def _but_declined(payment: StripePayment, decline: Decline) -> StripePayment:
    if payment.status in _PAST_A_DECLINE:
        return payment
    return replace(payment, status=PaymentStatus.DECLINED, decline=decline, redirect_url=None)


def _further(one: StripePayment | None, other: StripePayment) -> StripePayment:
    """The payment that has got further; of two that are as far, the first, which is the newer."""
    if one is None or _FURTHEST_FIRST.index(other.status) < _FURTHEST_FIRST.index(one.status):
        return other
    return one
