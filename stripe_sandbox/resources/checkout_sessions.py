"""`/v1/checkout/sessions`: payments on a page of Stripe's, here one of the stand-in's."""

import re

from stripe_sandbox.endpoint import Answer, Call, Endpoint
from stripe_sandbox.errors import Json, wrong_parameter
from stripe_sandbox.ids import new_id
from stripe_sandbox.objects import CHECKOUT_SESSIONS, CUSTOMERS
from stripe_sandbox.pages import created_conditions
from stripe_sandbox.params import EXPAND, PAGING, Flag, Group, Items, Metadata, Period, Text, Url, Whole
from stripe_sandbox.resources import checkout_flow
from stripe_sandbox.resources.common import equal_to, list_answer, merged_metadata, of_customer
from stripe_sandbox.resources.payment_intents import AMOUNT_LEAST, FUTURE_USAGE, TYPE_LISTS, types_of
from stripe_sandbox.resources.samples import TYPES

AMOUNT_MOST = 99_999_999
OPEN_SECONDS_LEAST, OPEN_SECONDS_MOST = 30 * 60, 24 * 60 * 60
PRODUCT = Group({"description": Text(), "metadata": Metadata(), "name": Text(250)}, ("name",))
PRICE = Group(
    {"currency": Text(3), "product_data": PRODUCT, "unit_amount": Whole(0, AMOUNT_MOST)},
    ("currency", "product_data", "unit_amount"),
)
LINE_ITEM = Group({"price_data": PRICE, "quantity": Whole(1, 999_999)}, ("price_data", "quantity"))
PAYMENT = Group(
    {
        "description": Text(1000),
        "metadata": Metadata(),
        "receipt_email": Text(512),
        "setup_future_usage": FUTURE_USAGE,
        "statement_descriptor_suffix": Text(22),
    }
)
CREATED = Group(
    {
        "adaptive_pricing": Group({"enabled": Flag()}),
        "cancel_url": Url(),
        "client_reference_id": Text(200),
        "customer": Text(),
        "customer_email": Text(800),
        "expires_at": Whole(0, 10**12),
        "line_items": Items(LINE_ITEM, most=100),
        "metadata": Metadata(),
        "mode": Text(choices=("payment",)),
        "payment_intent_data": PAYMENT,
        **dict.fromkeys(TYPE_LISTS, Items(Text(choices=TYPES), most=len(TYPES))),
        "success_url": Url(),
        **EXPAND,
    },
    ("line_items", "mode", "success_url"),
)


def create(call: Call) -> Answer:
    """Open a session; its `url` is the page to send the payer to."""
    params = call.params
    currency, total = _total(params["line_items"])
    expires_at = params.get("expires_at", call.now + OPEN_SECONDS_MOST)
    if not call.now + OPEN_SECONDS_LEAST <= expires_at <= call.now + OPEN_SECONDS_MOST:
        message = "The `expires_at` timestamp must be from 30 minutes to 24 hours after Checkout Session creation."
        raise wrong_parameter(message, param="expires_at")
    customer = _customer(call)
    session = _new(call, customer, currency, total, expires_at)
    names = [item["price_data"]["product_data"]["name"] for item in params["line_items"]]
    hidden = {"payment": params.get("payment_intent_data", {}), "names": names}
    call.sandbox.objects.add(CHECKOUT_SESSIONS, session, customer=customer, hidden=hidden)
    return Answer(session)


def retrieve(call: Call) -> Answer:
    """Show a session."""
    return Answer(checkout_flow.session_of(call, call.path["session"]).body)


def expire(call: Call) -> Answer:
    """End an open session."""
    return Answer(checkout_flow.expire(call, checkout_flow.session_of(call, call.path["session"])))


def list_all(call: Call) -> Answer:
    """List sessions by customer, payment intent, status and time of creation."""
    checkout_flow.expire_due(call)
    filters = {**of_customer(call), **equal_to(call, "payment_intent", "status")}
    conditions = {**created_conditions(call.params.get("created")), **filters}
    return list_answer(call, CHECKOUT_SESSIONS, "/v1/checkout/sessions", conditions)


def _customer(call: Call) -> str | None:
    params = call.params
    if "customer" not in params:
        return None
    if "customer_email" in params:
        message = "You may only specify one of these parameters: customer, customer_email."
        raise wrong_parameter(message, param="customer_email")
    found = call.sandbox.objects.get(CUSTOMERS, params["customer"], param="customer", in_path=False)
    customer: str = found.body["id"]
    return customer


def _total(items: list[Json]) -> tuple[str, int]:
    """Return the currency, which all items share, and the sum."""
    currencies = {item["price_data"]["currency"].lower() for item in items}
    if len(currencies) != 1 or any(re.fullmatch(r"[a-z]{3}", currency) is None for currency in currencies):
        message = "The line items must all have the same valid currency."
        raise wrong_parameter(message, param="line_items")
    total = sum(item["price_data"]["unit_amount"] * item["quantity"] for item in items)
    if total < AMOUNT_LEAST:
        message = f"The Checkout Session's total amount must be at least {AMOUNT_LEAST} of the currency's minor units."
        raise wrong_parameter(message, param="line_items", code="amount_too_small")
    if total > AMOUNT_MOST:
        message = f"The Checkout Session's total amount must be no more than {AMOUNT_MOST}."
        raise wrong_parameter(message, param="line_items", code="amount_too_large")
    return currencies.pop(), total


def _new(call: Call, customer: str | None, currency: str, total: int, expires_at: int) -> Json:
    params = call.params
    session = new_id("cs_test_")
    return {
        "id": session,
        "object": "checkout.session",
        "adaptive_pricing": params.get("adaptive_pricing") or None,
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": call.now,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        "customer": customer,
        "customer_creation": None if customer is not None else "if_required",
        "customer_details": None,
        "customer_email": params.get("customer_email"),
        "discounts": [],
        "expires_at": expires_at,
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": None,
        "metadata": merged_metadata({}, params),
        "mode": params["mode"],
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": types_of(params),
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": params["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": call.page_url(checkout_flow.PAGE, session),
    }


BASE = "/v1/checkout/sessions"
STATUS = Text(choices=("complete", "expired", "open"))
FILTERS = {"created": Period(), "customer": Text(), "payment_intent": Text(), "status": STATUS}
ENDPOINTS = [
    Endpoint("POST", BASE, CREATED, create),
    Endpoint("GET", BASE, Group({**PAGING, **FILTERS}), list_all),
    Endpoint("GET", BASE + "/{session}", Group(EXPAND), retrieve),
    Endpoint("POST", BASE + "/{session}/expire", Group(EXPAND), expire),
]
