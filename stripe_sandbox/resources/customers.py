"""`/v1/customers`."""

from stripe_sandbox.endpoint import Answer, Call, Endpoint
from stripe_sandbox.errors import Json
from stripe_sandbox.ids import new_id
from stripe_sandbox.objects import CUSTOMERS, PAYMENT_METHODS, Stored
from stripe_sandbox.pages import created_conditions
from stripe_sandbox.params import EXPAND, PAGING, Group, Metadata, Param, Period, Text
from stripe_sandbox.resources.common import list_answer, merged_metadata
from stripe_sandbox.resources.payment_methods import attach_to, detach, not_attached

PLAIN = ("description", "email", "name", "phone", "tax_exempt")
SETTABLE: dict[str, Param] = {
    "description": Text(unset=True),
    "email": Text(512, unset=True),
    "invoice_settings": Group({"default_payment_method": Text(unset=True)}),
    "metadata": Metadata(),
    "name": Text(256, unset=True),
    "phone": Text(20, unset=True),
    "tax_exempt": Text(choices=("none", "exempt", "reverse"), unset=True),
    **EXPAND,
}


def create(call: Call) -> Answer:
    """Create a customer, with a payment method if one is named."""
    new: Json = {
        "id": new_id("cus_"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": call.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": new_id("")[:8].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    call.sandbox.objects.add(CUSTOMERS, new)
    if "payment_method" in call.params:
        attach_to(call, call.params["payment_method"], new["id"], in_path=False)
    customer = _changed(call, new)
    call.sandbox.objects.replace(customer)
    call.happened("customer.created", customer)
    return Answer(customer)


def retrieve(call: Call) -> Answer:
    """Show a customer; of a deleted one, that it is."""
    found = call.sandbox.objects.find(CUSTOMERS, call.path["customer"])
    return Answer(_living(call).body if found is None or not found.deleted else found.body)


def update(call: Call) -> Answer:
    """Change what is sent."""
    before = _living(call).body
    after = _changed(call, before)
    if after != before:
        call.sandbox.objects.replace(after)
        call.happened("customer.updated", after, before=before)
    return Answer(after)


def delete(call: Call) -> Answer:
    """Delete a customer and detach its payment methods; its credit grants and payments stay."""
    customer = _living(call).body
    for method in call.sandbox.objects.of_customer(PAYMENT_METHODS, customer["id"]):
        detach(call, method)
    remains = {"id": customer["id"], "object": "customer", "deleted": True}
    call.sandbox.objects.delete(customer["id"], remains)
    call.happened("customer.deleted", customer)
    return Answer(remains)


def list_all(call: Call) -> Answer:
    """List customers, filtered by email (exactly) and time of creation."""
    conditions = created_conditions(call.params.get("created"))
    if call.params.get("email") is not None:
        conditions["json_extract(body, '$.email') = :email"] = call.params["email"]
    return list_answer(call, CUSTOMERS, "/v1/customers", conditions)


def _living(call: Call) -> Stored:
    return call.sandbox.objects.get(CUSTOMERS, call.path["customer"], param="id", in_path=True)


def _changed(call: Call, customer: Json) -> Json:
    params = call.params
    changed = {**customer, **{name: params[name] for name in PLAIN if name in params}}
    changed["metadata"] = merged_metadata(customer["metadata"], params)
    changed["tax_exempt"] = changed["tax_exempt"] or "none"
    settings = params.get("invoice_settings", {})
    if "default_payment_method" in settings:
        default = _own_payment_method(call, customer["id"], settings["default_payment_method"])
        changed["invoice_settings"] = {**customer["invoice_settings"], "default_payment_method": default}
    return changed


def _own_payment_method(call: Call, customer: str, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    method = call.sandbox.objects.find(PAYMENT_METHODS, wanted)
    if method is None or method.customer != customer:
        raise not_attached(wanted, "invoice_settings[default_payment_method]")
    return wanted


ENDPOINTS = [
    Endpoint("POST", "/v1/customers", Group({**SETTABLE, "payment_method": Text()}), create),
    Endpoint("GET", "/v1/customers", Group({**PAGING, "created": Period(), "email": Text(512)}), list_all),
    Endpoint("GET", "/v1/customers/{customer}", Group(EXPAND), retrieve),
    Endpoint("POST", "/v1/customers/{customer}", Group(SETTABLE), update),
    Endpoint("DELETE", "/v1/customers/{customer}", Group({}), delete),
]
