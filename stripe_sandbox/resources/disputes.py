"""`/v1/disputes`: charges that their payers object to.

Whether the money was taken, and given back, stands in `balance_transactions` alone: at most one negative amount, and
after it at most one positive.
"""

from stripe_sandbox.endpoint import Answer, Call, Endpoint
from stripe_sandbox.errors import Json, refused
from stripe_sandbox.ids import new_id
from stripe_sandbox.objects import DISPUTES, Stored
from stripe_sandbox.pages import created_conditions
from stripe_sandbox.params import EXPAND, PAGING, Group, Period, Text
from stripe_sandbox.resources import charges
from stripe_sandbox.resources.common import equal_to, list_answer
from stripe_sandbox.resources.samples import CARD

FEE = 1_500
ANSWER_WITHIN_SECONDS = 9 * 24 * 60 * 60
OPEN = ("needs_response", "warning_needs_response")
EVIDENCE = (
    *("access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure"),
    *("cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name"),
    *("customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation"),
    *("duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure"),
    *("refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier"),
    *("shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file"),
    "uncategorized_text",
)


def retrieve(call: Call) -> Answer:
    """Show a dispute."""
    return Answer(_dispute(call).body)


def list_all(call: Call) -> Answer:
    """List disputes by charge, payment intent and time of creation."""
    conditions = {**created_conditions(call.params.get("created")), **equal_to(call, "charge", "payment_intent")}
    return list_answer(call, DISPUTES, "/v1/disputes", conditions)


def close(call: Call) -> Answer:
    """Give a dispute up as lost."""
    dispute = _dispute(call)
    if dispute.body["status"] != "needs_response":
        raise refused(f"This dispute cannot be closed: its status is {dispute.body['status']}.")
    return Answer(end(call, dispute, "lost"))


def open_dispute(call: Call, charge: Stored, status: str, *, withdraw: bool, amount: int | None = None) -> Json:
    """Dispute a charge.

    Args:
        call: what it comes of.
        charge: a charge that was paid and has no open dispute.
        status: `needs_response` or `warning_needs_response` (an inquiry).
        withdraw: whether the money is taken at once, as it is for all but inquiries.
        amount: what is disputed, in minor units; the whole charge when None.

    Raises:
        ApiError: 400 when the charge cannot be disputed now.
    """
    body = charge.body
    if body["status"] != "succeeded":
        raise refused(f"This charge cannot be disputed: its status is {body['status']}.")
    if any(found.body["status"] in OPEN for found in call.sandbox.objects.where(DISPUTES, "charge", body["id"])):
        raise refused("This charge has an open dispute already.", code="charge_disputed")
    if amount is not None and amount > body["amount"]:
        raise refused("No more than the charge can be disputed.", param="amount")
    dispute = _new(call, body, status, body["amount"] if amount is None else amount)
    if withdraw:
        dispute |= _moved(call, dispute, -1)
    call.sandbox.objects.add(DISPUTES, dispute, customer=body["customer"])
    charges.changed(call, charge, {"disputed": True})
    call.happened("charge.dispute.created", dispute)
    if withdraw:
        call.happened("charge.dispute.funds_withdrawn", dispute)
    return dispute


def withdraw(call: Call, dispute: Stored) -> Json:
    """Take the money; an inquiry that this happens to is one no more.

    Raises:
        ApiError: 400 when it has been taken.
    """
    if dispute.body["balance_transactions"]:
        raise refused("The funds of this dispute have been withdrawn already.")
    inquiry = dispute.body["status"] == "warning_needs_response"
    changes = {**_moved(call, dispute.body, -1), **({"status": "needs_response"} if inquiry else {})}
    return _changed(call, dispute, "funds_withdrawn", changes)


def reinstate(call: Call, dispute: Stored) -> Json:
    """Give the money back.

    Raises:
        ApiError: 400 when there is none to give back.
    """
    if not is_withdrawn(dispute.body):
        raise refused("This dispute has no withdrawn funds that could be reinstated.")
    return _changed(call, dispute, "funds_reinstated", _moved(call, dispute.body, 1))


def end(call: Call, dispute: Stored, status: str) -> Json:
    """Close a dispute as `won`, `lost` or `warning_closed`; what is won gives the money back first.

    Raises:
        ApiError: 400 when it is closed already.
    """
    if dispute.body["status"] not in OPEN:
        raise refused(f"This dispute is closed already: its status is {dispute.body['status']}.")
    if status == "won" and is_withdrawn(dispute.body):
        reinstate(call, dispute)
        dispute = call.sandbox.objects.get(DISPUTES, dispute.body["id"], param="dispute", in_path=False)
    return _changed(call, dispute, "closed", {"status": status})


def is_withdrawn(dispute: Json) -> bool:
    """Say whether the money is with the payer's bank now."""
    moved: list[int] = [transaction["amount"] for transaction in dispute["balance_transactions"]]
    return sum(moved) < 0


def _dispute(call: Call) -> Stored:
    return call.sandbox.objects.get(DISPUTES, call.path["dispute"], param="dispute", in_path=True)


def _changed(call: Call, dispute: Stored, event: str, changes: Json) -> Json:
    body = {**dispute.body, **changes}
    call.sandbox.objects.replace(body, customer=dispute.customer)
    call.happened(f"charge.dispute.{event}", body, before=dispute.body)
    return body


def _moved(call: Call, dispute: Json, sign: int) -> Json:
    """Return the changes that the money's going (-1) or coming back (1) makes; the fee never comes back."""
    fee = FEE if sign < 0 else 0
    amount = sign * dispute["amount"]
    word = "Chargeback withdrawal" if sign < 0 else "Chargeback reversal"
    fees = [_fee(fee, dispute["currency"])] if fee else []
    moved: Json = {
        "id": new_id("txn_1"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": call.now,
        "balance_type": "payments",
        "created": call.now,
        "currency": dispute["currency"],
        "description": f"{word} for {dispute['charge']}",
        "exchange_rate": None,
        "fee": fee,
        "fee_details": fees,
        "net": amount - fee,
        "reporting_category": "dispute" if sign < 0 else "dispute_reversal",
        "source": dispute["id"],
        "status": "available",
        "type": "adjustment",
    }
    return {"balance_transactions": [*dispute["balance_transactions"], moved], "is_charge_refundable": False}


def _fee(amount: int, currency: str) -> Json:
    kind = {"description": "Dispute fee", "type": "stripe_fee"}
    return {"amount": amount, "application": None, "currency": currency, **kind}


def _new(call: Call, charge: Json, status: str, amount: int) -> Json:
    dispute: Json = {
        "id": new_id("du_1"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": call.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": call.now + ANSWER_WITHIN_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": True,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": "fraudulent",
        "status": status,
    }
    if charge["payment_method_details"]["type"] == CARD:
        brand = charge["payment_method_details"]["card"]["brand"]
        case = "inquiry" if status == "warning_needs_response" else "chargeback"
        card = {"brand": brand, "case_type": case, "network": brand, "network_reason_code": "10"}
        dispute["payment_method_details"] = {"card": card, "type": "card"}
    return dispute


BASE = "/v1/disputes"
LISTED = Group({**PAGING, "charge": Text(), "created": Period(), "payment_intent": Text()})
ENDPOINTS = [
    Endpoint("GET", BASE, LISTED, list_all),
    Endpoint("GET", BASE + "/{dispute}", Group(EXPAND), retrieve),
    Endpoint("POST", BASE + "/{dispute}/close", Group(EXPAND), close),
]
