"""`/v1/payment_intents`: create (and confirm at once), confirm, cancel, retrieve, list by customer."""

import re

from stripe_sandbox.endpoint import Answer, Call, Endpoint
from stripe_sandbox.errors import Json, refused, wrong_parameter
from stripe_sandbox.ids import new_id
from stripe_sandbox.objects import CUSTOMERS, PAYMENT_INTENTS, Stored
from stripe_sandbox.pages import created_conditions
from stripe_sandbox.params import EXPAND, PAGING, Flag, Group, Items, Metadata, Param, Period, Text, Url, Whole
from stripe_sandbox.resources import payment_flow
from stripe_sandbox.resources.common import list_answer, merged_metadata, of_customer, sent
from stripe_sandbox.resources.payment_flow import CONFIRMABLE, Presence, answer_of, intent_of, unexpected_state
from stripe_sandbox.resources.payment_methods import find_or_make, not_attached
from stripe_sandbox.resources.samples import TYPES

# Stripe's least charge of 50 US cents; other currencies' differ a little and are not told apart here.
AMOUNT_LEAST = 50
FUTURE_USAGE = Text(choices=("off_session", "on_session"))
# What both creating with `confirm` and confirming take.
CONFIRMING: dict[str, Param] = {
    "off_session": Flag(),
    "payment_method": Text(),
    "receipt_email": Text(512),
    "return_url": Url(),
    "setup_future_usage": FUTURE_USAGE,
    **EXPAND,
}
TYPE_LISTS = ("payment_method_types", "allowed_payment_method_types")
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
        # The names of the same list in Stripe's older and newer versions.
        **dict.fromkeys(TYPE_LISTS, Items(Text(choices=TYPES), most=len(TYPES))),
        "statement_descriptor_suffix": Text(22),
        **CONFIRMING,
    },
    ("amount", "currency"),
)


def create(call: Call) -> Answer:
    """Create a payment intent; with `confirm`, charge at once: succeeded, 402, or `requires_action`."""
    _check_together(call.params)
    customer = _customer(call)
    method = _method(call, customer, call.params.get("payment_method"))
    params = call.params
    intent = add_intent(call, customer, params, types=types_of(params), method=None if method is None else method.body)
    if method is None or not params.get("confirm", False):
        return Answer(intent.body)
    return answer_of(payment_flow.confirm(call, intent, method, _presence(call)))


def retrieve(call: Call) -> Answer:
    """Show a payment intent."""
    return Answer(intent_of(call, call.path["id"]).body)


def list_all(call: Call) -> Answer:
    """List payment intents by customer and time of creation."""
    conditions = {**created_conditions(call.params.get("created")), **of_customer(call)}
    return list_answer(call, PAYMENT_INTENTS, "/v1/payment_intents", conditions)


def update(call: Call) -> Answer:
    """Change description, receipt address and metadata; Stripe has no event for that."""
    intent = intent_of(call, call.path["id"])
    plain = sent(call, "description", "receipt_email")
    body = {**intent.body, **plain, "metadata": merged_metadata(intent.body["metadata"], call.params)}
    call.sandbox.objects.replace(body, customer=intent.customer)
    return Answer(body)


def confirm(call: Call) -> Answer:
    """Charge the payment method that is named, or was before: the answers are those of `create` with `confirm`."""
    intent = intent_of(call, call.path["id"])
    status = intent.body["status"]
    if status == "succeeded":
        message = "You cannot confirm this PaymentIntent because it has already succeeded after being confirmed."
        raise unexpected_state(intent, message)
    if status not in CONFIRMABLE:
        raise unexpected_state(intent, f"You cannot confirm this PaymentIntent because it has a status of {status}.")
    _check_own(intent, "confirm")
    method = _method(call, intent.customer, call.params.get("payment_method") or intent.body["payment_method"])
    if method is None:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise unexpected_state(intent, message)
    changes = sent(call, "setup_future_usage", "receipt_email")
    call.sandbox.objects.replace({**intent.body, **changes}, customer=intent.customer)
    return answer_of(payment_flow.confirm(call, intent_of(call, intent.body["id"]), method, _presence(call)))


def cancel(call: Call) -> Answer:
    """Cancel an intent that has not been paid and is not processing."""
    intent = intent_of(call, call.path["id"])
    status = intent.body["status"]
    if status not in CONFIRMABLE:
        message = (
            f"You cannot cancel this PaymentIntent because it has a status of {status}. Only a PaymentIntent with one "
            f"of the following statuses may be canceled: {', '.join(CONFIRMABLE)}."
        )
        raise unexpected_state(intent, message)
    _check_own(intent, "cancel")
    return Answer(payment_flow.cancel(call, intent, call.params.get("cancellation_reason")))


def _check_own(intent: Stored, verb: str) -> None:
    if "session" in intent.hidden:
        message = f"You cannot {verb} the PaymentIntent of a Checkout Session. Expire the Checkout Session to end it."
        raise refused(message)


def _check_together(params: Json) -> None:
    if re.fullmatch(r"[A-Za-z]{3}", params["currency"]) is None:
        raise wrong_parameter(f"Invalid currency: {params['currency']}", param="currency")
    if params["amount"] < AMOUNT_LEAST:
        message = f"Amount must be at least {AMOUNT_LEAST} of the currency's minor units."
        raise wrong_parameter(message, param="amount", code="amount_too_small")
    ways = [name for name in ("automatic_payment_methods", *TYPE_LISTS) if name in params]
    if len(ways) > 1:
        message = f"You may only specify one of these parameters: {', '.join(ways)}."
        raise wrong_parameter(message, param=ways[1])
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


def _presence(call: Call) -> Presence:
    return Presence(call.params.get("off_session", False), call.params.get("return_url"))


def _method(call: Call, customer: str | None, wanted: str | None) -> Stored | None:
    if wanted is None:
        return None
    method = find_or_make(call, wanted, in_path=False)
    if method.hidden.get("spent"):
        message = (
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, or was "
            "detached from a Customer. It may not be used again."
        )
        raise refused(message, param="payment_method")
    if method.customer is not None and method.customer != customer:
        raise not_attached(wanted, "payment_method")
    return method


def types_of(params: Json) -> list[str]:
    """Return the types of payment methods that may pay: those of the request, or all."""
    given: list[list[str]] = [params[name] for name in TYPE_LISTS if params.get(name)]
    return given[0] if given else list(TYPES)


def add_intent(
    call: Call,
    customer: str | None,
    params: Json,
    *,
    types: list[str],
    method: Json | None = None,
    session: str | None = None,
) -> Stored:
    """Make a payment intent.

    Args:
        call: what it comes of.
        customer: whose it is.
        params: amount, currency and what else the endpoint takes.
        types: the types of payment methods that may pay it.
        method: the payment method to begin with.
        session: the checkout session that it belongs to.
    """
    intent = new_id("pi_3")
    automatic = None if any(name in params for name in TYPE_LISTS) else {"allow_redirects": "always", "enabled": True}
    body: Json = {
        "id": intent,
        "object": "payment_intent",
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": params.get("automatic_payment_methods", automatic),
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
        "payment_method": None if method is None else method["id"],
        "payment_method_options": None,
        "payment_method_types": types,
        "processing": None,
        "receipt_email": params.get("receipt_email"),
        "setup_future_usage": params.get("setup_future_usage"),
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": params.get("statement_descriptor_suffix"),
        "status": "requires_payment_method" if method is None else "requires_confirmation",
        "transfer_group": None,
    }
    hidden = {} if session is None else {"session": session}
    call.sandbox.objects.add(PAYMENT_INTENTS, body, customer=customer, hidden=hidden)
    call.happened("payment_intent.created", body)
    return intent_of(call, intent)


BASE = "/v1/payment_intents"
UPDATED = Group({"description": Text(1000), "metadata": Metadata(), "receipt_email": Text(512), **EXPAND})
REASONS = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
ENDPOINTS = [
    Endpoint("POST", BASE, CREATED, create),
    Endpoint("GET", BASE, Group({**PAGING, "created": Period(), "customer": Text()}), list_all),
    Endpoint("GET", BASE + "/{id}", Group(EXPAND), retrieve),
    Endpoint("POST", BASE + "/{id}", UPDATED, update),
    Endpoint("POST", BASE + "/{id}/confirm", Group(CONFIRMING), confirm),
    Endpoint("POST", BASE + "/{id}/cancel", Group({"cancellation_reason": Text(choices=REASONS), **EXPAND}), cancel),
]
