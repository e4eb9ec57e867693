"""What tests of payments do alike: charge a card, look at events, act as the payer's browser."""

from typing import Any

import httpx
import pytest
import stripe
from stripe.params import PaymentIntentCreateParams

from tests.sandbox.standin import StandIn

RETURN_URL = "http://127.0.0.1:8000/billing?tab=cards"


async def charge(stand_in: StandIn, method: str, **others: Any) -> stripe.PaymentIntent:
    """Attach a payment method to a new customer and charge it 15 dollars."""
    customer = await stand_in.customer()
    attached = await stand_in.client.v1.payment_methods.attach_async(method, {"customer": customer.id})
    params: PaymentIntentCreateParams = {
        "amount": 1_500,
        "currency": "usd",
        "customer": customer.id,
        "payment_method": attached.id,
        "confirm": True,
        "off_session": True,
    }
    params.update(others)  # type: ignore[typeddict-item]
    return await stand_in.client.v1.payment_intents.create_async(params)


async def declined(stand_in: StandIn, method: str, **others: Any) -> dict[str, Any]:
    """Charge a payment method that declines, and return the inside of the refusal's body."""
    with pytest.raises(stripe.CardError) as refusal:
        await charge(stand_in, method, **others)
    body: Any = refusal.value.json_body
    error: dict[str, Any] = body["error"]
    return error


async def waiting_for_payer(stand_in: StandIn, **others: Any) -> stripe.PaymentIntent:
    """Charge a card while its owner, who has to authenticate, is there."""
    present = {"off_session": False, "return_url": RETURN_URL, **others}
    return await charge(stand_in, "pm_card_authenticationRequired", **present)


async def intent_of(stand_in: StandIn, wanted: str) -> stripe.PaymentIntent:
    """Return a payment intent as it is now."""
    return await stand_in.client.v1.payment_intents.retrieve_async(wanted)


async def charge_of(stand_in: StandIn, intent: str) -> stripe.Charge:
    """Return the latest charge of a payment intent, as it is now."""
    shown = await stand_in.client.v1.payment_intents.retrieve_async(intent, {"expand": ["latest_charge"]})
    assert isinstance(shown.latest_charge, stripe.Charge)
    return shown.latest_charge


async def event_types(stand_in: StandIn, *prefixes: str) -> list[str]:
    """Return the types of the events so far that begin so."""
    events = await stand_in.look("objects/events")
    return [event["type"] for event in events if event["type"].startswith(prefixes)]


async def count_events(stand_in: StandIn) -> int:
    """Return how many events there are, to look at later ones alone."""
    return len(await stand_in.look("objects/events"))


async def event_types_since(stand_in: StandIn, count: int) -> list[str]:
    """Return the types of the events after the first so many."""
    return [event["type"] for event in (await stand_in.look("objects/events"))[count:]]


async def trigger(stand_in: StandIn, event: str, wanted: str, **options: Any) -> dict[str, Any]:
    """Pull a trigger that must work, and return the object."""
    answer = await stand_in.control("trigger", {"event": event, "object": wanted, **options})
    found: dict[str, Any] = answer["object"]
    return found


async def refused_trigger(stand_in: StandIn, event: str, wanted: str, **options: Any) -> str:
    """Pull a trigger that must be refused, and return why."""
    order = {"event": event, "object": wanted, **options}
    answer = await stand_in.http.post(f"{stand_in.url}/_sandbox/trigger", json=order)
    assert 400 <= answer.status_code < 500, answer.text
    message: str = answer.json()["error"]["message"]
    return message


async def submit(stand_in: StandIn, page: str, **fields: str) -> httpx.Response:
    """Send a page's form, as a browser would, without following where it leads."""
    return await stand_in.http.post(page, data=fields, follow_redirects=False)


def redirect_of(intent: stripe.PaymentIntent) -> str:
    """Return the page that an intent sends the payer to."""
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    assert intent.next_action.redirect_to_url.url is not None
    return intent.next_action.redirect_to_url.url
