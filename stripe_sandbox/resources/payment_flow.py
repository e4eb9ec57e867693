"""What becomes of a payment intent: the way from one status to the next, with its charges and events."""

from dataclasses import dataclass

from stripe_sandbox.endpoint import Answer, Call
from stripe_sandbox.errors import ApiError, Json, error_fields, refused
from stripe_sandbox.objects import CHARGES, PAYMENT_INTENTS, PAYMENT_METHODS, Stored
from stripe_sandbox.resources import charges, disputes
from stripe_sandbox.resources.declines import AUTHENTICATION_FAILED, AUTHENTICATION_REQUIRED, EXPIRED, Decline
from stripe_sandbox.resources.method_bodies import has_expired
from stripe_sandbox.resources.payment_methods import attach_to, sample_of

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


@dataclass(frozen=True)
class Presence:
    """Whether the payer is away, and where a browser is to go once the payer has authenticated."""

    off_session: bool = False
    return_url: str | None = None


def intent_of(call: Call, wanted: str, *, in_path: bool = True) -> Stored:
    """Return a payment intent.

    Raises:
        ApiError: 404 (400 with `in_path` False) when there is none.
    """
    return call.sandbox.objects.get(PAYMENT_INTENTS, wanted, param="intent", in_path=in_path)


def confirm(call: Call, intent: Stored, method: Stored, presence: Presence) -> Json:
    """Try to charge a payment method, and return the intent as it is then.

    A decline raises nothing: the intent is back at `requires_payment_method`, with its `last_payment_error`.
    """
    if method.body["type"] not in intent.body["payment_method_types"]:
        allowed = ", ".join(intent.body["payment_method_types"])
        message = (
            f"The PaymentMethod provided ({method.body['type']}) is not allowed for this PaymentIntent. "
            f"Please attempt to confirm again with one of the following payment method types: {allowed}."
        )
        raise refused(message, param="payment_method")
    hidden = {"method": method.body["id"], "return_url": presence.return_url}
    tried = _kept(call, intent, {"payment_method": method.body["id"]}, hidden)
    decline = _decline(call, method, presence)
    if decline is not None:
        charge = charges.make(call, tried.body, method.body, "failed", decline)
        return _failed(call, tried, decline, charge)
    if sample_of(method).authenticates:
        return _wait_for_payer(call, tried, presence)
    return _charged(call, tried, method)


def authenticate(call: Call, intent: Stored, *, passed: bool) -> Json:
    """Let the payer pass the authentication that an intent waits for, or fail it."""
    if not passed:
        return _failed(call, intent, AUTHENTICATION_FAILED, None)
    return _charged(call, intent, _tried_method(call, intent))


def succeed_late(call: Call, intent: Stored) -> Json:
    """Let an intent in `processing` succeed.

    Raises:
        ApiError: 400 in every other status.
    """
    if intent.body["status"] != "processing":
        raise unexpected_state(intent, f"This PaymentIntent is {intent.body['status']}, not processing.")
    charge = charges.settle(call, _latest_charge(call, intent), "succeeded")
    return _succeeded(call, intent, charge)


def fail_late(call: Call, intent: Stored, decline: Decline) -> Json:
    """Let an intent fail that is in `processing`, or was even told to have succeeded.

    Raises:
        ApiError: 400 in every other status.
    """
    if intent.body["status"] not in ("processing", "succeeded"):
        message = f"This PaymentIntent is {intent.body['status']}, neither processing nor succeeded."
        raise unexpected_state(intent, message)
    charge = charges.settle(call, _latest_charge(call, intent), "failed", decline)
    return _failed(call, intent, decline, charge)


def cancel(call: Call, intent: Stored, reason: str | None) -> Json:
    """End an intent that has not been paid and is not about to be."""
    ended = {"status": "canceled", "canceled_at": call.now, "cancellation_reason": reason, "next_action": None}
    return _changed(call, intent, "canceled", ended)


def answer_of(intent: Json) -> Answer:
    """Return what a confirmation answers: the intent, or the 402 with the intent in it."""
    error = intent["last_payment_error"]
    if intent["status"] == "requires_payment_method" and error is not None:
        return Answer({"error": {**error, "payment_intent": intent}}, status=402)
    return Answer(intent)


def unexpected_state(intent: Stored, message: str) -> ApiError:
    """A request that the intent's status forbids."""
    error = error_fields("invalid_request_error", message, code="payment_intent_unexpected_state")
    return ApiError(400, {**error, "payment_intent": intent.body})


def _decline(call: Call, method: Stored, presence: Presence) -> Decline | None:
    sample = sample_of(method)
    if sample.charging is not None:
        return sample.charging
    if has_expired(method.body, call.now):
        return EXPIRED
    return AUTHENTICATION_REQUIRED if sample.authenticates and presence.off_session else None


def _wait_for_payer(call: Call, intent: Stored, presence: Presence) -> Json:
    action: Json = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
    if presence.return_url is not None:
        page = call.page_url("authenticate", intent.body["id"])
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": page, "return_url": presence.return_url}}
    waiting = {"status": "requires_action", "next_action": action, "last_payment_error": None}
    return _changed(call, intent, "requires_action", waiting)


def _charged(call: Call, intent: Stored, method: Stored) -> Json:
    kept = _kept_for_later(call, intent, method)
    sample = sample_of(method)
    if sample.delayed:
        charge = charges.make(call, intent.body, kept.body, "pending")
        begun = {"status": "processing", "next_action": None, "last_payment_error": None, "latest_charge": charge["id"]}
        return _changed(call, intent, "processing", begun)
    charge = charges.make(call, intent.body, kept.body, "succeeded")
    paid = _succeeded(call, intent, charge)
    if sample.disputed is not None:
        disputed = call.sandbox.objects.get(CHARGES, charge["id"], param="charge", in_path=False)
        disputes.open_dispute(call, disputed, sample.disputed, withdraw=sample.disputed == "needs_response")
    return paid


def _kept_for_later(call: Call, intent: Stored, method: Stored) -> Stored:
    """Attach what is to be used again; what is not attached has been used once and for all."""
    customer = intent.body["customer"]
    if customer is not None and intent.body["setup_future_usage"] is not None:
        return attach_to(call, method.body["id"], customer, in_path=False)
    if method.customer is None:
        call.sandbox.objects.replace(method.body, hidden={**method.hidden, "spent": True})
    return method


def _succeeded(call: Call, intent: Stored, charge: Json) -> Json:
    paid = {
        "status": "succeeded",
        "amount_received": intent.body["amount"],
        "last_payment_error": None,
        "latest_charge": charge["id"],
        "next_action": None,
    }
    return _changed(call, intent, "succeeded", paid)


def _failed(call: Call, intent: Stored, decline: Decline, charge: Json | None) -> Json:
    """The intent stays, without its payment method, and can be confirmed again with another."""
    method = _tried_method(call, intent).body
    error = {**decline.error(), "payment_method": method, "payment_method_type": method["type"]}
    if charge is not None:
        error["charge"] = charge["id"]
    failed = {
        "status": "requires_payment_method",
        "amount_received": 0,
        "last_payment_error": error,
        "latest_charge": intent.body["latest_charge"] if charge is None else charge["id"],
        "next_action": None,
        "payment_method": None,
    }
    return _changed(call, intent, "payment_failed", failed)


def _tried_method(call: Call, intent: Stored) -> Stored:
    return call.sandbox.objects.get(PAYMENT_METHODS, intent.hidden["method"], param="payment_method", in_path=False)


def _latest_charge(call: Call, intent: Stored) -> Stored:
    return call.sandbox.objects.get(CHARGES, intent.body["latest_charge"], param="charge", in_path=False)


def _kept(call: Call, intent: Stored, changes: Json, hidden: Json) -> Stored:
    """Change an intent without telling of it yet."""
    body = {**intent.body, **changes}
    call.sandbox.objects.replace(body, customer=intent.customer, hidden={**intent.hidden, **hidden})
    return intent_of(call, body["id"])


def _changed(call: Call, intent: Stored, event: str, changes: Json) -> Json:
    body = {**intent.body, **changes}
    call.sandbox.objects.replace(body, customer=intent.customer)
    call.happened(f"payment_intent.{event}", body)
    return body
