"""`/v1/payment_methods`: cards and their like, which belong to a customer, or to nobody any more."""

from stripe_sandbox.endpoint import Answer, Call, Endpoint
from stripe_sandbox.errors import ApiError, Json, refused
from stripe_sandbox.objects import CUSTOMERS, PAYMENT_METHODS, Stored
from stripe_sandbox.params import EXPAND, PAGING, Group, Text
from stripe_sandbox.resources.common import equal_to, list_answer, of_customer
from stripe_sandbox.resources.method_bodies import new_body
from stripe_sandbox.resources.samples import SAMPLES, TYPES, Sample


def sample_of(method: Stored) -> Sample:
    """Return the test payment method that a payment method was made of."""
    return SAMPLES[method.hidden["card"]]


def attach(call: Call) -> Answer:
    """Give a payment method to a customer; of a test id, a new one."""
    customer = call.sandbox.objects.get(CUSTOMERS, call.params["customer"], param="customer", in_path=False)
    method = attach_to(call, call.path["payment_method"], customer.body["id"], in_path=True)
    return Answer(method.body)


def attach_to(call: Call, wanted: str, customer: str, *, in_path: bool) -> Stored:
    """Attach a payment method, or a new one of a test id, to a customer.

    Raises:
        ApiError: 402 when the card's check declines, 404 or 400 when there is none, 400 when another customer has it.
    """
    method = find_or_make(call, wanted, in_path=in_path)
    if method.customer == customer:
        return method
    if method.customer is not None:
        raise refused("The payment method you provided has already been attached to a customer.")
    if method.hidden.get("spent"):
        message = "This PaymentMethod was detached from a Customer, and may not be used again."
        raise refused(message, param="payment_method")
    declined = sample_of(method).attaching
    if declined is not None:
        raise ApiError(402, {**declined.error(), "param": ""})
    attached = {**method.body, "customer": customer}
    call.sandbox.objects.replace(attached, customer=customer)
    call.happened("payment_method.attached", attached)
    return call.sandbox.objects.get(PAYMENT_METHODS, attached["id"], param="payment_method", in_path=False)


def find_or_make(call: Call, wanted: str, *, in_path: bool) -> Stored:
    """Return a payment method; for a test id, a new one that behaves like it."""
    sample = SAMPLES.get(wanted)
    if sample is None:
        return call.sandbox.objects.get(PAYMENT_METHODS, wanted, param="payment_method", in_path=in_path)
    body = new_body(sample, call.now)
    call.sandbox.objects.add(PAYMENT_METHODS, body, hidden={"card": wanted})
    return call.sandbox.objects.get(PAYMENT_METHODS, body["id"], param="payment_method", in_path=in_path)


def not_attached(wanted: str, param: str) -> ApiError:
    """A payment method that is none of the customer's."""
    message = f"The customer does not have a payment method with the ID {wanted}: it must be attached to the customer."
    return refused(message, code="resource_missing", param=param)


def detach(call: Call, method: Stored) -> Json:
    """Take a payment method from its customer, also as its default, for good."""
    detached = {**method.body, "customer": None}
    call.sandbox.objects.replace(detached, hidden={**method.hidden, "spent": True})
    _forget_default(call, method)
    call.happened("payment_method.detached", detached, before=method.body)
    return detached


def detach_one(call: Call) -> Answer:
    """Detach the payment method that the address names."""
    method = _living(call)
    if method.customer is None:
        message = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise refused(message, param="payment_method")
    return Answer(detach(call, method))


def retrieve(call: Call) -> Answer:
    """Show a payment method."""
    return Answer(_living(call).body)


def list_by_filter(call: Call) -> Answer:
    """List the payment methods of a customer, of one type if one is named."""
    conditions = {**of_customer(call), **equal_to(call, "type")}
    return list_answer(call, PAYMENT_METHODS, "/v1/payment_methods", conditions)


def list_of_customer(call: Call) -> Answer:
    """List the payment methods of the customer that the address names."""
    customer = call.path["customer"]
    call.sandbox.objects.get(CUSTOMERS, customer, param="customer", in_path=True)
    url = f"/v1/customers/{customer}/payment_methods"
    return list_answer(call, PAYMENT_METHODS, url, {"customer = :customer": customer, **equal_to(call, "type")})


def retrieve_of_customer(call: Call) -> Answer:
    """Show a payment method of the customer that the address names."""
    method = _living(call)
    if method.customer != call.path["customer"]:
        raise not_attached(method.body["id"], "payment_method")
    return Answer(method.body)


def _living(call: Call) -> Stored:
    wanted = call.path["payment_method"]
    return call.sandbox.objects.get(PAYMENT_METHODS, wanted, param="payment_method", in_path=True)


def _forget_default(call: Call, method: Stored) -> None:
    owner = call.sandbox.objects.find(CUSTOMERS, method.customer or "")
    if owner is None or owner.deleted or owner.body["invoice_settings"]["default_payment_method"] != method.body["id"]:
        return
    settings = {**owner.body["invoice_settings"], "default_payment_method": None}
    changed = {**owner.body, "invoice_settings": settings}
    call.sandbox.objects.replace(changed)
    call.happened("customer.updated", changed, before=owner.body)


LISTED = {**PAGING, "type": Text(choices=TYPES)}
ENDPOINTS = [
    Endpoint("GET", "/v1/payment_methods", Group({**LISTED, "customer": Text()}, ("customer",)), list_by_filter),
    Endpoint("GET", "/v1/payment_methods/{payment_method}", Group(EXPAND), retrieve),
    Endpoint(
        "POST",
        "/v1/payment_methods/{payment_method}/attach",
        Group({**EXPAND, "customer": Text()}, ("customer",)),
        attach,
    ),
    Endpoint("POST", "/v1/payment_methods/{payment_method}/detach", Group(EXPAND), detach_one),
    Endpoint("GET", "/v1/customers/{customer}/payment_methods", Group(LISTED), list_of_customer),
    Endpoint("GET", "/v1/customers/{customer}/payment_methods/{payment_method}", Group(EXPAND), retrieve_of_customer),
]
