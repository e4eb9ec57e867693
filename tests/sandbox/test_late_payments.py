"""Payments that succeed or fail after their request was answered."""

import pytest

from tests.sandbox.paying import (
    charge,
    charge_of,
    count_events,
    declined,
    event_types_since,
    intent_of,
    refused_trigger,
    trigger,
)
from tests.sandbox.standin import StandIn


async def test_a_bank_debit_succeeds_days_later(stand_in: StandIn) -> None:
    intent = await charge(stand_in, "pm_usBankAccount_success")
    before = await count_events(stand_in)
    paid = await trigger(stand_in, "payment_intent.succeeded", intent.id)
    assert (paid["status"], paid["amount_received"], paid["latest_charge"]) == (
        *("succeeded", 1_500),
        intent.latest_charge,
    )
    made = await charge_of(stand_in, intent.id)
    assert (made.status, made.paid) == ("succeeded", True)
    assert made.receipt_url == f"{stand_in.url}/_sandbox/receipts/{made.id}"
    assert await event_types_since(stand_in, before) == ["charge.succeeded", "payment_intent.succeeded"]


@pytest.mark.parametrize("method", ["pm_usBankAccount_success", "pm_card_visa"])
async def test_a_payment_may_fail_days_later(stand_in: StandIn, method: str) -> None:
    intent = await charge(stand_in, method)
    before = await count_events(stand_in)
    await trigger(stand_in, "payment_intent.payment_failed", str(intent.latest_charge), code="insufficient_funds")
    failed = await intent_of(stand_in, intent.id)
    assert (failed.status, failed.amount_received) == ("requires_payment_method", 0)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.decline_code == "insufficient_funds"
    made = await charge_of(stand_in, intent.id)
    assert (made.id, made.status, made.paid, made.receipt_url) == (intent.latest_charge, "failed", False, None)
    assert await event_types_since(stand_in, before) == ["charge.failed", "payment_intent.payment_failed"]


async def test_what_is_settled_does_not_change_any_more(stand_in: StandIn) -> None:
    paid = await charge(stand_in, "pm_card_visa")
    assert "not processing" in await refused_trigger(stand_in, "payment_intent.succeeded", paid.id)
    error = await declined(stand_in, "pm_card_chargeCustomerFail")
    again = await refused_trigger(stand_in, "payment_intent.payment_failed", error["payment_intent"]["id"])
    assert "neither processing nor succeeded" in again
    assert "No such" in await refused_trigger(stand_in, "payment_intent.succeeded", "pi_of_nobody")
