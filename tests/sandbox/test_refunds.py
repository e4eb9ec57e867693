"""Refunds: whole and in parts, by request and in the dashboard, succeeding late or failing late."""

from typing import Any

import pytest
import stripe

from tests.sandbox.paying import (
    charge,
    charge_of,
    count_events,
    event_types_since,
    intent_of,
    refused_trigger,
    trigger,
)
from tests.sandbox.standin import StandIn


async def test_a_charge_is_refunded_in_parts(stand_in: StandIn) -> None:
    refunds = stand_in.client.v1.refunds
    paid = await charge(stand_in, "pm_card_visa")
    before = await count_events(stand_in)
    first = await refunds.create_async({"payment_intent": paid.id, "amount": 500, "metadata": {"operationId": "r-1"}})
    assert (first.status, first.amount, first.charge, first.payment_intent) == (
        *("succeeded", 500),
        *(paid.latest_charge, paid.id),
    )
    assert await event_types_since(stand_in, before) == ["refund.created", "charge.refunded"]
    made = await charge_of(stand_in, paid.id)
    assert (made.amount_refunded, made.refunded, made.status) == (500, False, "succeeded")
    rest = await refunds.create_async({"charge": made.id, "reason": "duplicate"})
    assert (rest.amount, rest.reason) == (1_000, "duplicate")
    events = await stand_in.look("objects/events")
    assert (events[-1]["type"], events[-1]["data"]["object"]["amount_refunded"]) == ("charge.refunded", 1_500)
    assert events[-1]["data"]["previous_attributes"] == {"amount_refunded": 500, "refunded": False}
    listed = await refunds.list_async({"payment_intent": paid.id})
    assert [found.id for found in listed.data] == [rest.id, first.id]
    assert (await intent_of(stand_in, paid.id)).status == "succeeded"


async def test_no_more_is_refunded_than_was_paid(stand_in: StandIn) -> None:
    refunds = stand_in.client.v1.refunds
    paid = await charge(stand_in, "pm_card_visa")
    await refunds.create_async({"payment_intent": paid.id, "amount": 1_000})
    with pytest.raises(stripe.InvalidRequestError, match=r"\(\$5.01\) is greater than .*\(\$5.00\)") as refused:
        await refunds.create_async({"payment_intent": paid.id, "amount": 501})
    assert refused.value.param == "amount"
    await refunds.create_async({"payment_intent": paid.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await refunds.create_async({"payment_intent": paid.id})
    assert refused.value.code == "charge_already_refunded"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "should be provided"),
        ({"charge": "ch_of_nobody"}, "No such charge"),
        ({"payment_intent": "pi_of_nobody"}, "No such payment_intent"),
    ],
)
async def test_a_refund_needs_a_charge(stand_in: StandIn, params: Any, said: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=said) as refused:
        await stand_in.client.v1.refunds.create_async(params)
    assert refused.value.http_status == 400


async def test_what_was_not_paid_cannot_be_refunded(stand_in: StandIn) -> None:
    refunds = stand_in.client.v1.refunds
    unpaid = await stand_in.client.v1.payment_intents.create_async({"amount": 500, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        await refunds.create_async({"payment_intent": unpaid.id})
    processing = await charge(stand_in, "pm_usBankAccount_success")
    with pytest.raises(stripe.InvalidRequestError, match="its status is pending"):
        await refunds.create_async({"payment_intent": processing.id})


async def test_what_the_bank_took_back_cannot_be_refunded_too(stand_in: StandIn) -> None:
    disputed = await charge(stand_in, "pm_card_createDispute")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await stand_in.client.v1.refunds.create_async({"payment_intent": disputed.id})
    assert refused.value.code == "charge_disputed"


async def test_a_pending_refund_succeeds_later(stand_in: StandIn) -> None:
    paid = await charge(stand_in, "pm_card_pendingRefund")
    refund = await stand_in.client.v1.refunds.create_async({"payment_intent": paid.id})
    assert (refund.status, (await charge_of(stand_in, paid.id)).amount_refunded) == ("pending", 1_500)
    before = await count_events(stand_in)
    assert (await trigger(stand_in, "refund.succeeded", refund.id))["status"] == "succeeded"
    assert await event_types_since(stand_in, before) == ["refund.updated", "charge.refund.updated"]
    assert "not pending" in await refused_trigger(stand_in, "refund.succeeded", refund.id)


async def test_a_refund_that_succeeded_may_fail_after_all(stand_in: StandIn) -> None:
    paid = await charge(stand_in, "pm_card_refundFail")
    kept = await stand_in.client.v1.refunds.create_async({"payment_intent": paid.id, "amount": 300})
    failing = await stand_in.client.v1.refunds.create_async({"payment_intent": paid.id, "amount": 1_200})
    assert failing.status == "succeeded"
    before = await count_events(stand_in)
    failed = await trigger(stand_in, "refund.failed", paid.id)
    assert (failed["id"], failed["status"], failed["failure_reason"]) == (
        *(failing.id, "failed"),
        "expired_or_canceled_card",
    )
    told = await event_types_since(stand_in, before)
    assert told == ["refund.updated", "charge.refund.updated", "refund.failed", "charge.updated"]
    made = await charge_of(stand_in, paid.id)
    assert (made.amount_refunded, made.refunded) == (300, False)
    assert (await stand_in.client.v1.refunds.retrieve_async(kept.id)).status == "succeeded"
    assert "failed already" in await refused_trigger(stand_in, "refund.failed", failing.id)


@pytest.mark.parametrize("amount", [400, "400"])
async def test_a_person_in_the_dashboard_refunds_a_part_and_then_the_rest(stand_in: StandIn, amount: object) -> None:
    paid = await charge(stand_in, "pm_card_visa")
    part = await trigger(stand_in, "charge.refunded", paid.id, amount=amount)
    assert (part["object"], part["amount_refunded"]) == ("charge", 400)
    assert (await trigger(stand_in, "charge.refunded", str(paid.latest_charge)))["refunded"] is True
    assert "already been refunded" in await refused_trigger(stand_in, "charge.refunded", paid.id)
    events = await stand_in.look("objects/events")
    assert events[-1]["request"] == {"id": None, "idempotency_key": None}
    assert [refund["amount"] for refund in await stand_in.look("objects/refunds")] == [400, 1_100]


async def test_a_charge_shows_its_refunds_when_it_is_asked_to(stand_in: StandIn) -> None:
    intents = stand_in.client.v1.payment_intents
    paid = await charge(stand_in, "pm_card_visa")
    refund = await stand_in.client.v1.refunds.create_async({"payment_intent": paid.id, "amount": 200})
    shown = await intents.retrieve_async(paid.id, {"expand": ["latest_charge", "latest_charge.refunds"]})
    assert isinstance(shown.latest_charge, stripe.Charge)
    assert shown.latest_charge.refunds is not None
    assert [found.id for found in shown.latest_charge.refunds.data] == [refund.id]
    plain = await stand_in.client.v1.charges.retrieve_async(shown.latest_charge.id)
    assert "refunds" not in plain
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await intents.retrieve_async(paid.id, {"expand": ["latest_charge.refunds.data"]})
