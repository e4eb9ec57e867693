"""What several resources do alike."""

from stripe_sandbox.endpoint import Answer, Call
from stripe_sandbox.errors import Json, no_such
from stripe_sandbox.objects import CUSTOMERS, Kind
from stripe_sandbox.pages import list_object, read_window
from stripe_sandbox.params import Metadata, metadata_too_large


def list_answer(call: Call, kind: Kind, url: str, conditions: dict[str, object]) -> Answer:
    """Answer with a page of the objects that meet the conditions (see `Objects.page`)."""
    objects = call.sandbox.objects
    window = read_window(call.params, lambda wanted, param: objects.seq_of(kind, wanted, param=param))
    page, has_more = objects.page(kind, window, conditions)
    return Answer(list_object(url, [stored.body for stored in page], has_more=has_more))


def of_customer(call: Call) -> dict[str, object]:
    """Return the condition of a list's `customer` filter, if it has one; a deleted customer still has lists.

    Raises:
        ApiError: 400 if there never was such a customer.
    """
    wanted = call.params.get("customer")
    if wanted is None:
        return {}
    if call.sandbox.objects.find(CUSTOMERS, wanted) is None:
        raise no_such(CUSTOMERS.noun, wanted, param="customer", in_path=False)
    return {"customer = :customer": wanted}


def equal_to(call: Call, *names: str) -> dict[str, object]:
    """Return the conditions of a list's plain filters: the fields of an object that are as the request says."""
    given = [name for name in names if name in call.params]
    return {f"json_extract(body, '$.{name}') = :{name}": call.params[name] for name in given}


def sent(call: Call, *names: str) -> Json:
    """Return those of the parameters that the request has."""
    return {name: call.params[name] for name in names if name in call.params}


def merged_metadata(before: Json, params: Json) -> Json:
    """Return an object's metadata after a request: names are added or replaced, those sent empty are removed.

    Raises:
        ApiError: 400 if there would be more than 50 names.
    """
    if "metadata" not in params:
        return before
    sent = params["metadata"]
    if sent is None:
        return {}
    merged = {name: value for name, value in {**before, **sent}.items() if value is not None}
    if len(merged) > Metadata.KEYS_MAX:
        raise metadata_too_large("metadata")
    return merged
