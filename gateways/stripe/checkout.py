"""Stripe's hosted page on which somebody pays once: https://docs.stripe.com/api/checkout/sessions."""

from collections.abc import Mapping
from typing import Any

from stripe import StripeClient
from stripe.params.checkout import SessionCreateParams

from gateways.stripe.errors import our_errors
from gateways.stripe.intents import id_of, metadata_of
from messages.checkouts import CheckoutId, CheckoutPage, CheckoutRequest
from messages.payments import PaymentKind


async def create(client: StripeClient, request: CheckoutRequest) -> CheckoutPage:
    """Makes the page, under the key of the request. What is paid with there is kept, to be charged later.

    Its payment comes into being only when somebody pays, and carries the same metadata.
    """
    metadata = metadata_of(
        operation_id=request.operation_id,
        account_id=request.account_id,
        kind=PaymentKind.PURCHASE,
        credits=request.credits,
    )
    name = f"{request.credits} credits"
    params: SessionCreateParams = {
        "mode": "payment",
        "customer": request.stripe_customer_id,
        "client_reference_id": request.operation_id,
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": request.currency,
                    "unit_amount": request.amount_cents,
                    "product_data": {"name": name},
                },
            }
        ],
        "success_url": request.success_url,
        "cancel_url": request.cancel_url,
        # What a payment brought is compared with its price, so it is paid in the price's currency:
        # https://docs.stripe.com/payments/checkout/adaptive-pricing
        "adaptive_pricing": {"enabled": False},
        "metadata": metadata,
        "payment_intent_data": {"description": name, "metadata": metadata, "setup_future_usage": "off_session"},
    }
    async with our_errors():
        made = await client.v1.checkout.sessions.create_async(params, {"idempotency_key": request.idempotency_key})
        return _as_ours(made.to_dict())


async def retrieve(client: StripeClient, checkout: CheckoutId) -> CheckoutPage:
    """What has become of the page."""
    async with our_errors():
        found = await client.v1.checkout.sessions.retrieve_async(checkout.checkout_session_id)
        return _as_ours(found.to_dict())


def _as_ours(session: Mapping[str, Any]) -> CheckoutPage:
    return CheckoutPage(
        checkout_session_id=session["id"],
        status=session["status"],
        url=session.get("url"),
        payment_intent_id=id_of(session.get("payment_intent")),
    )
