"""Checkout: sessions, their page as a browser uses it, and their late or missing end."""

from typing import Any

import httpx
import pytest
import stripe
from stripe.params.checkout import SessionCreateParams

from tests.sandbox.paying import (
    charge_of,
    count_events,
    event_types,
    event_types_since,
    intent_of,
    refused_trigger,
    submit,
    trigger,
)
from tests.sandbox.standin import StandIn

SHOP = "http://127.0.0.1:8000"
COMPLETED = "checkout.session.completed"


def session_params(**others: Any) -> SessionCreateParams:
    """Return the parameters of a session that sells 500 credits for 5 dollars."""
    price = {"currency": "usd", "unit_amount": 1, "product_data": {"name": "Credits <b>&"}}
    params: Any = {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 500}],
        "success_url": f"{SHOP}/paid?session={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{SHOP}/credits",
        "metadata": {"accountId": "acc_1"},
        "payment_intent_data": {"metadata": {"operationId": "op-1"}, "description": "500 credits"},
        **others,
    }
    typed: SessionCreateParams = params
    return typed


async def open_session(stand_in: StandIn, **others: Any) -> stripe.checkout.Session:
    """Open a session for a new customer."""
    given = {"customer": (await stand_in.customer()).id, **others}
    return await stand_in.client.v1.checkout.sessions.create_async(session_params(**given))


async def pay(stand_in: StandIn, session: stripe.checkout.Session, method: str) -> httpx.Response:
    """Send the page's form."""
    assert session.url is not None
    return await submit(stand_in, session.url, payment_method=method, action="pay")


async def session_of(stand_in: StandIn, session: stripe.checkout.Session) -> stripe.checkout.Session:
    """Return the session as it is now, with its payment intent."""
    return await stand_in.client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["payment_intent"]})


def intent_in(session: stripe.checkout.Session) -> stripe.PaymentIntent:
    """Return the payment intent that a session was shown with."""
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    return session.payment_intent


async def test_the_page_shows_what_is_sold_and_what_pays(stand_in: StandIn) -> None:
    session = await open_session(stand_in)
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 500)
    assert session.payment_intent is None
    assert session.url == f"{stand_in.url}/_sandbox/checkout/{session.id}"
    page = await stand_in.http.get(session.url)
    assert page.status_code == 200
    assert "Credits &lt;b&gt;&amp;" in page.text
    assert "5.00 USD" in page.text
    assert page.text.count('type="radio"') == 6
    policy = page.headers["content-security-policy"]
    assert (
        f"form-action 'self' {stand_in.url} {SHOP};" in policy or f"form-action 'self' {SHOP} {stand_in.url};" in policy
    )
    assert "script" not in page.text


async def test_paying_completes_the_session_and_leads_to_the_shop(stand_in: StandIn) -> None:
    session = await open_session(stand_in)
    answer = await pay(stand_in, session, "pm_card_visa")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{SHOP}/paid?session={session.id}")
    done = await session_of(stand_in, session)
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    intent = intent_in(done)
    assert (intent.status, intent.amount_received, intent.customer) == ("succeeded", 500, session.customer)
    assert intent.metadata.to_dict() == {"operationId": "op-1"}
    assert (await charge_of(stand_in, intent.id)).description == "500 credits"
    events = await stand_in.look("objects/events")
    assert events[-1]["type"] == COMPLETED
    assert events[-1]["data"]["object"]["payment_status"] == "paid"
    assert events[-1]["data"]["object"]["metadata"] == {"accountId": "acc_1"}


async def test_the_second_press_of_the_button_pays_nothing_more(stand_in: StandIn) -> None:
    session = await open_session(stand_in)
    answers = [await pay(stand_in, session, "pm_card_visa") for _ in range(2)]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert await event_types(stand_in, "charge.", "checkout.") == ["charge.succeeded", COMPLETED]
    assert session.url is not None
    assert (await stand_in.http.get(session.url)).headers["location"] == answers[0].headers["location"]


async def test_a_declined_payer_may_try_another_card(stand_in: StandIn) -> None:
    session = await open_session(stand_in)
    answer = await pay(stand_in, session, "pm_card_chargeCustomerFailLostCard")
    assert answer.status_code == 402
    assert "Your card was declined." in answer.text
    still = await session_of(stand_in, session)
    assert (still.status, intent_in(still).status) == ("open", "requires_payment_method")
    assert (await pay(stand_in, session, "pm_card_visa")).status_code == 303
    done = await session_of(stand_in, session)
    assert (done.status, intent_in(done).id) == ("complete", intent_in(still).id)
    assert await event_types(stand_in, "charge.", "checkout.") == ["charge.failed", "charge.succeeded", COMPLETED]


@pytest.mark.parametrize(("outcome", "status"), [("complete", "complete"), ("fail", "open")])
async def test_a_payer_authenticates_and_comes_back(stand_in: StandIn, outcome: str, status: str) -> None:
    session = await open_session(stand_in)
    answer = await pay(stand_in, session, "pm_card_authenticationRequired")
    waiting = intent_in(await session_of(stand_in, session))
    assert answer.headers["location"] == f"{stand_in.url}/_sandbox/authenticate/{waiting.id}"
    page = await stand_in.http.get(answer.headers["location"])
    assert SHOP in page.headers["content-security-policy"]
    back = await submit(stand_in, answer.headers["location"], outcome=outcome)
    assert session.url is not None
    assert back.headers["location"].startswith(session.url)
    shown = await stand_in.http.get(back.headers["location"])
    if status == "complete":
        assert shown.headers["location"] == f"{SHOP}/paid?session={session.id}"
    else:
        assert "failed authentication" in shown.text
    assert (await session_of(stand_in, session)).status == status


@pytest.mark.parametrize(
    ("event", "payment_status", "told"),
    [
        ("payment_intent.succeeded", "paid", "checkout.session.async_payment_succeeded"),
        ("payment_intent.payment_failed", "unpaid", "checkout.session.async_payment_failed"),
    ],
)
async def test_a_bank_debit_completes_the_session_unpaid_and_ends_days_later(
    stand_in: StandIn, event: str, payment_status: str, told: str
) -> None:
    session = await open_session(stand_in)
    assert (await pay(stand_in, session, "pm_usBankAccount_success")).status_code == 303
    done = await session_of(stand_in, session)
    assert (done.status, done.payment_status, intent_in(done).status) == ("complete", "unpaid", "processing")
    before = await count_events(stand_in)
    await trigger(stand_in, event, intent_in(done).id)
    assert (await event_types_since(stand_in, before))[1:] == [event, told]
    assert (await session_of(stand_in, session)).payment_status == payment_status


async def test_the_card_is_kept_when_it_is_to_be_used_again(stand_in: StandIn) -> None:
    session = await open_session(stand_in, payment_intent_data={"setup_future_usage": "off_session"})
    await pay(stand_in, session, "pm_card_mastercard")
    kept = await stand_in.client.v1.customers.payment_methods.list_async(str(session.customer))
    assert [method.id for method in kept.data] == [intent_in(await session_of(stand_in, session)).payment_method]


async def test_canceling_goes_back_and_leaves_the_session_open(stand_in: StandIn) -> None:
    session = await open_session(stand_in)
    assert session.url is not None
    answer = await submit(stand_in, session.url, action="cancel")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{SHOP}/credits")
    assert (await session_of(stand_in, session)).status == "open"


async def test_an_expired_session_cannot_be_paid_nor_its_payment_finished(stand_in: StandIn) -> None:
    session = await open_session(stand_in)
    waiting = await pay(stand_in, session, "pm_card_authenticationRequired")
    expired = await stand_in.client.v1.checkout.sessions.expire_async(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    assert (await intent_of(stand_in, str(expired.payment_intent))).status == "canceled"
    assert await event_types(stand_in, "checkout.") == ["checkout.session.expired"]
    assert (await pay(stand_in, session, "pm_card_visa")).status_code == 410
    await submit(stand_in, waiting.headers["location"], outcome="complete")
    assert await event_types(stand_in, "charge.") == []
    with pytest.raises(stripe.InvalidRequestError, match="has a status of expired"):
        await stand_in.client.v1.checkout.sessions.expire_async(session.id)


async def test_a_session_expires_by_itself_and_by_trigger(stand_in: StandIn) -> None:
    first, second = await open_session(stand_in), await open_session(stand_in)
    assert (await trigger(stand_in, "checkout.session.expired", first.id))["status"] == "expired"
    await stand_in.control("clock", {"advanceSeconds": 24 * 60 * 60 + 1})
    [_, told] = [event for event in await stand_in.look("objects/events") if event["type"].startswith("checkout.")]
    assert (told["type"], told["data"]["object"]["id"]) == ("checkout.session.expired", second.id)
    assert (await pay(stand_in, second, "pm_card_visa")).status_code == 410
    assert "has a status of expired" in await refused_trigger(stand_in, "checkout.session.expired", second.id)


async def test_the_payment_of_a_session_is_the_sessions_own(stand_in: StandIn) -> None:
    session = await open_session(stand_in)
    await pay(stand_in, session, "pm_card_chargeCustomerFail")
    intents, wanted = stand_in.client.v1.payment_intents, intent_in(await session_of(stand_in, session)).id
    for refused in (intents.cancel_async(wanted), intents.confirm_async(wanted, {"payment_method": "pm_card_visa"})):
        with pytest.raises(stripe.InvalidRequestError, match="of a Checkout Session"):
            await refused


async def test_sessions_are_listed_by_customer_and_by_payment(stand_in: StandIn) -> None:
    sessions = stand_in.client.v1.checkout.sessions
    first, second = await open_session(stand_in), await open_session(stand_in)
    assert [found.id for found in (await sessions.list_async({"customer": str(first.customer)})).data] == [first.id]
    await pay(stand_in, second, "pm_card_visa")
    intent = intent_in(await session_of(stand_in, second)).id
    assert [found.id for found in (await sessions.list_async({"payment_intent": intent})).data] == [second.id]
    assert [found.id for found in (await sessions.list_async({"status": "open"})).data] == [first.id]


@pytest.mark.parametrize("name", ["payment_method_types", "allowed_payment_method_types"])
async def test_only_the_named_types_are_offered_and_taken(stand_in: StandIn, name: str) -> None:
    session = await open_session(stand_in, **{name: ["card"]})
    assert session.url is not None
    page = await stand_in.http.get(session.url)
    assert page.text.count('type="radio"') == 4
    for method in ("pm_link", "pm_of_nobody"):
        answer = await pay(stand_in, session, method)
        assert (answer.status_code, "Choose a payment method." in answer.text) == (400, True)


async def test_a_session_needs_no_customer(stand_in: StandIn) -> None:
    session = await stand_in.client.v1.checkout.sessions.create_async(session_params(customer_email="ada@example.com"))
    await pay(stand_in, session, "pm_card_visa")
    done = await session_of(stand_in, session)
    assert done.customer_details is not None
    assert (done.customer, done.customer_details.email, done.status) == (None, "ada@example.com", "complete")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"line_items": []}, "parameter_missing"),
        ({"success_url": "credits"}, "url_invalid"),
        ({"mode": "setup"}, None),
        ({"expires_at": 1}, None),
        ({"customer_email": "ada@example.com"}, None),
        ({"customer": "cus_of_nobody"}, "resource_missing"),
    ],
)
async def test_wrong_sessions_are_refused(stand_in: StandIn, wrong: dict[str, Any], code: str | None) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await open_session(stand_in, **wrong)
    assert (refused.value.http_status, refused.value.code) == (400, code)


@pytest.mark.parametrize(("amount", "code"), [(49, "amount_too_small"), (60_000_000, "amount_too_large")])
async def test_too_little_and_too_much_are_refused(stand_in: StandIn, amount: int, code: str) -> None:
    price = {"currency": "usd", "unit_amount": amount, "product_data": {"name": "Credits"}}
    items = [{"price_data": price, "quantity": 2 if amount > 49 else 1}]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await open_session(stand_in, line_items=items)
    assert refused.value.code == code
