"""`/v1/charges`: what a payment intent's attempts have come to, an object for each."""

from stripe_sandbox.endpoint import Answer, Call, Endpoint
from stripe_sandbox.errors import Json
from stripe_sandbox.ids import new_id
from stripe_sandbox.objects import CHARGES, Stored
from stripe_sandbox.pages import created_conditions
from stripe_sandbox.params import EXPAND, PAGING, Group, Period, Text
from stripe_sandbox.resources.common import equal_to, list_answer, of_customer
from stripe_sandbox.resources.declines import Decline
from stripe_sandbox.resources.method_bodies import details
from stripe_sandbox.resources.samples import CARD

RISK = {"risk_level": "normal", "risk_score": 20}


def retrieve(call: Call) -> Answer:
    """Show a charge."""
    return Answer(call.sandbox.objects.get(CHARGES, call.path["charge"], param="id", in_path=True).body)


def list_all(call: Call) -> Answer:
    """List charges by customer, payment intent and time of creation."""
    filters = {**of_customer(call), **equal_to(call, "payment_intent")}
    return list_answer(call, CHARGES, "/v1/charges", {**created_conditions(call.params.get("created")), **filters})


def make(call: Call, intent: Json, method: Json, status: str, decline: Decline | None = None) -> Json:
    """Make a charge of an intent's whole amount.

    Args:
        call: what it comes of.
        intent: whose amount, customer and metadata it takes.
        method: the payment method.
        status: `succeeded`, `pending` or `failed`.
        decline: why it failed, and only then.
    """
    # As at Stripe: what no card was charged for is called a payment.
    wanted = new_id("ch_3" if method["type"] == CARD else "py_3")
    charge: Json = {
        "id": wanted,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": None,
        "captured": False,
        "created": call.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": details(method),
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }
    charge |= _state(call, charge, status, decline)
    call.sandbox.objects.add(CHARGES, charge, customer=charge["customer"])
    call.happened(f"charge.{status}", charge)
    return charge


def settle(call: Call, charge: Stored, status: str, decline: Decline | None = None) -> Json:
    """Let a charge that was made before succeed or fail now."""
    changes = {"status": status, **_state(call, charge.body, status, decline)}
    return changed(call, charge, changes, event=f"charge.{status}")


def changed(call: Call, charge: Stored, changes: Json, *, event: str | None = None) -> Json:
    """Change a charge, and tell of it if there is an event for that."""
    body = {**charge.body, **changes}
    call.sandbox.objects.replace(body, customer=charge.customer)
    if event is not None:
        call.happened(event, body, before=charge.body if event in ("charge.updated", "charge.refunded") else None)
    return body


def _state(call: Call, charge: Json, status: str, decline: Decline | None) -> Json:
    """Return the fields that follow from the status; a pending charge counts as paid, as at Stripe."""
    if decline is None:
        return {
            "amount_captured": charge["amount"],
            "captured": True,
            "outcome": _outcome("authorized", "approved_by_network", "Payment complete."),
            "paid": True,
            "receipt_url": call.page_url("receipts", charge["id"]) if status == "succeeded" else None,
        }
    reason = decline.decline_code or decline.code
    said = f"The bank returned the decline code `{reason}`."
    refusal = {"advice_code": decline.advice_code, "reason": reason}
    return {
        "amount_captured": 0,
        "captured": False,
        "failure_code": decline.code,
        "failure_message": decline.message,
        "outcome": {**_outcome("issuer_declined", "declined_by_network", said), **refusal},
        "paid": False,
        "receipt_url": None,
    }


def _outcome(kind: str, network: str, message: str) -> Json:
    said = {"network_status": network, "seller_message": message, "type": kind}
    unknown = dict.fromkeys(("advice_code", "network_advice_code", "network_decline_code", "reason"))
    return {**unknown, **said, **RISK}


BASE = "/v1/charges"
LISTED = Group({**PAGING, "created": Period(), "customer": Text(), "payment_intent": Text()})
ENDPOINTS = [
    Endpoint("GET", BASE, LISTED, list_all),
    Endpoint("GET", BASE + "/{charge}", Group(EXPAND), retrieve),
]
