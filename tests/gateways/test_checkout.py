"""Stripe's hosted page on which somebody buys credits, by the real library, against the stand-in."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.stripe.errors import StripeOutcomeUnknown, StripeRefused
from messages.checkouts import CheckoutId, CheckoutPage
from messages.payments import MethodQuestion, PaymentIntentId, PaymentQuestion, PaymentStatus, StripePayment
from tests.gateways.odd_stripe import OddParts
from tests.gateways.stripe_parts import StripeParts, new_checkout

SESSIONS = "/v1/checkout/sessions"


@pytest.mark.parametrize("intent", ["pi_1", {"id": "pi_1", "object": "payment_intent"}, None], ids=str)
async def test_a_page_is_read_as_it_stands_whether_its_payment_is_there_or_not(odd: OddParts, intent: Any) -> None:
    odd.server.says(
        200, {"id": "cs_1", "object": "checkout.session", "status": "complete", "url": None, "payment_intent": intent}
    )
    page = await odd.gateway.retrieve_checkout(CheckoutId("cs_1"))
    assert page == CheckoutPage("cs_1", "complete", None, None if intent is None else "pi_1")


async def test_what_is_no_page_is_an_unknown_outcome(odd: OddParts) -> None:
    odd.server.says(200, {})
    with pytest.raises(StripeOutcomeUnknown):
        await odd.gateway.open_checkout(new_checkout("cus_1"))


async def pay(parts: StripeParts, page: CheckoutPage, sample: str = "pm_card_visa") -> str:
    """Pays on the page as its visitor; answers with where the browser is sent."""
    assert page.url is not None
    answer = await parts.stand_in.http.post(page.url, data={"payment_method": sample, "action": "pay"})
    location: str = answer.headers.get("location", "")
    return location


async def again(parts: StripeParts, page: CheckoutPage) -> CheckoutPage:
    """What has become of the page."""
    return await parts.gateway.retrieve_checkout(CheckoutId(page.checkout_session_id))


async def payment_of(parts: StripeParts, page: CheckoutPage) -> StripePayment:
    """The payment that the page has come to."""
    assert page.payment_intent_id is not None
    return await parts.gateway.retrieve_payment(PaymentIntentId(page.payment_intent_id))


async def test_a_page_says_what_is_bought_for_how_much_and_for_which_operation(parts: StripeParts) -> None:
    request = new_checkout(await parts.customer(), amount_cents=1234)
    page = await parts.gateway.open_checkout(request)
    assert (page.status, page.payment_intent_id) == ("open", None)
    assert page.url is not None
    [session] = await parts.stand_in.look("objects/checkout_sessions")
    assert (session["id"], session["url"]) == (page.checkout_session_id, page.url)
    assert (session["mode"], session["amount_total"], session["currency"]) == ("payment", 1234, "usd")
    assert session["adaptive_pricing"] == {"enabled": False}
    assert (session["customer"], session["client_reference_id"]) == (request.stripe_customer_id, "op-1")
    assert (session["success_url"], session["cancel_url"]) == (request.success_url, request.cancel_url)
    assert session["metadata"] == {
        "operationId": "op-1",
        "accountId": request.account_id,
        "credits": "1000",
        "kind": "purchase",
        "grantType": "purchase",
    }
    assert "1000 credits" in (await parts.stand_in.http.get(page.url)).text
    assert (await parts.posts())[-1] == (SESSIONS, "checkout-op-1-1")


async def test_who_pays_there_has_paid_for_the_operation_and_can_be_charged_later(parts: StripeParts) -> None:
    request = new_checkout(await parts.customer())
    question = PaymentQuestion("op-1", request.stripe_customer_id, datetime.now(UTC))
    page = await parts.gateway.open_checkout(request)
    assert await pay(parts, page) == request.success_url
    done = await again(parts, page)
    assert (done.status, done.url) == ("complete", None)
    paid = await payment_of(parts, done)
    assert (paid.status, paid.operation_id, paid.received_cents) == (PaymentStatus.SUCCEEDED, "op-1", 1000)
    assert (await parts.gateway.find_payment(question)).payment == paid
    [session] = await parts.stand_in.look("objects/checkout_sessions")
    [intent] = await parts.stand_in.look("objects/payment_intents")
    assert (intent["metadata"], intent["description"]) == (session["metadata"], "1000 credits")
    choice = await parts.gateway.choose_payment_method(MethodQuestion(request.stripe_customer_id, []))
    assert choice.payment_method is not None
    assert choice.payment_method.payment_method_id == paid.payment_method_id


async def test_a_bank_account_completes_the_page_before_it_has_paid(parts: StripeParts) -> None:
    page = await parts.gateway.open_checkout(new_checkout(await parts.customer()))
    await pay(parts, page, "pm_usBankAccount_success")
    done = await again(parts, page)
    assert done.status == "complete"
    assert (await payment_of(parts, done)).status is PaymentStatus.PROCESSING


async def test_a_decline_leaves_the_page_open(parts: StripeParts) -> None:
    request = new_checkout(await parts.customer())
    page = await parts.gateway.open_checkout(request)
    await pay(parts, page, "pm_card_chargeCustomerFail")
    declined = await again(parts, page)
    assert (declined.status, declined.url) == ("open", page.url)
    assert (await payment_of(parts, declined)).status is PaymentStatus.DECLINED
    assert await pay(parts, page) == request.success_url
    assert (await payment_of(parts, await again(parts, page))).status is PaymentStatus.SUCCEEDED


async def test_a_page_on_which_nobody_pays_expires(parts: StripeParts) -> None:
    page = await parts.gateway.open_checkout(new_checkout(await parts.customer()))
    await parts.trigger("checkout.session.expired", page.checkout_session_id)
    assert await again(parts, page) == CheckoutPage(page.checkout_session_id, "expired", None, None)


async def test_the_same_key_opens_the_same_page(parts: StripeParts) -> None:
    request = new_checkout(await parts.customer())
    first, second = [await parts.gateway.open_checkout(request) for _ in range(2)]
    assert first == second
    assert len(await parts.stand_in.look("objects/checkout_sessions")) == 1
    with pytest.raises(StripeOutcomeUnknown, match="same parameters"):
        await parts.gateway.open_checkout(replace(request, amount_cents=2000))


async def test_a_page_for_nobody_or_for_nothing_is_refused_and_an_unknown_one_too(parts: StripeParts) -> None:
    request = new_checkout(await parts.customer())
    for refused, code in (
        (parts.gateway.open_checkout(replace(request, stripe_customer_id="cus_of_nobody")), "resource_missing"),
        (parts.gateway.open_checkout(replace(request, amount_cents=1, idempotency_key="k-2")), "amount_too_small"),
        (parts.gateway.retrieve_checkout(CheckoutId("cs_of_nobody")), "resource_missing"),
    ):
        with pytest.raises(StripeRefused) as told:
            await refused
        assert told.value.code == code
