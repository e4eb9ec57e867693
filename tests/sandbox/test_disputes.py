"""Disputes: whether the money was taken and given back, and how they end."""

from typing import Any

import pytest
import stripe

from tests.sandbox.paying import (
    charge,
    charge_of,
    count_events,
    event_types,
    event_types_since,
    refused_trigger,
    trigger,
)
from tests.sandbox.standin import StandIn


def moved(dispute: Any) -> list[tuple[int, str]]:
    """Return what a dispute's balance transactions say."""
    return [(each["amount"], each["reporting_category"]) for each in dispute["balance_transactions"]]


async def dispute_of(stand_in: StandIn, intent: str) -> stripe.Dispute:
    """Return the only dispute of a payment intent."""
    [found] = (await stand_in.client.v1.disputes.list_async({"payment_intent": intent})).data
    return found


async def test_a_disputed_charge_loses_its_money_at_once(stand_in: StandIn) -> None:
    paid = await charge(stand_in, "pm_card_createDispute")
    assert paid.status == "succeeded"
    dispute = await dispute_of(stand_in, paid.id)
    assert (dispute.status, dispute.amount, dispute.charge) == ("needs_response", 1_500, paid.latest_charge)
    assert moved(dispute) == [(-1_500, "dispute")]
    assert (await charge_of(stand_in, paid.id)).disputed
    told = await event_types(stand_in, "charge.dispute.")
    assert told == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]


async def test_an_inquiry_takes_nothing(stand_in: StandIn) -> None:
    paid = await charge(stand_in, "pm_card_createDisputeInquiry")
    dispute = await dispute_of(stand_in, paid.id)
    assert (dispute.status, dispute.is_charge_refundable, moved(dispute)) == ("warning_needs_response", True, [])
    assert await event_types(stand_in, "charge.dispute.") == ["charge.dispute.created"]
    assert (await trigger(stand_in, "charge.dispute.closed", dispute.id))["status"] == "warning_closed"


async def test_giving_a_dispute_up_loses_it(stand_in: StandIn) -> None:
    disputes = stand_in.client.v1.disputes
    paid = await charge(stand_in, "pm_card_createDispute")
    dispute = await dispute_of(stand_in, paid.id)
    lost = await disputes.close_async(dispute.id)
    assert (lost.status, moved(lost)) == ("lost", [(-1_500, "dispute")])
    assert (await event_types(stand_in, "charge.dispute."))[-1] == "charge.dispute.closed"
    with pytest.raises(stripe.InvalidRequestError, match="its status is lost"):
        await disputes.close_async(dispute.id)


async def test_a_dispute_that_is_won_gives_the_money_back_first(stand_in: StandIn) -> None:
    paid = await charge(stand_in, "pm_card_createDispute")
    before = await count_events(stand_in)
    won = await trigger(stand_in, "charge.dispute.closed", paid.id, status="won")
    assert won["status"] == "won"
    assert moved(won) == [(-1_500, "dispute"), (1_500, "dispute_reversal")]
    told = await event_types_since(stand_in, before)
    assert told == ["charge.dispute.funds_reinstated", "charge.dispute.closed"]


async def test_each_step_of_a_dispute_can_be_taken_by_itself(stand_in: StandIn) -> None:
    paid = await charge(stand_in, "pm_card_visa")
    before = await count_events(stand_in)
    opened = await trigger(stand_in, "charge.dispute.created", str(paid.latest_charge))
    assert (opened["status"], moved(opened)) == ("needs_response", [])
    assert "open dispute" in await refused_trigger(stand_in, "charge.dispute.created", paid.id)
    assert "no withdrawn funds" in await refused_trigger(stand_in, "charge.dispute.funds_reinstated", paid.id)
    taken = await trigger(stand_in, "charge.dispute.funds_withdrawn", opened["id"])
    assert moved(taken) == [(-1_500, "dispute")]
    assert "already" in await refused_trigger(stand_in, "charge.dispute.funds_withdrawn", paid.id)
    returned = await trigger(stand_in, "charge.dispute.funds_reinstated", paid.id)
    assert sum(amount for amount, _ in moved(returned)) == 0
    assert (await trigger(stand_in, "charge.dispute.closed", paid.id, status="won"))["status"] == "won"
    assert "closed already" in await refused_trigger(stand_in, "charge.dispute.closed", opened["id"], status="lost")
    assert await event_types_since(stand_in, before) == [
        f"charge.dispute.{step}" for step in ("created", "funds_withdrawn", "funds_reinstated", "closed")
    ]


async def test_an_inquiry_may_become_a_dispute(stand_in: StandIn) -> None:
    paid = await charge(stand_in, "pm_card_createDisputeInquiry")
    taken = await trigger(stand_in, "charge.dispute.funds_withdrawn", paid.id)
    assert (taken["status"], moved(taken)) == ("needs_response", [(-1_500, "dispute")])


async def test_a_dispute_may_be_opened_in_the_options_that_it_has(stand_in: StandIn) -> None:
    paid = await charge(stand_in, "pm_card_visa")
    too_much = await refused_trigger(stand_in, "charge.dispute.created", paid.id, amount=1_501)
    assert "No more than the charge" in too_much
    opened = await trigger(stand_in, "charge.dispute.created", paid.id, withdraw=True, amount="700")
    assert moved(opened) == [(-700, "dispute")]
    other = await charge(stand_in, "pm_card_visa")
    asked = await trigger(stand_in, "charge.dispute.created", other.id, status="warning_needs_response")
    assert (asked["status"], moved(asked)) == ("warning_needs_response", [])


async def test_only_what_was_paid_can_be_disputed(stand_in: StandIn) -> None:
    processing = await charge(stand_in, "pm_usBankAccount_success")
    assert "status is pending" in await refused_trigger(stand_in, "charge.dispute.created", processing.id)
    unpaid = await stand_in.client.v1.payment_intents.create_async({"amount": 500, "currency": "usd"})
    assert "has no charge" in await refused_trigger(stand_in, "charge.dispute.created", unpaid.id)
    assert "No such" in await refused_trigger(stand_in, "charge.dispute.closed", processing.id)
