"""Every request about payments, as stripe-mock takes it: it knows the parameters that Stripe has, and no others."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from gateways.stripe.gateway import StripeGateway
from messages.checkouts import CheckoutId
from messages.payments import Authentication, MethodQuestion, PaymentIntentId, PaymentKind, PaymentQuestion
from tests.gateways.stripe_parts import gateway_to, new_charge, new_checkout

BACK = "https://example.com/back"


@pytest.fixture
async def gateway(stripe_mock: str) -> AsyncIterator[StripeGateway]:
    """Our gateway to stripe-mock, which refuses what Stripe does not know and answers the same whatever it is asked."""
    async with gateway_to(stripe_mock) as begun:
        yield begun


async def test_stripe_takes_both_kinds_of_charges(gateway: StripeGateway) -> None:
    off_session = new_charge("cus_1", "pm_1")
    on_session = new_charge("cus_1", "pm_1", kind=PaymentKind.PURCHASE, off_session=False, return_url=BACK)
    for request in (off_session, on_session, new_charge("cus_1", "pm_1", off_session=False)):
        assert (await gateway.charge(request)).payment_method_id == "pm_1"


async def test_stripe_takes_what_is_asked_of_a_payment(gateway: StripeGateway) -> None:
    assert (await gateway.retrieve_payment(PaymentIntentId("pi_1"))).payment_intent_id == "pi_1"
    assert (await gateway.find_payment(PaymentQuestion("op-1", "cus_1", datetime.now(UTC)))).payment is None
    await gateway.authenticate_payment(Authentication("pi_1", "pm_1", "authenticate-1", BACK))


async def test_stripe_takes_what_is_asked_of_a_customers_payment_methods(gateway: StripeGateway) -> None:
    choice = await gateway.choose_payment_method(MethodQuestion("cus_1", []))
    assert choice.payment_method is None or choice.payment_method.kind == "card"


async def test_stripe_takes_what_is_asked_of_a_payments_standing(gateway: StripeGateway) -> None:
    found = await gateway.retrieve_standing(PaymentIntentId("pi_1"))
    assert (found.payment_intent_id, found.operation_id) == ("pi_1", None)


async def test_stripe_takes_a_hosted_page(gateway: StripeGateway) -> None:
    page = await gateway.open_checkout(new_checkout("cus_1"))
    assert page.checkout_session_id.startswith("cs_")
    assert (await gateway.retrieve_checkout(CheckoutId(page.checkout_session_id))).status == page.status
