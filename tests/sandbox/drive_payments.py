"""The payments' part of the walk through every endpoint of the stand-in."""

import stripe
from stripe.params import PaymentIntentCreateParams

from tests.sandbox.paying import RETURN_URL, charge, redirect_of, submit, trigger
from tests.sandbox.standin import StandIn

CHARGED = (
    *("pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired", "pm_usBankAccount_success"),
    *("pm_link", "pm_card_expired", "pm_card_chargeCustomerFailLostCard"),
)


async def use_payments(stand_in: StandIn) -> None:
    """Charge, confirm, cancel, refund and dispute in every way."""
    await _payment_intents(stand_in)
    await _refunds(stand_in)
    await _disputes(stand_in)


async def _payment_intents(stand_in: StandIn) -> None:
    client = stand_in.client
    intents = client.v1.payment_intents
    customer = await client.v1.customers.create_async({})
    attached = [await client.v1.payment_methods.attach_async(each, {"customer": customer.id}) for each in CHARGED]
    for method in attached:
        await client.v1.payment_methods.list_async({"customer": customer.id, "type": method.type})
        try:
            await intents.create_async(_off_session(customer.id, method.id), {"idempotency_key": f"charge-{method.id}"})
        except stripe.CardError:
            continue
    on_session = await intents.create_async(
        {
            "amount": 900,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": attached[2].id,
            "confirm": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "setup_future_usage": "off_session",
        }
    )
    await intents.retrieve_async(on_session.id, {"expand": ["customer", "payment_method", "latest_charge"]})
    await intents.update_async(on_session.id, {"metadata": {"operationId": "top-up-2"}, "description": "900 credits"})
    for outcome in ("fail", "complete"):
        waiting = await intents.confirm_async(
            on_session.id, {"payment_method": attached[2].id, "return_url": RETURN_URL, "off_session": False}
        )
        await submit(stand_in, redirect_of(waiting), outcome=outcome)
    abandoned = await intents.create_async({"amount": 700, "currency": "eur", "allowed_payment_method_types": ["card"]})
    await intents.cancel_async(abandoned.id, {"cancellation_reason": "abandoned"})
    await intents.list_async({"customer": customer.id, "limit": 2, "created": {"lte": 4_000_000_000}})
    made = await client.v1.charges.list_async({"customer": customer.id, "payment_intent": on_session.id})
    await client.v1.charges.retrieve_async(made.data[0].id, {"expand": ["payment_intent"]})


async def _refunds(stand_in: StandIn) -> None:
    refunds = stand_in.client.v1.refunds
    paid = await charge(stand_in, "pm_card_visa")
    part = await refunds.create_async(
        {
            "payment_intent": paid.id,
            "amount": 500,
            "reason": "requested_by_customer",
            "metadata": {"operationId": "refund-1"},
        },
        {"idempotency_key": "refund-1"},
    )
    rest = await refunds.create_async({"charge": str(paid.latest_charge)})
    await refunds.update_async(rest.id, {"metadata": {"seen": "yes"}})
    await refunds.retrieve_async(part.id, {"expand": ["charge.customer", "payment_intent"]})
    await refunds.list_async({"payment_intent": paid.id, "limit": 1})
    await stand_in.client.v1.payment_intents.retrieve_async(paid.id, {"expand": ["latest_charge.refunds"]})
    await refunds.list_async({"charge": str(paid.latest_charge), "created": {"gte": 1}})
    await trigger(stand_in, "refund.failed", rest.id)
    pending = await charge(stand_in, "pm_card_pendingRefund")
    await trigger(stand_in, "charge.refunded", pending.id, amount=700)
    await trigger(stand_in, "refund.succeeded", pending.id)


async def _disputes(stand_in: StandIn) -> None:
    disputes = stand_in.client.v1.disputes
    disputed, asked = [await charge(stand_in, f"pm_card_createDispute{kind}") for kind in ("", "Inquiry")]
    listed = await disputes.list_async({"payment_intent": disputed.id, "limit": 10})
    await disputes.list_async({"charge": str(disputed.latest_charge), "created": {"gte": 1}})
    await disputes.retrieve_async(listed.data[0].id, {"expand": ["charge"]})
    await disputes.close_async(listed.data[0].id)
    await trigger(stand_in, "charge.dispute.closed", asked.id)
    debited = await charge(stand_in, "pm_usBankAccount_success")
    await trigger(stand_in, "payment_intent.succeeded", debited.id)
    await trigger(stand_in, "charge.dispute.created", debited.id)
    await trigger(stand_in, "charge.dispute.funds_withdrawn", debited.id)
    await trigger(stand_in, "charge.dispute.closed", debited.id, status="won")
    await trigger(stand_in, "payment_intent.payment_failed", asked.id, code="insufficient_funds")


def _off_session(customer: str, method: str) -> PaymentIntentCreateParams:
    return {
        "amount": 1_500,
        "currency": "usd",
        "customer": customer,
        "payment_method": method,
        "confirm": True,
        "off_session": True,
        "description": "500 credits",
        "receipt_email": "ada@example.com",
        "metadata": {"operationId": "auto-topup-1"},
    }
