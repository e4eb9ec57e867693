"""What becomes of a checkout session: paid on its page, followed to its payment's late end, or expired."""

from dataclasses import replace

from stripe_sandbox.endpoint import Call
from stripe_sandbox.errors import Json, refused
from stripe_sandbox.objects import CHECKOUT_SESSIONS, CUSTOMERS, Stored
from stripe_sandbox.outbox import Cause
from stripe_sandbox.resources import payment_flow
from stripe_sandbox.resources.payment_flow import CONFIRMABLE, Presence, intent_of
from stripe_sandbox.resources.payment_intents import add_intent
from stripe_sandbox.resources.payment_methods import find_or_make

PAGE = "checkout"


def session_of(call: Call, wanted: str) -> Stored:
    """Return a checkout session, expired if its time is over.

    Raises:
        ApiError: 404 when there is none.
    """
    expire_due(call)
    return call.sandbox.objects.get(CHECKOUT_SESSIONS, wanted, param="session", in_path=True)


def session_of_intent(call: Call, intent: str) -> Stored | None:
    """Return the checkout session that a payment intent belongs to."""
    found = call.sandbox.objects.where(CHECKOUT_SESSIONS, "payment_intent", intent)
    return found[0] if found else None


def pay(call: Call, session: Stored, wanted: str) -> Json:
    """Try to pay an open session with a payment method, and return the payment intent as it is then.

    Args:
        call: what it comes of.
        session: an open one.
        wanted: a payment method, or the id of a test one.
    """
    method = find_or_make(call, wanted, in_path=False)
    known = session.body["payment_intent"]
    intent = _new_intent(call, session) if known is None else intent_of(call, known)
    back = Presence(return_url=call.page_url(PAGE, session.body["id"]))
    paid = payment_flow.confirm(call, intent, method, back)
    follow(call, paid)
    return paid


def follow(call: Call, intent: Json) -> None:
    """Let the session of a payment intent, if it has one, become what the intent has become."""
    session = session_of_intent(call, intent["id"])
    if session is None:
        return
    status, paid = intent["status"], intent["status"] == "succeeded"
    if session.body["status"] == "open" and status in ("succeeded", "processing"):
        done = {"status": "complete", "payment_status": "paid" if paid else "unpaid", "url": None}
        _changed(call, session, "completed", {**done, "customer_details": _payer(call, session)})
    elif session.body["status"] == "complete" and session.body["payment_status"] == "unpaid":
        if paid:
            _changed(call, session, "async_payment_succeeded", {"payment_status": "paid"})
        elif status == "requires_payment_method":
            _changed(call, session, "async_payment_failed", {})


def expire(call: Call, session: Stored) -> Json:
    """End an open session, and with it its payment intent if that was not paid.

    Raises:
        ApiError: 400 when the session is not open.
    """
    status = session.body["status"]
    if status != "open":
        message = (
            'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of {status}."
        )
        raise refused(message, param="session")
    if session.body["payment_intent"] is not None:
        intent = intent_of(call, session.body["payment_intent"])
        if intent.body["status"] in CONFIRMABLE:
            payment_flow.cancel(call, intent, "expired")
    return _changed(call, session, "expired", {"status": "expired", "url": None})


def expire_due(call: Call) -> None:
    """Expire the open sessions whose time is over: it passes by itself, and no request is its cause."""
    by_itself = replace(call, cause=Cause())
    for session in reversed(call.sandbox.objects.where(CHECKOUT_SESSIONS, "status", "open")):
        if session.body["expires_at"] <= call.now:
            expire(by_itself, session)


def success_url(session: Json) -> str:
    """Return where a browser goes after the session was paid."""
    url: str = session["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session["id"])


def _new_intent(call: Call, session: Stored) -> Stored:
    body = session.body
    asked = {"amount": body["amount_total"], "currency": body["currency"], **session.hidden["payment"]}
    types = body["payment_method_types"]
    intent = add_intent(call, body["customer"], asked, types=types, session=body["id"])
    known = {**body, "payment_intent": intent.body["id"]}
    call.sandbox.objects.replace(known, customer=session.customer)
    return intent


def _payer(call: Call, session: Stored) -> Json:
    found = None if session.customer is None else call.sandbox.objects.find(CUSTOMERS, session.customer)
    known = {} if found is None or found.deleted else found.body
    return {
        "address": None,
        "business_name": None,
        "email": known.get("email") or session.body["customer_email"],
        "individual_name": None,
        "name": known.get("name"),
        "phone": known.get("phone"),
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _changed(call: Call, session: Stored, event: str, changes: Json) -> Json:
    body = {**session.body, **changes}
    call.sandbox.objects.replace(body, customer=session.customer)
    call.happened(f"checkout.session.{event}", body)
    return body
