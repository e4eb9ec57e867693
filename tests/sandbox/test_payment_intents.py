"""Charging a card, in the first form that the stand-in has."""

from typing import Any

import pytest
import stripe
from stripe.params import PaymentIntentCreateParams

from tests.sandbox.standin import StandIn, error_of


async def charge(stand_in: StandIn, card: str, **others: Any) -> stripe.PaymentIntent:
    """Attach a card to a new customer and charge it 15 dollars."""
    customer = await stand_in.customer()
    method = await stand_in.client.v1.payment_methods.attach_async(card, {"customer": customer.id})
    params: PaymentIntentCreateParams = {
        "amount": 1_500,
        "currency": "usd",
        "customer": customer.id,
        "payment_method": method.id,
        "confirm": True,
        "off_session": True,
    }
    params.update(others)  # type: ignore[typeddict-item]
    return await stand_in.client.v1.payment_intents.create_async(params)


async def event_types(stand_in: StandIn) -> list[str]:
    """Return the types of the payment intents' events so far."""
    events = await stand_in.look("objects/events")
    return [event["type"] for event in events if event["type"].startswith("payment_intent.")]


async def test_a_good_card_pays(stand_in: StandIn) -> None:
    intent = await charge(stand_in, "pm_card_visa")
    assert (intent.status, intent.amount_received) == ("succeeded", 1_500)
    assert intent.latest_charge is not None
    assert await event_types(stand_in) == ["payment_intent.created", "payment_intent.succeeded"]
    listed = await stand_in.client.v1.payment_intents.list_async({"customer": str(intent.customer)})
    assert [found.id for found in listed.data] == [intent.id]


async def test_a_declining_card_leaves_the_intent_and_says_which(stand_in: StandIn) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await charge(stand_in, "pm_card_chargeCustomerFail")
    error = error_of(declined)
    assert (declined.value.http_status, error["code"], error["decline_code"]) == (
        402,
        "card_declined",
        "generic_decline",
    )
    intent = await stand_in.client.v1.payment_intents.retrieve_async(error["payment_intent"]["id"])
    assert (intent.status, intent.amount_received, intent.payment_method) == ("requires_payment_method", 0, None)
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.code == "card_declined"
    assert await event_types(stand_in) == ["payment_intent.created", "payment_intent.payment_failed"]


async def test_a_card_that_wants_its_owner_declines_while_the_owner_is_away(stand_in: StandIn) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await charge(stand_in, "pm_card_authenticationRequired")
    assert declined.value.code == "authentication_required"
    present = await charge(stand_in, "pm_card_authenticationRequired", off_session=False)
    assert present.status == "requires_action"


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
    ],
)
async def test_wrong_parameters_are_refused(stand_in: StandIn, wrong: dict[str, Any], code: str | None) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await charge(stand_in, "pm_card_visa", **wrong)
    assert (refused.value.http_status, refused.value.code) == (400, code)
    assert await event_types(stand_in) == []
