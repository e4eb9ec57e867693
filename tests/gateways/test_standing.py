"""How much of a payment has gone back: the sums, and what the stand-in says in every order of what may happen."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.stripe.errors import StripeRefused
from gateways.stripe.standing import standing_of
from messages.payments import PaymentIntentId
from messages.reversals import PaymentStanding
from tests.gateways.stripe_parts import StripeParts, new_charge

PAID: dict[str, Any] = {
    "id": "pi_1",
    "status": "succeeded",
    "currency": "usd",
    "amount_received": 1000,
    "metadata": {"operationId": "op-1"},
    "latest_charge": "ch_1",
    "last_payment_error": None,
}
OPEN = ["needs_response", "under_review", "warning_needs_response", "warning_under_review"]
CLOSED = ["lost", "prevented", "warning_closed", "won"]
REFUNDS = ["succeeded", "pending", "requires_action", None]


def refund(amount: int, status: str | None = "succeeded") -> dict[str, Any]:
    """A refund."""
    return {"amount": amount, "status": status}


def dispute(*moved: int, amount: int = 1000, currency: str = "usd", paid_out_in: str = "usd") -> dict[str, Any]:
    """An open dispute that has moved these amounts; each withdrawal has cost a fee of 15 dollars."""
    transactions = [
        {"amount": each, "fee": 1500 if each < 0 else 0, "net": each - (1500 if each < 0 else 0)} for each in moved
    ]
    return {
        "status": "needs_response",
        "amount": amount,
        "currency": currency,
        "balance_transactions": [{**each, "currency": paid_out_in} for each in transactions],
    }


def moved(*disputes: dict[str, Any], paid: int = 1000) -> tuple[int, int]:
    """What these disputes have withdrawn and reinstated of a payment."""
    found = standing_of({**PAID, "amount_received": paid}, [], disputes)
    return found.withdrawn_cents, found.reinstated_cents


def test_a_payment_that_stands_has_lost_nothing() -> None:
    assert standing_of(PAID, [], []) == PaymentStanding(
        payment_intent_id="pi_1",
        paid_cents=1000,
        refunded_cents=0,
        withdrawn_cents=0,
        reinstated_cents=0,
        dispute_open=False,
        failed=False,
        operation_id="op-1",
    )


@given(st.lists(st.tuples(st.integers(1, 500), st.sampled_from([*REFUNDS, "failed", "canceled"])), max_size=6))
def test_every_refund_counts_but_those_that_failed_or_were_canceled(refunds: list[tuple[int, str | None]]) -> None:
    found = standing_of(PAID, [refund(*each) for each in refunds], [])
    assert found.refunded_cents == sum(amount for amount, status in refunds if status in REFUNDS)


@pytest.mark.parametrize("status", [*OPEN, *CLOSED])
def test_a_dispute_is_open_until_it_is_won_lost_closed_or_prevented(status: str) -> None:
    found = standing_of(PAID, [], [{**dispute(), "status": "won"}, {**dispute(), "status": status}])
    assert found.dispute_open is (status in OPEN)
    assert (found.withdrawn_cents, found.reinstated_cents) == (0, 0)


def test_what_a_dispute_takes_is_the_amount_without_its_fee() -> None:
    assert moved(dispute(-1000)) == (1000, 0)
    assert moved(dispute(-400, amount=400)) == (400, 0)
    assert moved(dispute(-1000, 1000)) == (1000, 1000)
    assert moved(dispute(-1000, 300)) == (1000, 300)


def test_several_disputes_add_up_each_for_itself() -> None:
    assert moved(dispute(-400, amount=400), dispute(-600, amount=600)) == (1000, 0)
    assert moved(dispute(-1000, 1000), dispute(-1000)) == (2000, 1000)


def test_no_dispute_takes_more_than_was_paid_or_gives_back_more_than_it_took() -> None:
    assert moved(dispute(-1040, 1060, amount=1040)) == (1000, 1000)
    assert moved(dispute(-500, 520, amount=500)) == (500, 500)
    assert moved(dispute(200)) == (0, 0)


def test_where_we_are_paid_out_in_another_currency_the_disputes_own_amount_counts() -> None:
    assert moved(dispute(-940, paid_out_in="eur", amount=1000)) == (1000, 0)
    assert moved(dispute(-370, 365, paid_out_in="eur", amount=400)) == (400, 400)
    assert moved(dispute(paid_out_in="eur")) == (0, 0)


def test_where_the_dispute_is_in_yet_another_currency_all_that_was_paid_counts() -> None:
    assert moved(dispute(-370, paid_out_in="eur", amount=90_000, currency="jpy")) == (1000, 0)


@given(
    paid=st.integers(1, 2000),
    disputes=st.lists(
        st.builds(
            dispute,
            st.integers(-3000, -1),
            st.integers(0, 3000),
            amount=st.integers(1, 3000),
            currency=st.sampled_from(["usd", "jpy"]),
            paid_out_in=st.sampled_from(["usd", "eur"]),
        ),
        max_size=4,
    ),
)
def test_disputes_never_give_back_more_than_they_took(paid: int, disputes: list[dict[str, Any]]) -> None:
    withdrawn, reinstated = moved(*disputes, paid=paid)
    assert 0 <= reinstated <= withdrawn <= paid * len(disputes)


@pytest.mark.parametrize(
    ("intent", "paid", "failed"),
    [
        ({"status": "requires_payment_method", "last_payment_error": {"type": "card_error"}}, 0, True),
        ({"status": "requires_payment_method"}, 0, False),
        ({"status": "canceled"}, 0, True),
        ({"status": "processing"}, 0, False),
        ({"status": "processing", "latest_charge": {"status": "pending", "amount_captured": 1000}}, 0, False),
        ({"status": "requires_action"}, 0, False),
        ({"status": "canceled", "amount_received": 400}, 400, False),
        ({"status": "requires_capture", "latest_charge": {"status": "succeeded", "amount_captured": 300}}, 300, False),
        (
            {
                "status": "requires_payment_method",
                "last_payment_error": {"type": "card_error"},
                "latest_charge": {"status": "failed", "amount_captured": 0},
            },
            0,
            True,
        ),
    ],
    ids=str,
)
def test_a_payment_has_failed_when_it_ended_without_money(intent: dict[str, Any], paid: int, failed: bool) -> None:
    found = standing_of({**PAID, "amount_received": 0, **intent}, [], [])
    assert (found.paid_cents, found.failed) == (paid, failed)


async def pay(parts: StripeParts, sample: str = "pm_card_visa") -> str:
    """The id of a new customer's payment of 10 dollars."""
    customer = await parts.customer()
    order = new_charge(customer, await parts.method(customer, sample), idempotency_key=f"payment-{customer}")
    return (await parts.gateway.charge(order)).payment_intent_id


async def standing(parts: StripeParts, payment: str) -> tuple[int, int, int, int, bool]:
    """What was paid, refunded, withdrawn and reinstated, and whether a dispute is open."""
    found = await parts.gateway.retrieve_standing(PaymentIntentId(payment))
    assert (found.payment_intent_id, found.operation_id) == (payment, "op-1")
    return (
        found.paid_cents,
        found.refunded_cents,
        found.withdrawn_cents,
        found.reinstated_cents,
        found.dispute_open,
    )


async def test_refunds_add_up_and_one_that_fails_is_none(parts: StripeParts) -> None:
    payment = await pay(parts)
    assert await standing(parts, payment) == (1000, 0, 0, 0, False)
    await parts.trigger("charge.refunded", payment, amount=300)
    assert await standing(parts, payment) == (1000, 300, 0, 0, False)
    await parts.trigger("charge.refunded", payment)
    assert await standing(parts, payment) == (1000, 1000, 0, 0, False)
    await parts.trigger("refund.failed", payment)
    assert await standing(parts, payment) == (1000, 300, 0, 0, False)


async def test_a_refund_that_is_pending_counts(parts: StripeParts) -> None:
    payment = await pay(parts, "pm_card_pendingRefund")
    await parts.trigger("charge.refunded", payment, amount=400)
    assert await standing(parts, payment) == (1000, 400, 0, 0, False)
    await parts.trigger("refund.succeeded", payment)
    assert await standing(parts, payment) == (1000, 400, 0, 0, False)


async def test_all_of_more_than_a_hundred_refunds_are_counted(parts: StripeParts) -> None:
    payment = await pay(parts)
    for _ in range(101):
        await parts.trigger("charge.refunded", payment, amount=2)
    assert await standing(parts, payment) == (1000, 202, 0, 0, False)


async def test_a_dispute_opens_takes_and_gives_back(parts: StripeParts) -> None:
    payment = await pay(parts)
    await parts.trigger("charge.dispute.created", payment)
    assert await standing(parts, payment) == (1000, 0, 0, 0, True)
    await parts.trigger("charge.dispute.funds_withdrawn", payment)
    assert await standing(parts, payment) == (1000, 0, 1000, 0, True)
    await parts.trigger("charge.dispute.closed", payment, status="won")
    assert await standing(parts, payment) == (1000, 0, 1000, 1000, False)


async def test_a_lost_dispute_keeps_what_it_took_and_a_bank_may_think_again(parts: StripeParts) -> None:
    payment = await pay(parts, "pm_card_createDispute")
    assert await standing(parts, payment) == (1000, 0, 1000, 0, True)
    await parts.trigger("charge.dispute.closed", payment, status="lost")
    assert await standing(parts, payment) == (1000, 0, 1000, 0, False)
    await parts.trigger("charge.dispute.funds_reinstated", payment)
    assert await standing(parts, payment) == (1000, 0, 1000, 1000, False)


async def test_an_inquiry_takes_nothing(parts: StripeParts) -> None:
    payment = await pay(parts, "pm_card_createDisputeInquiry")
    assert await standing(parts, payment) == (1000, 0, 0, 0, True)
    await parts.trigger("charge.dispute.closed", payment)
    assert await standing(parts, payment) == (1000, 0, 0, 0, False)


async def test_a_refund_and_a_dispute_of_the_rest_come_to_the_same_in_either_order(parts: StripeParts) -> None:
    steps: list[tuple[str, dict[str, Any]]] = [
        ("charge.refunded", {"amount": 300}),
        ("charge.dispute.created", {"amount": 700}),
    ]
    for order in permutations(steps):
        payment = await pay(parts)
        for event, options in order:
            await parts.trigger(event, payment, **options)
        await parts.trigger("charge.dispute.funds_withdrawn", payment)
        assert await standing(parts, payment) == (1000, 300, 700, 0, True)


async def test_a_payment_that_fails_late_has_failed(parts: StripeParts) -> None:
    payment = await pay(parts, "pm_usBankAccount_success")
    found = await parts.gateway.retrieve_standing(PaymentIntentId(payment))
    assert (found.paid_cents, found.failed) == (0, False)
    await parts.trigger("payment_intent.succeeded", payment)
    found = await parts.gateway.retrieve_standing(PaymentIntentId(payment))
    assert (found.paid_cents, found.failed) == (1000, False)
    await parts.trigger("payment_intent.payment_failed", payment)
    found = await parts.gateway.retrieve_standing(PaymentIntentId(payment))
    assert (found.paid_cents, found.failed) == (0, True)


async def test_somebody_elses_payment_has_a_standing_without_an_operation(parts: StripeParts) -> None:
    made = await parts.stand_in.client.v1.payment_intents.create_async(
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "return_url": "https://a.b",
        }
    )
    found = await parts.gateway.retrieve_standing(PaymentIntentId(made.id))
    assert (found.paid_cents, found.operation_id) == (500, None)


async def test_a_payment_that_never_was_is_refused(parts: StripeParts) -> None:
    with pytest.raises(StripeRefused, match="No such payment_intent"):
        await parts.gateway.retrieve_standing(PaymentIntentId("pi_of_nobody"))
