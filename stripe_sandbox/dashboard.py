"""What happens to payments without a request of ours: in the dashboard, at the banks, by the passing of days.

Each is the work of a trigger; the object that a trigger names may be any that leads to the one that is meant.
"""

from stripe_sandbox.endpoint import Answer, Call
from stripe_sandbox.errors import no_such, refused
from stripe_sandbox.objects import CHARGES, DISPUTES, PAYMENT_INTENTS, REFUNDS, Kind, Stored
from stripe_sandbox.resources import checkout_flow, disputes, payment_flow, refunds
from stripe_sandbox.resources.declines import decline_called

CLOSED_AS = ("won", "lost", "warning_closed")


def refund_charge(call: Call) -> Answer:
    """Refund a charge, by an amount or all that is left of it."""
    refunds.refund(call, _charge(call), call.params.get("amount"), call.params.get("reason"), {})
    return Answer(_charge(call).body)


def fail_refund(call: Call) -> Answer:
    """Let the named refund fail, or the charge's newest that has not."""
    return Answer(refunds.fail(call, _newest(call, REFUNDS, refunds.NOT_FAILED)))


def succeed_refund(call: Call) -> Answer:
    """Let the named pending refund succeed, or the charge's newest."""
    return Answer(refunds.succeed(call, _newest(call, REFUNDS, ("pending",))))


def open_dispute(call: Call) -> Answer:
    """Dispute a charge; without `withdraw` the money stays for now."""
    status = call.params.get("status", "needs_response")
    amount = call.params.get("amount")
    withdraw = call.params.get("withdraw", False)
    return Answer(disputes.open_dispute(call, _charge(call), status, withdraw=withdraw, amount=amount))


def withdraw_funds(call: Call) -> Answer:
    """Take the disputed money."""
    return Answer(disputes.withdraw(call, _newest(call, DISPUTES, disputes.OPEN)))


def reinstate_funds(call: Call) -> Answer:
    """Give the disputed money back, also after the dispute was lost: a bank may think again."""
    return Answer(disputes.reinstate(call, _newest(call, DISPUTES, (*disputes.OPEN, "won", "lost"))))


def close_dispute(call: Call) -> Answer:
    """Close a dispute; an inquiry closes as `warning_closed` when nothing else is said, all others as `lost`."""
    dispute = _newest(call, DISPUTES, disputes.OPEN)
    by_itself = "warning_closed" if dispute.body["status"] == "warning_needs_response" else "lost"
    return Answer(disputes.end(call, dispute, call.params.get("status", by_itself)))


def succeed_payment(call: Call) -> Answer:
    """Let a payment succeed that was processing, and its checkout session with it."""
    intent = payment_flow.succeed_late(call, _intent(call))
    checkout_flow.follow(call, intent)
    return Answer(intent)


def fail_payment(call: Call) -> Answer:
    """Let a payment fail that was processing, or had even succeeded; `code` is a decline's."""
    intent = payment_flow.fail_late(call, _intent(call), decline_called(call.params.get("code")))
    checkout_flow.follow(call, intent)
    return Answer(intent)


def expire_session(call: Call) -> Answer:
    """Expire an open checkout session, named itself or by its payment intent."""
    session = checkout_flow.session_of_intent(call, call.path["id"])
    wanted = call.path["id"] if session is None else session.body["id"]
    return Answer(checkout_flow.expire(call, checkout_flow.session_of(call, wanted)))


def _intent(call: Call) -> Stored:
    """Return the payment intent that is named itself or by its charge."""
    wanted = call.path["id"]
    charge = call.sandbox.objects.find(CHARGES, wanted)
    return payment_flow.intent_of(call, wanted if charge is None else charge.body["payment_intent"])


def _charge(call: Call) -> Stored:
    """Return the charge that is named itself, by its payment intent, or by its refund or dispute."""
    wanted = call.path["id"]
    intent = call.sandbox.objects.find(PAYMENT_INTENTS, wanted)
    if intent is not None:
        if intent.body["latest_charge"] is None:
            raise refused("This PaymentIntent has no charge.")
        wanted = intent.body["latest_charge"]
    for kind in (REFUNDS, DISPUTES):
        found = call.sandbox.objects.find(kind, wanted)
        wanted = wanted if found is None else found.body["charge"]
    return call.sandbox.objects.get(CHARGES, wanted, param="object", in_path=True)


def _newest(call: Call, kind: Kind, statuses: tuple[str, ...]) -> Stored:
    """Return the refund or dispute that is named, or else the newest of the charge that is in one of the statuses."""
    named = call.sandbox.objects.find(kind, call.path["id"])
    if named is not None:
        return named
    charge = _charge(call)
    for found in call.sandbox.objects.where(kind, "charge", charge.body["id"]):
        if found.body["status"] in statuses:
            return found
    raise no_such(f"{kind.noun} in status {' or '.join(statuses)}", call.path["id"], param="object", in_path=True)
