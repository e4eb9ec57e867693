"""`/v1/refunds`: money given back of a charge, whole or in parts."""

from stripe_sandbox.endpoint import Answer, Call, Endpoint
from stripe_sandbox.errors import Json, no_such, refused, wrong_parameter
from stripe_sandbox.ids import new_id
from stripe_sandbox.objects import CHARGES, DISPUTES, PAYMENT_METHODS, REFUNDS, Stored
from stripe_sandbox.pages import created_conditions
from stripe_sandbox.params import EXPAND, PAGING, Group, Metadata, Period, Text, Whole
from stripe_sandbox.resources import charges
from stripe_sandbox.resources.common import equal_to, list_answer, merged_metadata
from stripe_sandbox.resources.payment_flow import intent_of
from stripe_sandbox.resources.payment_methods import sample_of
from stripe_sandbox.resources.samples import CARD

FAILURE = "expired_or_canceled_card"
NOT_FAILED = ("succeeded", "pending")


def create(call: Call) -> Answer:
    """Refund a charge, or a payment intent's."""
    params = call.params
    charge = _charge(call, params.get("charge"), params.get("payment_intent"))
    return Answer(refund(call, charge, params.get("amount"), params.get("reason"), merged_metadata({}, params)))


def retrieve(call: Call) -> Answer:
    """Show a refund."""
    return Answer(_refund(call).body)


def update(call: Call) -> Answer:
    """Change the metadata, and nothing else."""
    found = _refund(call)
    changes = {"metadata": merged_metadata(found.body["metadata"], call.params)}
    return Answer(_changed(call, found, changes))


def list_all(call: Call) -> Answer:
    """List refunds by charge, payment intent and time of creation."""
    conditions = {**created_conditions(call.params.get("created")), **equal_to(call, "charge", "payment_intent")}
    return list_answer(call, REFUNDS, "/v1/refunds", conditions)


def refund(call: Call, charge: Stored, amount: int | None, reason: str | None, metadata: Json) -> Json:
    """Refund an amount of a charge, in minor units; all that is left when None.

    Raises:
        ApiError: 400 when there is not so much left, when the charge was not paid, or its dispute has taken the money.
    """
    body = charge.body
    left = _left(call, charge)
    if left == 0:
        raise refused(f"Charge {body['id']} has already been refunded.", code="charge_already_refunded")
    wanted = left if amount is None else amount
    if wanted > left:
        message = f"Refund amount ({_money(wanted)}) is greater than unrefunded amount on charge ({_money(left)})"
        raise refused(message, param="amount")
    made = _new(call, body, wanted, reason, metadata)
    call.sandbox.objects.add(REFUNDS, made, customer=body["customer"])
    refunded = body["amount_refunded"] + wanted
    changes = {"amount_refunded": refunded, "refunded": refunded == body["amount"]}
    call.happened("refund.created", made)
    charges.changed(call, charge, changes, event="charge.refunded")
    return made


def succeed(call: Call, found: Stored) -> Json:
    """Let a pending refund succeed.

    Raises:
        ApiError: 400 when it is not pending.
    """
    if found.body["status"] != "pending":
        raise refused(f"This refund is {found.body['status']}, not pending.")
    body = {**found.body, "status": "succeeded"}
    del body["pending_reason"]
    return _told(call, found, body)


def fail(call: Call, found: Stored) -> Json:
    """Let a refund fail, also one that had succeeded: the money is back, and so the charge counts less as refunded.

    Raises:
        ApiError: 400 when it has failed already.
    """
    if found.body["status"] not in NOT_FAILED:
        raise refused(f"This refund is {found.body['status']} already.")
    body = {**found.body, "status": "failed", "failure_reason": FAILURE, "failure_balance_transaction": new_id("txn_1")}
    body.pop("pending_reason", None)
    failed = _told(call, found, body)
    call.happened("refund.failed", failed, before=found.body)
    charge = call.sandbox.objects.get(CHARGES, body["charge"], param="charge", in_path=False)
    left = {"amount_refunded": charge.body["amount_refunded"] - body["amount"], "refunded": False}
    charges.changed(call, charge, left, event="charge.updated")
    return failed


def _refund(call: Call) -> Stored:
    return call.sandbox.objects.get(REFUNDS, call.path["refund"], param="id", in_path=True)


def _charge(call: Call, charge: str | None, intent: str | None) -> Stored:
    if charge is not None:
        found = call.sandbox.objects.get(CHARGES, charge, param="charge", in_path=False)
        if intent is not None and found.body["payment_intent"] != intent:
            raise refused("The charge is none of this payment intent's.", param="payment_intent")
        return found
    if intent is None:
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise wrong_parameter(message, param=None)
    paid = intent_of(call, intent, in_path=False)
    latest = call.sandbox.objects.find(CHARGES, paid.body["latest_charge"] or "")
    if latest is None or not latest.body["paid"]:
        raise refused(f"This PaymentIntent ({intent}) does not have a successful charge to refund.")
    return latest


def _left(call: Call, charge: Stored) -> int:
    """Return how much of a charge can be refunded."""
    body = charge.body
    if body["status"] != "succeeded":
        raise refused(f"This charge cannot be refunded: its status is {body['status']}.", param="charge")
    disputes = call.sandbox.objects.where(DISPUTES, "charge", body["id"])
    if any(not found.body["is_charge_refundable"] and found.body["status"] != "won" for found in disputes):
        message = f"Charge {body['id']} has been charged back; cannot issue a refund."
        raise refused(message, code="charge_disputed")
    left: int = body["amount"] - body["amount_refunded"]
    return left


def _changed(call: Call, found: Stored, changes: Json) -> Json:
    body = {**found.body, **changes}
    return found.body if body == found.body else _told(call, found, body)


def _told(call: Call, found: Stored, body: Json) -> Json:
    """Keep a changed refund and tell of it, by both names that Stripe has for that."""
    call.sandbox.objects.replace(body, customer=found.customer)
    for event in ("refund.updated", "charge.refund.updated"):
        call.happened(event, body, before=found.body)
    return body


def _new(call: Call, charge: Json, amount: int, reason: str | None, metadata: Json) -> Json:
    method = call.sandbox.objects.find(PAYMENT_METHODS, charge["payment_method"])
    if method is None:
        raise no_such("PaymentMethod", charge["payment_method"], param="charge", in_path=False)
    status = sample_of(method).refunding
    made: Json = {
        "id": new_id("re_3" if method.body["type"] == CARD else "pyr_1"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": call.now,
        "currency": charge["currency"],
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    return {**made, "pending_reason": "processing"} if status == "pending" else made


def _money(amount: int) -> str:
    return f"${amount // 100}.{amount % 100:02}"


BASE = "/v1/refunds"
REASONS = ("duplicate", "fraudulent", "requested_by_customer")
CREATED = Group(
    {
        "amount": Whole(1, 99_999_999),
        "charge": Text(),
        "metadata": Metadata(),
        "payment_intent": Text(),
        "reason": Text(choices=REASONS),
        **EXPAND,
    }
)
LISTED = Group({**PAGING, "charge": Text(), "created": Period(), "payment_intent": Text()})
ENDPOINTS = [
    Endpoint("POST", BASE, CREATED, create),
    Endpoint("GET", BASE, LISTED, list_all),
    Endpoint("GET", BASE + "/{refund}", Group(EXPAND), retrieve),
    Endpoint("POST", BASE + "/{refund}", Group({"metadata": Metadata(), **EXPAND}), update),
]
