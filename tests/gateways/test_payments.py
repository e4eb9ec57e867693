"""Payments with a stored payment method, by the real library, against the stand-in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateways.stripe.errors import StripeOutage, StripeOutcomeUnknown, StripeRefused
from messages.payments import (
    Authentication,
    Cancellation,
    ChargeRequest,
    PaymentIntentId,
    PaymentKind,
    PaymentQuestion,
    PaymentStatus,
    StripePayment,
)
from tests.gateways.stripe_parts import StripeParts, new_charge

BACK = "https://example.com/back"
INTENTS = "/v1/payment_intents"
THREE_D = "pm_card_authenticationRequired"


async def charge(parts: StripeParts, sample: str = "pm_card_visa", **others: Any) -> StripePayment:
    """A charge of a new customer's new payment method."""
    return await parts.gateway.charge(await request(parts, sample, **others))


async def request(parts: StripeParts, sample: str = "pm_card_visa", **others: Any) -> ChargeRequest:
    """A request for a charge of a new customer's new payment method."""
    customer = await parts.customer()
    return new_charge(customer, await parts.method(customer, sample), **others)


async def intents(parts: StripeParts) -> list[dict[str, Any]]:
    """The payments at Stripe."""
    return await parts.stand_in.look("objects/payment_intents")


async def form_of(parts: StripeParts, path: str) -> dict[str, Any]:
    """What the latest POST there said."""
    requests = await parts.stand_in.look("requests")
    forms: list[dict[str, Any]] = [
        each["form"] for each in requests if (each["method"], each["path"]) == ("POST", path)
    ]
    return forms[-1]


def authentication(payment: StripePayment, method: str, number: int = 1) -> Authentication:
    """The payment once more, with its owner there."""
    return Authentication(payment.payment_intent_id, method, f"authenticate-{number}", BACK)


async def test_a_charge_says_all_that_it_is_for_and_comes_with_its_receipt(parts: StripeParts) -> None:
    order = await request(parts, amount_cents=1234)
    paid = await parts.gateway.charge(order)
    [intent] = await intents(parts)
    assert (intent["amount"], intent["currency"], intent["customer"]) == (1234, "usd", order.stripe_customer_id)
    assert intent["description"] == "1000 credits (automatic top-up)"
    assert intent["metadata"] == {
        "operationId": "op-1",
        "accountId": order.account_id,
        "credits": "1000",
        "kind": "auto-topup",
        "grantType": "purchase",
    }
    assert paid.receipt_url is not None
    assert paid == StripePayment(
        payment_intent_id=intent["id"],
        status=PaymentStatus.SUCCEEDED,
        operation_id="op-1",
        amount_cents=1234,
        received_cents=1234,
        receipt_url=paid.receipt_url,
        payment_method_id=order.payment_method_id,
    )


async def test_with_nobody_there_nothing_may_ask_for_them(parts: StripeParts) -> None:
    await charge(parts)
    form = await form_of(parts, INTENTS)
    assert (form["off_session"], form["automatic_payment_methods[allow_redirects]"]) == ("true", "never")
    assert "return_url" not in form
    assert (await parts.posts())[-1] == (INTENTS, "payment-op-1-1")


async def test_with_the_owner_there_the_payment_knows_the_way_back(parts: StripeParts) -> None:
    paid = await charge(parts, kind=PaymentKind.PURCHASE, off_session=False, return_url=BACK)
    assert paid.status is PaymentStatus.SUCCEEDED
    form = await form_of(parts, INTENTS)
    assert form["return_url"] == BACK
    assert not {"off_session", "automatic_payment_methods[allow_redirects]"} & form.keys()
    assert (form["description"], form["metadata[kind]"]) == ("1000 credits (purchase)", "purchase")


async def test_the_same_key_charges_once(parts: StripeParts) -> None:
    order = await request(parts)
    first, again = [await parts.gateway.charge(order) for _ in range(2)]
    assert first == again
    assert len(await intents(parts)) == 1
    with pytest.raises(StripeOutcomeUnknown, match="same parameters"):
        await parts.gateway.charge(replace(order, amount_cents=2000))


@pytest.mark.parametrize(
    ("sample", "decline_code", "never_again"),
    [
        ("pm_card_chargeCustomerFail", "generic_decline", False),
        ("pm_card_chargeCustomerFailInsufficientFunds", "insufficient_funds", False),
        ("pm_card_chargeCustomerFailLostCard", "lost_card", True),
    ],
)
async def test_a_cards_no_is_an_answer_also_when_it_is_asked_again(
    parts: StripeParts, sample: str, decline_code: str, never_again: bool
) -> None:
    order = await request(parts, sample)
    declined = await parts.gateway.charge(order)
    assert (declined.status, declined.received_cents) == (PaymentStatus.DECLINED, 0)
    assert declined.decline is not None
    assert (declined.decline.code, declined.decline.decline_code) == ("card_declined", decline_code)
    assert declined.decline.never_again is never_again
    assert (declined.operation_id, declined.payment_method_id) == ("op-1", order.payment_method_id)
    assert await parts.gateway.charge(order) == declined
    assert await parts.gateway.retrieve_payment(PaymentIntentId(declined.payment_intent_id)) == declined


async def test_a_bank_account_is_processing_and_succeeds_or_fails_days_later(parts: StripeParts) -> None:
    for event, status in (
        ("payment_intent.succeeded", PaymentStatus.SUCCEEDED),
        ("payment_intent.payment_failed", PaymentStatus.DECLINED),
    ):
        begun = await charge(parts, "pm_usBankAccount_success", idempotency_key=event)
        assert (begun.status, begun.received_cents) == (PaymentStatus.PROCESSING, 0)
        await parts.trigger(event, begun.payment_intent_id)
        later = await parts.gateway.retrieve_payment(PaymentIntentId(begun.payment_intent_id))
        assert later.status is status


async def test_link_is_charged_like_a_card(parts: StripeParts) -> None:
    assert (await charge(parts, "pm_link")).status is PaymentStatus.SUCCEEDED


async def test_an_expired_card_is_declined(parts: StripeParts) -> None:
    declined = await charge(parts, "pm_card_expired")
    assert declined.decline is not None
    assert (declined.decline.code, declined.decline.never_again) == ("expired_card", False)


async def test_a_method_that_is_gone_or_never_was_the_customers_is_declined(parts: StripeParts) -> None:
    gone = await request(parts)
    await parts.trigger("payment_method.detached", gone.payment_method_id)
    others = replace(await request(parts), stripe_customer_id=gone.stripe_customer_id)
    unknown = replace(gone, payment_method_id="pm_of_nobody")
    for number, order in enumerate((gone, others, unknown)):
        declined = await parts.gateway.charge(replace(order, idempotency_key=f"payment-{number}"))
        assert (declined.status, declined.payment_intent_id) == (PaymentStatus.DECLINED, "")
        assert declined.decline is not None
        assert "pm_" not in declined.decline.message
    assert await intents(parts) == []


async def test_what_is_wrong_with_the_request_is_refused(parts: StripeParts) -> None:
    order = await request(parts)
    for wrong, code in (
        (replace(order, stripe_customer_id="cus_of_nobody"), "resource_missing"),
        (replace(order, amount_cents=1, idempotency_key="payment-2"), "amount_too_small"),
    ):
        with pytest.raises(StripeRefused) as told:
            await parts.gateway.charge(wrong)
        assert told.value.code == code


@pytest.mark.parametrize(
    ("fault", "family", "made"),
    [
        ({"status": 429}, StripeOutage, 0),
        ({"status": 409}, StripeOutage, 0),
        ({"cut": True}, StripeOutage, 0),
        ({"cut": True, "afterWork": True}, StripeOutage, 1),
        ({"status": 500}, StripeOutcomeUnknown, 0),
        ({"status": 500, "afterWork": True}, StripeOutcomeUnknown, 1),
    ],
    ids=str,
)
async def test_what_is_no_answer_is_never_taken_for_a_decline_and_is_found(
    parts: StripeParts, fault: dict[str, Any], family: type[Exception], made: int
) -> None:
    order = await request(parts)
    question = PaymentQuestion("op-1", order.stripe_customer_id, datetime.now(UTC))
    await parts.stand_in.behave(fail=[{"method": "POST", "path": INTENTS, **fault}])
    with pytest.raises(family):
        await parts.gateway.charge(order)
    found = (await parts.gateway.find_payment(question)).payment
    assert (found is not None) is bool(made)
    assert found is None or (found.status, found.received_cents) == (PaymentStatus.SUCCEEDED, 1000)


async def test_authentication_is_asked_for_on_session_and_then_pays_the_same_payment(parts: StripeParts) -> None:
    order = await request(parts, THREE_D)
    declined = await parts.gateway.charge(order)
    assert (declined.status, declined.redirect_url) == (PaymentStatus.DECLINED, None)
    assert declined.decline is not None
    assert declined.decline.authentication_required
    waiting = await parts.gateway.authenticate_payment(authentication(declined, order.payment_method_id))
    assert (waiting.status, waiting.decline) == (PaymentStatus.REQUIRES_ACTION, None)
    assert waiting.payment_intent_id == declined.payment_intent_id
    assert waiting.redirect_url is not None
    assert (await parts.posts())[-1] == (f"{INTENTS}/{declined.payment_intent_id}/confirm", "authenticate-1")
    answer = await parts.stand_in.http.post(waiting.redirect_url, data={"outcome": "complete"})
    assert answer.headers["location"].startswith(BACK)
    paid = await parts.gateway.retrieve_payment(PaymentIntentId(declined.payment_intent_id))
    assert (paid.status, paid.received_cents, paid.redirect_url) == (PaymentStatus.SUCCEEDED, 1000, None)


async def test_who_fails_the_authentication_may_try_again(parts: StripeParts) -> None:
    order = await request(parts, THREE_D, off_session=False, return_url=BACK)
    waiting = await parts.gateway.charge(order)
    assert waiting.status is PaymentStatus.REQUIRES_ACTION
    assert waiting.redirect_url is not None
    await parts.stand_in.http.post(waiting.redirect_url, data={"outcome": "fail"})
    failed = await parts.gateway.retrieve_payment(PaymentIntentId(waiting.payment_intent_id))
    assert failed.status is PaymentStatus.DECLINED
    assert failed.decline is not None
    assert failed.decline.code == "payment_intent_authentication_failure"
    again = await parts.gateway.authenticate_payment(authentication(failed, order.payment_method_id))
    assert again.status is PaymentStatus.REQUIRES_ACTION
    assert again.redirect_url is not None


async def test_what_has_been_paid_is_not_paid_again(parts: StripeParts) -> None:
    order = await request(parts)
    paid = await parts.gateway.charge(order)
    assert await parts.gateway.authenticate_payment(authentication(paid, order.payment_method_id)) == paid
    bank = await request(parts, "pm_usBankAccount_success", idempotency_key="payment-bank")
    processing = await parts.gateway.charge(bank)
    again = await parts.gateway.authenticate_payment(authentication(processing, bank.payment_method_id, 2))
    assert again == processing


async def test_another_card_may_be_declined_on_session_as_well(parts: StripeParts) -> None:
    order = await request(parts, THREE_D)
    declined = await parts.gateway.charge(order)
    poor = await parts.method(order.stripe_customer_id, "pm_card_chargeCustomerFailInsufficientFunds")
    again = await parts.gateway.authenticate_payment(authentication(declined, poor))
    assert (again.status, again.payment_intent_id) == (PaymentStatus.DECLINED, declined.payment_intent_id)
    assert (again.payment_method_id, again.decline and again.decline.decline_code) == (poor, "insufficient_funds")
    await parts.trigger("payment_method.detached", poor)
    gone = await parts.gateway.authenticate_payment(authentication(declined, poor, 2))
    assert (gone.status, gone.operation_id) == (PaymentStatus.DECLINED, "op-1")
    assert gone.decline is not None
    assert not gone.decline.authentication_required


async def test_a_payment_that_was_refunded_or_disputed_says_so(parts: StripeParts) -> None:
    plain = await charge(parts)
    assert not plain.disputed_or_refunded
    await parts.stand_in.client.v1.refunds.create_async({"payment_intent": plain.payment_intent_id, "amount": 1})
    disputed = await charge(parts, "pm_card_createDispute", idempotency_key="payment-2")
    for payment in (plain, disputed):
        found = await parts.gateway.retrieve_payment(PaymentIntentId(payment.payment_intent_id))
        assert (found.status, found.disputed_or_refunded) == (PaymentStatus.SUCCEEDED, True)


async def test_a_payment_is_found_behind_a_hundred_others_by_its_operation_id(parts: StripeParts) -> None:
    order = await request(parts, operation_id="oldest")
    question = PaymentQuestion("oldest", order.stripe_customer_id, datetime.now(UTC))
    paid = await parts.gateway.charge(order)
    for number in range(101):
        other = replace(order, operation_id=f"op-{number}", idempotency_key=f"payment-{number}")
        await parts.gateway.charge(other)
    assert (await parts.gateway.find_payment(question)).payment == paid
    assert (await parts.gateway.find_payment(replace(question, operation_id="nothing"))).payment is None
    others = replace(question, stripe_customer_id=await parts.customer())
    assert (await parts.gateway.find_payment(others)).payment is None


async def test_of_several_payments_for_an_operation_the_one_that_was_paid_counts(parts: StripeParts) -> None:
    order = await request(parts)
    question = PaymentQuestion("op-1", order.stripe_customer_id, datetime.now(UTC))
    poor = await parts.method(order.stripe_customer_id, "pm_card_chargeCustomerFail")
    bank = await parts.method(order.stripe_customer_id, "pm_usBankAccount_success")
    for number, (method, status) in enumerate(
        (
            (poor, PaymentStatus.DECLINED),
            (bank, PaymentStatus.PROCESSING),
            (poor, PaymentStatus.PROCESSING),
            (order.payment_method_id, PaymentStatus.SUCCEEDED),
            (bank, PaymentStatus.SUCCEEDED),
        )
    ):
        await parts.gateway.charge(replace(order, payment_method_id=method, idempotency_key=f"payment-{number}"))
        found = (await parts.gateway.find_payment(question)).payment
        assert found is not None
        assert found.status is status


async def test_only_what_is_recent_enough_is_looked_through(parts: StripeParts) -> None:
    order = await request(parts)
    paid = await parts.gateway.charge(order)
    for minutes, expected in ((4, paid), (6, None)):
        since = datetime.now(UTC) + timedelta(minutes=minutes)
        question = PaymentQuestion("op-1", order.stripe_customer_id, since)
        assert (await parts.gateway.find_payment(question)).payment == expected


async def test_a_payment_that_nobody_has_tried_or_that_was_cancelled_says_so(parts: StripeParts) -> None:
    made = await parts.stand_in.client.v1.payment_intents.create_async({"amount": 500, "currency": "usd"})
    untried = await parts.gateway.retrieve_payment(PaymentIntentId(made.id))
    assert (untried.status, untried.operation_id) == (PaymentStatus.UNTRIED, None)
    await parts.stand_in.client.v1.payment_intents.cancel_async(made.id)
    assert (await parts.gateway.retrieve_payment(PaymentIntentId(made.id))).status is PaymentStatus.CANCELED


async def test_what_waits_for_its_owner_is_canceled_and_what_is_paid_is_not(parts: StripeParts) -> None:
    waits = await charge(parts, THREE_D)
    assert waits.status is PaymentStatus.DECLINED
    for number in range(2):
        canceled = await parts.gateway.cancel_payment(Cancellation(waits.payment_intent_id, f"cancel-{number}"))
        assert (canceled.status, canceled.operation_id) == (PaymentStatus.CANCELED, waits.operation_id)
    for sample in ("pm_card_visa", "pm_usBankAccount_success"):
        made = await charge(parts, sample, idempotency_key=f"payment-{sample}")
        assert await parts.gateway.cancel_payment(Cancellation(made.payment_intent_id, f"cancel-{sample}")) == made


async def test_a_payment_that_stripe_does_not_know_is_a_refusal(parts: StripeParts) -> None:
    with pytest.raises(StripeRefused) as told:
        await parts.gateway.retrieve_payment(PaymentIntentId("pi_of_nobody"))
    assert told.value.status == 404
    with pytest.raises(StripeRefused):
        await parts.gateway.cancel_payment(Cancellation("pi_of_nobody", "cancel-1"))
