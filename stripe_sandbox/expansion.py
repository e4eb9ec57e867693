"""`expand[]`: ids replaced by their objects."""

from stripe_sandbox.errors import Json, wrong_parameter
from stripe_sandbox.objects import REFUNDS, Objects
from stripe_sandbox.pages import LIMIT_DEFAULT, list_object

EXPANDABLE = {
    "billing.credit_grant": {"customer"},
    "charge": {"customer", "payment_intent", "refunds"},
    "checkout.session": {"customer", "payment_intent"},
    "customer": {"invoice_settings.default_payment_method"},
    "dispute": {"charge", "payment_intent"},
    "payment_intent": {"customer", "latest_charge", "payment_method"},
    "payment_method": {"customer"},
    "refund": {"charge", "payment_intent"},
}


def expand(body: Json, paths: list[str], objects: Objects) -> Json:
    """Return the body with the named ids replaced by their objects; in a list, names begin with `data.`.

    Raises:
        ApiError: 400 for a name that cannot be expanded there.
    """
    for path in paths:
        if body.get("object") == "list":
            inner = _after_data(path)
            body = {**body, "data": [_expanded(item, inner, path, objects) for item in body["data"]]}
        else:
            body = _expanded(body, path, path, objects)
    return body


def _after_data(path: str) -> str:
    if not path.startswith("data."):
        raise _not_expandable(path)
    return path.removeprefix("data.")


def _expanded(body: Json, path: str, whole: str, objects: Objects) -> Json:
    """Replace the id at a path, or the one at the beginning of the path and then the rest inside of that object."""
    for known in EXPANDABLE.get(body.get("object", ""), ()):
        if path == known or path.startswith(f"{known}."):
            rest = path.removeprefix(known).removeprefix(".")
            if known == "refunds":
                return {**body, "refunds": _refunds(body["id"], rest, whole, objects)}
            return _replaced(body, known.split("."), rest, whole, objects)
    raise _not_expandable(whole)


def _replaced(body: Json, steps: list[str], rest: str, whole: str, objects: Objects) -> Json:
    first, *others = steps
    value = body.get(first)
    if others:
        return body if value is None else {**body, first: _replaced(value, others, rest, whole, objects)}
    # Who expands both a field and one inside of it finds the object there already.
    found = objects.get_any(value) if isinstance(value, str) else value
    if found is None:
        return body
    return {**body, first: _expanded(found, rest, whole, objects) if rest else found}


def _refunds(charge: str, rest: str, whole: str, objects: Objects) -> Json:
    """Return a charge's newest refunds: the one list that is shown inside of an object, when it is asked for."""
    if rest:
        raise _not_expandable(whole)
    found = [stored.body for stored in objects.where(REFUNDS, "charge", charge)]
    url = f"/v1/charges/{charge}/refunds"
    return list_object(url, found[:LIMIT_DEFAULT], has_more=len(found) > LIMIT_DEFAULT)


def _not_expandable(path: str) -> Exception:
    return wrong_parameter(f"This property cannot be expanded ({path[:100]}).", param="expand")
