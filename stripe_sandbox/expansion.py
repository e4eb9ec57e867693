"""`expand[]`: ids replaced by their objects."""

from stripe_sandbox.errors import Json, wrong_parameter
from stripe_sandbox.objects import Objects

EXPANDABLE = {
    "billing.credit_grant": {"customer"},
    "customer": {"invoice_settings.default_payment_method"},
    "payment_intent": {"customer", "payment_method"},
    "payment_method": {"customer"},
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
    if path not in EXPANDABLE.get(body.get("object", ""), ()):
        raise _not_expandable(whole)
    return _replaced(body, path.split("."), objects)


def _replaced(body: Json, steps: list[str], objects: Objects) -> Json:
    first, *rest = steps
    value = body.get(first)
    if rest:
        return body if value is None else {**body, first: _replaced(value, rest, objects)}
    found = objects.get_any(value) if isinstance(value, str) else None
    return body if found is None else {**body, first: found}


def _not_expandable(path: str) -> Exception:
    return wrong_parameter(f"This property cannot be expanded ({path[:100]}).", param="expand")
