"""`/v1/payment_intents`, in a first form: create (and confirm at once), retrieve, list by customer."""

import re

from stripe_sandbox.endpoint import Answer, Call, Endpoint
from stripe_sandbox.errors import Json, refused, wrong_parameter
from stripe_sandbox.ids import new_id
from stripe_sandbox.objects import CUSTOMERS, PAYMENT_INTENTS, Stored
from stripe_sandbox.pages import created_conditions
from stripe_sandbox.params import EXPAND, PAGING, Flag, Group, Items, Metadata, Period, Text, Whole
from stripe_sandbox.resources.cards import AUTHENTICATION_REQUIRED, Decline
from stripe_sandbox.resources.common import list_answer, merged_metadata, of_customer
from stripe_sandbox.resources.payment_methods import card_of, find_or_make, not_attached

# Stripe's least charge of 50 US cents; other currencies' differ a little and are not told apart here.
AMOUNT_LEAST = 50
CREATED = Group(
    {
        "amount": Whole(1, 99_999_999),
        "automatic_payment_methods": Group(
            {"enabled": Flag(), "allow_redirects": Text(choices=("always", "never"))}, ("enabled",)
        ),
        "confirm": Flag(),
        "currency": Text(3),
        "customer": Text(),
        "description": Text(1000),
        "metadata": Metadata(),
        "off_session": Flag(),
        "payment_method": Text(),
        "payment_method_types": Items(Text(choices=("card",)), most=1),
        "receipt_email": Text(512),
        "return_url": Text(),
        "statement_descriptor_suffix": Text(22),
        **EXPAND,
    },
    ("amount", "currency"),
)


def create(call: Call) -> Answer:
    """Create a payment intent; with `confirm`, charge at once: succeeded, 402, or `requires_action`."""
    _check_together(call.params)
    customer = _customer(call)
    method = _method(call, customer)
    intent = _new(call, customer, method)
    call.sandbox.objects.add(PAYMENT_INTENTS, intent, customer=customer)
    call.happened("payment_intent.created", intent)
    if method is None or not call.params.get("confirm", False):
        return Answer(intent)
    return _confirmed(call, intent, method)


def retrieve(call: Call) -> Answer:
    """Show a payment intent."""
    found = call.sandbox.objects.get(PAYMENT_INTENTS, call.path["id"], param="intent", in_path=True)
    return Answer(found.body)


def list_all(call: Call) -> Answer:
    """List payment intents by customer and time of creation."""
    conditions = {**created_conditions(call.params.get("created")), **of_customer(call)}
    return list_answer(call, PAYMENT_INTENTS, "/v1/payment_intents", conditions)


def _confirmed(call: Call, intent: Json, method: Stored) -> Answer:
    card = card_of(method)
    if card.charging is not None:
        return _declined(call, intent, method, card.charging)
    if card.authenticates and call.params.get("off_session", False):
        return _declined(call, intent, method, AUTHENTICATION_REQUIRED)
    if card.authenticates:
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
        return Answer(_changed(call, intent, "requires_action", {"status": "requires_action", "next_action": action}))
    paid = {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": new_id("ch_3")}
    return Answer(_changed(call, intent, "succeeded", paid))


def _declined(call: Call, intent: Json, method: Stored, decline: Decline) -> Answer:
    """The intent stays, without its payment method, and the answer is a 402 that shows it."""
    charge = new_id("ch_3")
    error = {**decline.error(), "charge": charge, "payment_method": method.body}
    failed = {
        "status": "requires_payment_method",
        "payment_method": None,
        "latest_charge": charge,
        "last_payment_error": error,
    }
    changed = _changed(call, intent, "payment_failed", failed)
    return Answer({"error": {**error, "payment_intent": changed}}, status=402)


def _changed(call: Call, intent: Json, event: str, changes: Json) -> Json:
    changed = {**intent, **changes}
    call.sandbox.objects.replace(changed, customer=intent["customer"])
    call.happened(f"payment_intent.{event}", changed)
    return changed


def _check_together(params: Json) -> None:
    if re.fullmatch(r"[A-Za-z]{3}", params["currency"]) is None:
        raise wrong_parameter(f"Invalid currency: {params['currency']}", param="currency")
    if params["amount"] < AMOUNT_LEAST:
        message = f"Amount must be at least {AMOUNT_LEAST} of the currency's minor units."
        raise wrong_parameter(message, param="amount", code="amount_too_small")
    confirms = params.get("confirm", False)
    if params.get("off_session", False) and not confirms:
        raise wrong_parameter("off_session can only be set when confirm is true.", param="off_session")
    if confirms and "payment_method" not in params:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise wrong_parameter(message, param="payment_method", code="parameter_missing")


def _customer(call: Call) -> str | None:
    wanted = call.params.get("customer")
    if wanted is None:
        return None
    customer: str = call.sandbox.objects.get(CUSTOMERS, wanted, param="customer", in_path=False).body["id"]
    return customer


def _method(call: Call, customer: str | None) -> Stored | None:
    wanted = call.params.get("payment_method")
    if wanted is None:
        return None
    method = find_or_make(call, wanted, in_path=False)
    if method.hidden.get("spent"):
        raise refused("This PaymentMethod was detached and may not be used again.", param="payment_method")
    if method.customer is not None and method.customer != customer:
        raise not_attached(wanted, "payment_method")
    return method


def _new(call: Call, customer: str | None, method: Stored | None) -> Json:
    params = call.params
    intent = new_id("pi_3")
    return {
        "id": intent,
        "object": "payment_intent",
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": params.get("automatic_payment_methods"),
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{intent}_secret_{new_id('')}",
        "confirmation_method": "automatic",
        "created": call.now,
        "currency": params["currency"].lower(),
        "customer": customer,
        "description": params.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": merged_metadata({}, params),
        "next_action": None,
        "payment_method": None if method is None else method.body["id"],
        "payment_method_options": None,
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": params.get("receipt_email"),
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": params.get("statement_descriptor_suffix"),
        "status": "requires_payment_method" if method is None else "requires_confirmation",
        "transfer_group": None,
    }


ENDPOINTS = [
    Endpoint("POST", "/v1/payment_intents", CREATED, create),
    Endpoint("GET", "/v1/payment_intents", Group({**PAGING, "created": Period(), "customer": Text()}), list_all),
    Endpoint("GET", "/v1/payment_intents/{id}", Group(EXPAND), retrieve),
]
