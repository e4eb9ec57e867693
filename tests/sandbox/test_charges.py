"""Charges: what they show of the payment that made them."""

from tests.sandbox.paying import charge, charge_of, declined
from tests.sandbox.standin import StandIn


async def test_a_charge_shows_what_was_paid_and_has_a_receipt(stand_in: StandIn) -> None:
    intent = await charge(stand_in, "pm_card_visa", metadata={"operationId": "op-1"}, description="<500 credits>")
    made = await charge_of(stand_in, intent.id)
    assert (made.amount, made.amount_captured, made.amount_refunded) == (1_500, 1_500, 0)
    assert (made.paid, made.captured, made.refunded, made.disputed, made.status) == (
        *(True, True, False, False),
        "succeeded",
    )
    assert (made.customer, made.payment_intent, made.payment_method) == (
        *(intent.customer, intent.id),
        intent.payment_method,
    )
    assert made.metadata.to_dict() == {"operationId": "op-1"}
    assert made.balance_transaction is None
    assert made.receipt_url is not None
    receipt = await stand_in.http.get(made.receipt_url)
    assert receipt.status_code == 200
    assert "15.00 USD" in receipt.text
    assert "&lt;500 credits&gt;" in receipt.text


async def test_a_failed_charge_says_why(stand_in: StandIn) -> None:
    error = await declined(stand_in, "pm_card_chargeCustomerFailLostCard")
    made = await stand_in.client.v1.charges.retrieve_async(error["charge"])
    assert (made.status, made.paid, made.failure_code) == ("failed", False, "card_declined")
    assert (made.amount_captured, made.receipt_url) == (0, None)
    assert made.outcome is not None
    assert (made.outcome.reason, made.outcome.type) == ("lost_card", "issuer_declined")


async def test_charges_are_listed_by_customer(stand_in: StandIn) -> None:
    first, _ = [await charge(stand_in, "pm_card_visa") for _ in range(2)]
    listed = await stand_in.client.v1.charges.list_async({"customer": str(first.customer)})
    assert [made.payment_intent for made in listed.data] == [first.id]
