"""`/v1/billing/credit_grants`: credit that metered invoices use up before money.

The monetary amount, customer, category and priority of a grant never change. It is done with by being applied, by
passing `expires_at`, by `expire`, or by `void`, which only what was never applied allows.
"""

import re

from stripe_sandbox.endpoint import Answer, Call, Endpoint
from stripe_sandbox.errors import Json, refused, wrong_parameter
from stripe_sandbox.ids import new_id
from stripe_sandbox.objects import CREDIT_GRANTS, CUSTOMERS, Stored
from stripe_sandbox.params import EXPAND, PAGING, Group, Items, Metadata, Text, Whole
from stripe_sandbox.resources.common import list_answer, merged_metadata, of_customer

UNUSED_MAX = 100
PRIORITY_DEFAULT = 50
INSTANT = Whole(0, 10**12)
MONETARY = Group({"currency": Text(3), "value": Whole(1, 10**12)}, ("currency", "value"))
SCOPE = Group({"price_type": Text(choices=("metered",)), "prices": Items(Group({"id": Text()}, ("id",)), most=20)})
CREATED = Group(
    {
        "amount": Group({"monetary": MONETARY, "type": Text(choices=("monetary",))}, ("type", "monetary")),
        "applicability_config": Group({"scope": SCOPE}, ("scope",)),
        "category": Text(choices=("paid", "promotional")),
        "customer": Text(),
        "effective_at": INSTANT,
        "expires_at": INSTANT,
        "metadata": Metadata(),
        "name": Text(100),
        "priority": Whole(0, 100),
        **EXPAND,
    },
    ("amount", "applicability_config", "customer"),
)
UPDATED = Group({"expires_at": Whole(0, 10**12, unset=True), "metadata": Metadata(), **EXPAND})


def create(call: Call) -> Answer:
    """Grant credit to a customer who has fewer than 100 unused grants."""
    params = call.params
    _check_currency(params["amount"]["monetary"]["currency"])
    scope = _scope(params["applicability_config"]["scope"])
    _check_expiry(call, params.get("expires_at"), params.get("effective_at", call.now))
    customer = call.sandbox.objects.get(CUSTOMERS, params["customer"], param="customer", in_path=False).body["id"]
    _check_room(call, customer)
    grant: Json = {
        "id": new_id("credgr_test_"),
        "object": "billing.credit_grant",
        "amount": _amount(params["amount"]["monetary"]),
        "applicability_config": {"scope": scope},
        "category": params.get("category", "paid"),
        "created": call.now,
        "customer": customer,
        "customer_account": None,
        "effective_at": params.get("effective_at", call.now),
        "expires_at": params.get("expires_at"),
        "livemode": False,
        "metadata": merged_metadata({}, params),
        "name": params.get("name"),
        "priority": params.get("priority", PRIORITY_DEFAULT),
        "test_clock": None,
        "updated": call.now,
        "voided_at": None,
    }
    call.sandbox.objects.add(CREDIT_GRANTS, grant, customer=customer, hidden={"applied": 0})
    call.happened("billing.credit_grant.created", grant)
    return Answer(grant)


def retrieve(call: Call) -> Answer:
    """Show a credit grant."""
    return Answer(_grant(call).body)


def list_all(call: Call) -> Answer:
    """List credit grants, of one customer if one is named."""
    return list_answer(call, CREDIT_GRANTS, "/v1/billing/credit_grants", of_customer(call))


def update(call: Call) -> Answer:
    """Change the expiry and the metadata, and nothing else."""
    grant = _grant(call)
    changes: Json = {"metadata": merged_metadata(grant.body["metadata"], call.params)}
    if "expires_at" in call.params:
        _check_open(call, grant, "update")
        _check_expiry(call, call.params["expires_at"], grant.body["effective_at"])
        changes["expires_at"] = call.params["expires_at"]
    return Answer(_changed(call, grant, changes))


def void(call: Call) -> Answer:
    """Take back a grant of which nothing was ever applied."""
    grant = _grant(call)
    _check_open(call, grant, "void")
    if grant.hidden["applied"] > 0:
        raise refused("This credit grant cannot be voided because some of it has been applied: expire it instead.")
    return Answer(_changed(call, grant, {"voided_at": call.now}))


def expire(call: Call) -> Answer:
    """End a grant now; what of it was applied stays applied."""
    grant = _grant(call)
    _check_open(call, grant, "expire")
    return Answer(_changed(call, grant, {"expires_at": call.now}))


def apply_credit(call: Call) -> Answer:
    """Use a grant up by an amount, or whole, as a finalized metered invoice would; not part of Stripe's API."""
    grant = _grant(call)
    _check_open(call, grant, "apply")
    left = grant.body["amount"]["monetary"]["value"] - grant.hidden["applied"]
    amount: int = call.params.get("amount", left)
    if not 0 < amount <= left:
        raise refused(f"Only {left} of this credit grant is left.", param="amount")
    call.sandbox.objects.replace(
        grant.body, customer=grant.customer, hidden={**grant.hidden, "applied": grant.hidden["applied"] + amount}
    )
    return Answer(grant.body)


def is_unused(grant: Stored, now: int) -> bool:
    """Say whether any of the grant can still be applied at an instant (Unix seconds)."""
    applied_whole = grant.hidden["applied"] >= grant.body["amount"]["monetary"]["value"]
    return grant.body["voided_at"] is None and not _is_expired(grant, now) and not applied_whole


def _grant(call: Call) -> Stored:
    return call.sandbox.objects.get(CREDIT_GRANTS, call.path["id"], param="id", in_path=True)


def _changed(call: Call, grant: Stored, changes: Json) -> Json:
    changed = {**grant.body, **changes}
    if changed == grant.body:
        return changed
    changed["updated"] = call.now
    call.sandbox.objects.replace(changed, customer=grant.customer)
    call.happened("billing.credit_grant.updated", changed, before=grant.body)
    return changed


def _check_open(call: Call, grant: Stored, verb: str) -> None:
    if grant.body["voided_at"] is not None:
        raise refused(f"You cannot {verb} this credit grant because it has been voided.")
    if _is_expired(grant, call.now):
        raise refused(f"You cannot {verb} this credit grant because it has expired.")


def _is_expired(grant: Stored, now: int) -> bool:
    expires_at = grant.body["expires_at"]
    return expires_at is not None and expires_at <= now


def _check_expiry(call: Call, expires_at: int | None, effective_at: int) -> None:
    if expires_at is None:
        return
    if expires_at <= call.now:
        raise wrong_parameter("expires_at must be in the future.", param="expires_at")
    if expires_at <= effective_at:
        raise wrong_parameter("expires_at must be after effective_at.", param="expires_at")


def _check_room(call: Call, customer: str) -> None:
    grants = call.sandbox.objects.of_customer(CREDIT_GRANTS, customer)
    if sum(is_unused(grant, call.now) for grant in grants) >= UNUSED_MAX:
        raise refused(f"This customer has reached the limit of {UNUSED_MAX} unused credit grants.", param="customer")


def _check_currency(currency: str) -> None:
    if re.fullmatch(r"[A-Za-z]{3}", currency) is None:
        raise wrong_parameter(f"Invalid currency: {currency}", param="amount[monetary][currency]")


def _amount(monetary: Json) -> Json:
    return {"monetary": {"currency": monetary["currency"].lower(), "value": monetary["value"]}, "type": "monetary"}


def _scope(scope: Json) -> Json:
    param = "applicability_config[scope]"
    if "price_type" in scope and "prices" in scope:
        raise wrong_parameter("You may only specify one of these parameters: price_type, prices.", param=param)
    if scope.get("prices"):
        return {"prices": [{"id": price["id"]} for price in scope["prices"]]}
    if "price_type" not in scope:
        missing = f"{param}[price_type]"
        raise wrong_parameter(f"Missing required param: {missing}.", param=missing, code="parameter_missing")
    return {"price_type": scope["price_type"]}


BASE = "/v1/billing/credit_grants"
ENDPOINTS = [
    Endpoint("POST", BASE, CREATED, create),
    Endpoint("GET", BASE, Group({**PAGING, "customer": Text()}), list_all),
    Endpoint("GET", BASE + "/{id}", Group(EXPAND), retrieve),
    Endpoint("POST", BASE + "/{id}", UPDATED, update),
    Endpoint("POST", BASE + "/{id}/void", Group(EXPAND), void),
    Endpoint("POST", BASE + "/{id}/expire", Group(EXPAND), expire),
]
