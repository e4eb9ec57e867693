"""Stripe's events about money reach whoever carries the payment, and what is not ours is ignored with the reason."""

from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.payment_events import CUSTOMER_EVENTS, PAYMENT_EVENTS, REVERSAL_EVENTS
from ledger.customers import account_of_customer, record_customer
from ledger.opening import find_account
from ledger.paying import read_payment
from ledger.topping_up import read_auto_topup
from messages.customers import Customer
from messages.payments import PaymentEvent, PaymentState
from messages.sweeps import SweepReport
from tests.activities.parts import Rooms
from tests.store.paying import attempt, become, buy_credits, topped_up_user
from tests.store.support import open_user

NOT_OURS = "a payment that was not made by us"
NO_CUSTOMER = "a customer that is none of ours"
INTENT_EVENTS = sorted(kind for kind in PAYMENT_EVENTS if kind.startswith("payment_intent."))
CHECKOUT_EVENTS = sorted(PAYMENT_EVENTS - set(INTENT_EVENTS))
FAILURES = {
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
}
OBJECTS = {"charge.refunded": "charge", "refund": "refund", "charge.refund": "refund", "charge.dispute": "dispute"}


async def deliver(rooms: Rooms, event_type: str, body: Any, **data: Any) -> tuple[str, str | None]:
    """Delivers an event about this object; answers with how its wait ended."""
    event_id = await rooms.store(event_type, data={"object": body, **data})
    await rooms.delivery.deliver(event_id)
    event = await rooms.event(event_id)
    if rooms.flows.events:
        assert rooms.flows.events[-1].event_id == event_id
    return event.state, event.last_error


def intent(name: str = "pi_1", **more: Any) -> dict[str, Any]:
    """A PaymentIntent."""
    return {"id": name, "object": "payment_intent", "metadata": {}, **more}


def page(payment_intent: Any = None, **metadata: str) -> dict[str, Any]:
    """A hosted page, with what was paid on it."""
    return {"id": "cs_1", "object": "checkout.session", "payment_intent": payment_intent, "metadata": metadata}


def reversed_by(event_type: str, payment_intent: Any) -> dict[str, Any]:
    """What such an event about a reversal is about."""
    kind = OBJECTS.get(event_type) or OBJECTS[event_type.rpartition(".")[0]]
    return {"id": "x_1", "object": kind, "payment_intent": payment_intent}


@pytest.fixture
async def paid(rooms: Rooms) -> Rooms:
    """One purchase that Stripe knows, as pi_1, and one that it does not know yet as far as we do."""
    account_id = await open_user(rooms.engine)
    await buy_credits(rooms.engine, account_id)
    await become(rooms.engine, "bought", PaymentState.PROCESSING, payment_intent_id="pi_1")
    await buy_credits(rooms.engine, account_id, "begun")
    return rooms


async def test_a_payment_is_found_by_its_intent(paid: Rooms) -> None:
    for number, event_type in enumerate(INTENT_EVENTS):
        assert await deliver(paid, event_type, intent()) == ("processed", None)
        assert paid.flows.told[number:] == [("payment", "bought", event_type in FAILURES)]
        assert paid.flows.events[number].payment_intent_id == "pi_1"


async def test_a_payment_whose_intent_we_do_not_know_is_found_by_its_metadata(paid: Rooms) -> None:
    for number, event_type in enumerate([*INTENT_EVENTS, *CHECKOUT_EVENTS]):
        body = (
            intent("pi_new", metadata={"operationId": "begun"})
            if event_type in INTENT_EVENTS
            else page("pi_new", operationId="begun")
        )
        assert await deliver(paid, event_type, body) == ("processed", None)
        assert paid.flows.told[number:] == [("payment", "begun", event_type in FAILURES)]
        assert paid.flows.events[number].payment_intent_id == "pi_new"


@pytest.mark.parametrize("payment_intent", ["pi_1", intent()])
async def test_a_hosted_page_is_found_by_what_was_paid_on_it_expanded_or_not(paid: Rooms, payment_intent: Any) -> None:
    for number, event_type in enumerate(CHECKOUT_EVENTS):
        assert await deliver(paid, event_type, page(payment_intent)) == ("processed", None)
        assert paid.flows.told[number:] == [("payment", "bought", event_type in FAILURES)]


async def test_a_page_on_which_nothing_was_paid_is_found_by_its_metadata(paid: Rooms) -> None:
    assert await deliver(paid, "checkout.session.expired", page(None, operationId="begun")) == ("processed", None)
    assert paid.flows.told == [("payment", "begun", True)]
    assert paid.flows.events[0].payment_intent_id is None


async def test_an_intent_that_we_know_counts_more_than_its_metadata(paid: Rooms) -> None:
    body = intent(metadata={"operationId": "begun"})
    assert await deliver(paid, "payment_intent.succeeded", body) == ("processed", None)
    assert paid.flows.told == [("payment", "bought", False)]


SOMEBODY_ELSES: list[tuple[str, dict[str, Any]]] = [
    ("payment_intent.succeeded", intent("pi_of_another")),
    ("payment_intent.succeeded", intent("pi_of_another", metadata={"operationId": "nothing"})),
    ("payment_intent.succeeded", intent("pi_of_another", metadata={"operationId": 5})),
    ("payment_intent.succeeded", intent("pi_of_another", metadata=None)),
    ("payment_intent.succeeded", intent("pi_of_another", metadata=[])),
    ("checkout.session.completed", page()),
    ("checkout.session.completed", page({"object": "payment_intent"})),
    ("checkout.session.completed", page("pi_of_another", operationId="x" * 5_000)),
    *((event_type, reversed_by(event_type, "pi_of_another")) for event_type in sorted(REVERSAL_EVENTS)),
    ("charge.refunded", reversed_by("charge.refunded", None)),
    ("charge.dispute.created", {"id": "du_1", "object": "dispute"}),
]


async def test_a_payment_of_somebody_else_is_ignored(paid: Rooms) -> None:
    for event_type, body in SOMEBODY_ELSES:
        assert await deliver(paid, event_type, body) == ("ignored", NOT_OURS)
    assert paid.flows.asked == []


@pytest.mark.parametrize("payment_intent", ["pi_1", intent()])
async def test_refunds_and_disputes_reach_the_reversal_of_the_payment(paid: Rooms, payment_intent: Any) -> None:
    for number, event_type in enumerate(sorted(REVERSAL_EVENTS)):
        assert await deliver(paid, event_type, reversed_by(event_type, payment_intent)) == ("processed", None)
        assert paid.flows.told[number:] == [("reversal", "pi_1", False)]
        assert paid.flows.events[number].payment_intent_id == "pi_1"


async def test_a_page_of_events_about_one_payment_is_told_once(paid: Rooms) -> None:
    account_id = await open_user(paid.engine)
    await buy_credits(paid.engine, account_id, "other")
    await become(paid.engine, "other", PaymentState.PAID, payment_intent_id="pi_2")
    told = [
        await paid.store(event_type, data={"object": reversed_by(event_type, payment_intent)})
        for payment_intent in ("pi_1", "pi_2", "pi_1", {"id": "pi_2"}, "pi_of_nobody")
        for event_type in ("charge.refunded", "charge.dispute.created")
    ]
    assert await paid.delivery.deliver_due(limit=100) == SweepReport(done=10)
    assert sorted(paid.flows.told) == [("reversal", "pi_1", False), ("reversal", "pi_2", False)]
    ends = [(await paid.event(event_id)).state for event_id in told]
    assert (ends.count("processed"), ends.count("ignored")) == (8, 2)
    # What is read later may be news.
    await paid.store("charge.refunded", data={"object": reversed_by("charge.refunded", "pi_1")})
    await paid.delivery.deliver_due(limit=100)
    assert len(paid.flows.told) == 3


@pytest.mark.parametrize("data", [None, {}, {"object": None}, {"object": {}}, {"object": {"id": 5}}])
async def test_an_event_without_its_object_is_quarantined(rooms: Rooms, data: Any) -> None:
    for event_type in sorted(PAYMENT_EVENTS | REVERSAL_EVENTS | CUSTOMER_EVENTS):
        event_id = await rooms.store(event_type, data=data)
        await rooms.delivery.deliver(event_id)
        event = await rooms.event(event_id)
        assert (event.state, event.last_error) == ("quarantined", f"a {event_type} event without its object")
    assert rooms.flows.asked == []


async def test_an_event_does_not_change_the_payment(paid: Rooms) -> None:
    """What has become of the money is asked of Stripe, and not believed."""
    before = await read_payment(paid.engine, "bought")
    await deliver(paid, "payment_intent.succeeded", intent(status="succeeded", amount_received=10**9))
    await deliver(paid, "charge.refunded", reversed_by("charge.refunded", "pi_1"))
    assert await read_payment(paid.engine, "bought") == before


@pytest.mark.parametrize(
    ("event_type", "body"),
    [
        ("payment_intent.succeeded", intent()),
        ("checkout.session.completed", page("pi_1")),
        ("charge.refunded", reversed_by("charge.refunded", "pi_1")),
        ("customer.updated", {"id": "cus_1", "object": "customer"}),
    ],
)
async def test_while_temporal_is_away_the_event_stays_and_comes_again(
    paid: Rooms, worker: ActivityEnvironment, event_type: str, body: dict[str, Any]
) -> None:
    account_id = (await read_payment(paid.engine, "bought")).account_id
    await record_customer(paid.engine, Customer(account_id, "cus_1"))
    paid.flows.down = True
    event_id = await paid.store(event_type, data={"object": body})
    await paid.delivery.deliver(event_id)
    waits = await paid.event(event_id)
    assert (waits.state, waits.attempts) == ("received", 0)
    paid.flows.down = False
    await paid.make_due()
    assert await worker.run(paid.sweeps.deliver_inbox) == SweepReport(done=1)
    assert paid.flows.events == [PaymentEvent(event_id, paid.flows.events[0].payment_intent_id)]
    assert (await paid.event(event_id)).state == "processed"


@pytest.fixture
async def customer(rooms: Rooms) -> str:
    """An account with auto top-up, which is cus_1 at Stripe."""
    account_id = await topped_up_user(rooms.engine)
    await record_customer(rooms.engine, Customer(account_id, "cus_1"))
    return account_id


@pytest.mark.parametrize(
    ("event_type", "body", "data"),
    [
        ("customer.updated", {"id": "cus_1", "object": "customer"}, {}),
        ("payment_method.automatically_updated", {"id": "pm_1", "object": "payment_method", "customer": "cus_1"}, {}),
        (
            "payment_method.automatically_updated",
            {"id": "pm_1", "object": "payment_method", "customer": {"id": "cus_1", "object": "customer"}},
            {},
        ),
        (
            "payment_method.detached",
            {"id": "pm_1", "object": "payment_method", "customer": None},
            {"previous_attributes": {"customer": "cus_1"}},
        ),
        (
            "payment_method.detached",
            {"id": "pm_1", "object": "payment_method"},
            {"previous_attributes": {"customer": {"id": "cus_1"}}},
        ),
    ],
)
async def test_a_customer_that_changed_is_looked_at(
    rooms: Rooms, customer: str, event_type: str, body: dict[str, Any], data: dict[str, Any]
) -> None:
    assert await deliver(rooms, event_type, body, **data) == ("processed", None)
    assert rooms.flows.told == [("customer", customer, False)]
    assert (await read_auto_topup(rooms.engine, customer)).enabled


@pytest.mark.parametrize(
    ("event_type", "body", "data"),
    [
        ("customer.updated", {"id": "cus_2", "object": "customer"}, {}),
        ("customer.deleted", {"id": "cus_2", "object": "customer", "deleted": True}, {}),
        ("payment_method.detached", {"id": "pm_1", "object": "payment_method"}, {}),
        ("payment_method.detached", {"id": "pm_1", "object": "payment_method"}, {"previous_attributes": None}),
        (
            "payment_method.detached",
            {"id": "pm_1", "object": "payment_method", "customer": None},
            {"previous_attributes": {"customer": "cus_2"}},
        ),
        ("payment_method.automatically_updated", {"id": "pm_1", "object": "payment_method", "customer": None}, {}),
    ],
)
async def test_a_customer_of_somebody_else_is_ignored(
    rooms: Rooms, customer: str, event_type: str, body: dict[str, Any], data: dict[str, Any]
) -> None:
    assert await deliver(rooms, event_type, body, **data) == ("ignored", NO_CUSTOMER)
    assert rooms.flows.asked == []
    assert (await find_account(rooms.engine, customer)).stripe_customer_id == "cus_1"


DELETED = {"id": "cus_1", "object": "customer", "deleted": True}


async def test_a_deleted_customer_is_forgotten_and_its_auto_top_up_off(rooms: Rooms, customer: str) -> None:
    assert await deliver(rooms, "customer.deleted", DELETED) == ("processed", None)
    account = await find_account(rooms.engine, customer)
    assert (account.stripe_customer_id, account.default_payment_method) == (None, None)
    shown = await read_auto_topup(rooms.engine, customer)
    assert (shown.enabled, shown.disabled_reason) == (False, "auto-topup-no-payment-method")
    assert "add a card" in (shown.disabled_message or "")
    assert await deliver(rooms, "customer.deleted", DELETED) == ("ignored", NO_CUSTOMER)
    assert rooms.flows.asked == []


async def test_a_deleted_customer_is_not_forgotten_before_its_auto_top_up_is_off(rooms: Rooms, customer: str) -> None:
    """What fails in between is done when the event comes again: until then it must find whose it was."""
    await rooms.change("ALTER TABLE auto_topups RENAME TO elsewhere")
    state, error = await deliver(rooms, "customer.deleted", DELETED)
    assert (state, "ProgrammingError" in (error or "")) == ("received", True)
    assert await account_of_customer(rooms.engine, "cus_1") == customer
    await rooms.change("ALTER TABLE elsewhere RENAME TO auto_topups")
    await rooms.make_due()
    assert await rooms.delivery.deliver_due(limit=10) == SweepReport(done=1)
    assert not (await read_auto_topup(rooms.engine, customer)).enabled
    assert await account_of_customer(rooms.engine, "cus_1") is None


async def test_an_auto_top_up_is_told_like_any_payment(rooms: Rooms, customer: str) -> None:
    await attempt(rooms.engine, customer)
    body = intent(metadata={"operationId": "topup-1"})
    assert await deliver(rooms, "payment_intent.processing", body) == ("processed", None)
    assert rooms.flows.told == [("payment", "topup-1", False)]
