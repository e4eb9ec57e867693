"""The checkout's part of the walk through every endpoint of the stand-in."""

from typing import Any

from stripe.params.checkout import SessionCreateParams

from tests.sandbox.paying import submit, trigger
from tests.sandbox.standin import StandIn

PAID_WITH = (
    *("pm_card_chargeCustomerFail", "pm_card_authenticationRequired", "pm_card_visa"),
    *("pm_usBankAccount_success", "pm_link"),
)


async def use_checkout(stand_in: StandIn, now: int) -> None:
    """Pay in every way, and let sessions expire."""
    sessions = stand_in.client.v1.checkout.sessions
    customer = await stand_in.customer()
    for method in PAID_WITH:
        session = await sessions.create_async(_params(customer.id, now), {"idempotency_key": f"checkout-{method}"})
        assert session.url is not None
        await submit(stand_in, session.url, payment_method=method)
        await sessions.retrieve_async(session.id, {"expand": ["customer", "payment_intent.latest_charge"]})
    listed = await sessions.list_async({"customer": customer.id, "status": "complete", "limit": 2})
    await sessions.list_async({"payment_intent": str(listed.data[0].payment_intent), "created": {"gte": 1}})
    debited = next(done for done in listed.data if done.payment_status == "unpaid")
    await trigger(stand_in, "payment_intent.succeeded", str(debited.payment_intent))
    still_open = await sessions.list_async({"status": "open"})
    for session in still_open.data:
        await sessions.expire_async(session.id)


def _params(customer: str, now: int) -> SessionCreateParams:
    product = {"name": "Credits", "description": "They never expire."}
    params: Any = {
        "mode": "payment",
        "customer": customer,
        "line_items": [{"price_data": {"currency": "usd", "unit_amount": 1, "product_data": product}, "quantity": 500}],
        "success_url": "http://127.0.0.1:8000/paid?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:8000/credits",
        "client_reference_id": "acc_1",
        "expires_at": now + 3_600,
        "metadata": {"accountId": "acc_1"},
        # The library calls it allowed_payment_method_types, which stripe-mock does not know of sessions.
        "payment_method_types": ["card", "link", "us_bank_account"],
        "payment_intent_data": {
            "description": "500 credits",
            "metadata": {"operationId": "purchase-1"},
            "receipt_email": "ada@example.com",
            "setup_future_usage": "off_session",
        },
    }
    typed: SessionCreateParams = params
    return typed
