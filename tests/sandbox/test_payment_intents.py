"""Payment intents: charging at once, confirming again, canceling."""

from typing import Any

import pytest
import stripe

from tests.sandbox.paying import charge, charge_of, declined, event_types, intent_of
from tests.sandbox.standin import StandIn, error_of

INTENT, CHARGE = "payment_intent.", "charge."


async def test_a_good_card_pays(stand_in: StandIn) -> None:
    intent = await charge(stand_in, "pm_card_visa")
    assert (intent.status, intent.amount_received) == ("succeeded", 1_500)
    told = await event_types(stand_in, INTENT, CHARGE)
    assert told == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    listed = await stand_in.client.v1.payment_intents.list_async({"customer": str(intent.customer)})
    assert [found.id for found in listed.data] == [intent.id]


async def test_a_declining_card_leaves_the_intent_and_says_which(stand_in: StandIn) -> None:
    error = await declined(stand_in, "pm_card_chargeCustomerFail")
    assert (error["code"], error["decline_code"], error["advice_code"]) == (
        "card_declined",
        "generic_decline",
        "try_again_later",
    )
    intent = await intent_of(stand_in, error["payment_intent"]["id"])
    assert (intent.status, intent.amount_received, intent.payment_method) == ("requires_payment_method", 0, None)
    assert intent.last_payment_error is not None
    assert (intent.last_payment_error.code, intent.latest_charge) == ("card_declined", error["charge"])
    told = await event_types(stand_in, INTENT, CHARGE)
    assert told == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


@pytest.mark.parametrize(
    ("card", "code", "decline_code", "advice"),
    [
        ("pm_card_chargeCustomerFailLostCard", "card_declined", "lost_card", "do_not_try_again"),
        ("pm_card_chargeCustomerFailInsufficientFunds", "card_declined", "insufficient_funds", "try_again_later"),
        ("pm_card_expired", "expired_card", None, "confirm_card_data"),
        ("pm_card_authenticationRequired", "authentication_required", "authentication_required", "confirm_card_data"),
    ],
)
async def test_a_card_that_could_be_attached_may_still_decline_and_says_what_helps(
    stand_in: StandIn, card: str, code: str, decline_code: str | None, advice: str
) -> None:
    error = await declined(stand_in, card)
    assert (error["code"], error.get("decline_code"), error["advice_code"]) == (code, decline_code, advice)
    made = await charge_of(stand_in, error["payment_intent"]["id"])
    assert made.outcome is not None
    assert (made.status, made.outcome.advice_code) == ("failed", advice)


async def test_a_card_that_expires_this_month_pays_until_the_month_is_over(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    card = await stand_in.client.v1.payment_methods.attach_async("pm_card_expiresThisMonth", {"customer": customer.id})
    paying = {"customer": customer.id, "payment_method": card.id}
    assert (await charge(stand_in, "pm_card_visa", **paying)).status == "succeeded"
    await stand_in.control("clock", {"advanceSeconds": 32 * 24 * 60 * 60})
    with pytest.raises(stripe.CardError) as refused:
        await charge(stand_in, "pm_card_visa", **paying)
    assert refused.value.code == "expired_card"


async def test_a_declined_intent_is_paid_by_another_card(stand_in: StandIn) -> None:
    error = await declined(stand_in, "pm_card_chargeCustomerFail")
    intents = stand_in.client.v1.payment_intents
    paid = await intents.confirm_async(error["payment_intent"]["id"], {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)
    charges = await stand_in.client.v1.charges.list_async({"payment_intent": paid.id})
    assert [made.status for made in charges.data] == ["succeeded", "failed"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await intents.confirm_async(paid.id, {"payment_method": "pm_card_visa"})
    assert refused.value.code == "payment_intent_unexpected_state"
    assert error_of(refused)["payment_intent"]["status"] == "succeeded"


async def test_an_intent_without_a_card_waits_for_one(stand_in: StandIn) -> None:
    intents = stand_in.client.v1.payment_intents
    intent = await intents.create_async({"amount": 900, "currency": "usd"})
    assert intent.status == "requires_payment_method"
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        await intents.confirm_async(intent.id)
    named = await intents.create_async({"amount": 900, "currency": "usd", "payment_method": "pm_card_visa"})
    assert named.status == "requires_confirmation"
    assert (await intents.confirm_async(named.id)).status == "succeeded"


async def test_a_card_that_is_to_be_used_again_is_attached_and_another_is_spent(stand_in: StandIn) -> None:
    customer = await stand_in.customer()
    us = {"customer": customer.id, "payment_method": "pm_card_us", "off_session": False}
    kept = await charge(stand_in, "pm_card_visa", **us, setup_future_usage="off_session")
    spent = await charge(stand_in, "pm_card_visa", **us)
    methods = [
        await stand_in.client.v1.payment_methods.retrieve_async(str(paid.payment_method)) for paid in (kept, spent)
    ]
    assert [method.customer for method in methods] == [customer.id, None]
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await charge(stand_in, "pm_card_visa", customer=customer.id, payment_method=methods[1].id)


async def test_a_canceled_intent_is_over(stand_in: StandIn) -> None:
    intents = stand_in.client.v1.payment_intents
    error = await declined(stand_in, "pm_card_chargeCustomerFail")
    ended = await intents.cancel_async(error["payment_intent"]["id"], {"cancellation_reason": "abandoned"})
    assert (ended.status, ended.cancellation_reason) == ("canceled", "abandoned")
    assert ended.canceled_at is not None
    assert (await event_types(stand_in, INTENT))[-1] == "payment_intent.canceled"
    for again in (intents.cancel_async(ended.id), intents.confirm_async(ended.id, {"payment_method": "pm_card_visa"})):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await again
        assert refused.value.code == "payment_intent_unexpected_state"


async def test_a_bank_debit_is_processing_for_days(stand_in: StandIn) -> None:
    intent = await charge(stand_in, "pm_usBankAccount_success")
    assert (intent.status, intent.amount_received) == ("processing", 0)
    made = await charge_of(stand_in, intent.id)
    assert (made.status, made.receipt_url) == ("pending", None)
    told = await event_types(stand_in, INTENT, CHARGE)
    assert told == ["payment_intent.created", "charge.pending", "payment_intent.processing"]
    with pytest.raises(stripe.InvalidRequestError, match="may be canceled"):
        await stand_in.client.v1.payment_intents.cancel_async(intent.id)


async def test_link_pays_like_a_card(stand_in: StandIn) -> None:
    intent = await charge(stand_in, "pm_link")
    made = await charge_of(stand_in, intent.id)
    assert made.payment_method_details is not None
    assert (intent.status, made.payment_method_details.type) == ("succeeded", "link")


async def test_only_the_named_types_may_pay(stand_in: StandIn) -> None:
    for name in ("payment_method_types", "allowed_payment_method_types"):
        with pytest.raises(stripe.InvalidRequestError, match="not allowed for this PaymentIntent"):
            await charge(stand_in, "pm_link", **{name: ["card"]})
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        await charge(stand_in, "pm_link", payment_method_types=["card"], automatic_payment_methods={"enabled": True})


async def test_only_the_customers_own_card_is_charged(stand_in: StandIn) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await charge(stand_in, "pm_card_visa", customer=(await stand_in.customer()).id)
    assert (refused.value.code, refused.value.param) == ("resource_missing", "payment_method")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"amount": 10}, "amount_too_small"),
        ({"amount": 100_000_000}, "parameter_invalid_integer"),
        ({"confirm": False}, None),
        ({"currency": "12"}, None),
        ({"return_url": "javascript:alert(1)"}, "url_invalid"),
    ],
)
async def test_wrong_parameters_are_refused(stand_in: StandIn, wrong: dict[str, Any], code: str | None) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await charge(stand_in, "pm_card_visa", **wrong)
    assert (refused.value.http_status, refused.value.code) == (400, code)
    assert await event_types(stand_in, INTENT) == []
