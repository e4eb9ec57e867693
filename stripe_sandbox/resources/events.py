"""`/v1/events`: what happened in the last 30 days, newest first."""

from stripe_sandbox.database import encode
from stripe_sandbox.endpoint import Answer, Call, Endpoint
from stripe_sandbox.errors import no_such, wrong_parameter
from stripe_sandbox.outbox import DELIVERED, NOT_DELIVERED
from stripe_sandbox.pages import created_conditions, list_object, read_window
from stripe_sandbox.params import EXPAND, PAGING, Flag, Group, Items, Period, Text

KEPT_SECONDS = 30 * 24 * 60 * 60
TYPES_MAX = 20


def retrieve(call: Call) -> Answer:
    """Show an event."""
    event = call.sandbox.outbox.find(call.path["id"])
    if event is None or event["created"] <= call.now - KEPT_SECONDS:
        raise no_such("event", call.path["id"], param="id", in_path=True)
    return Answer(event)


def list_all(call: Call) -> Answer:
    """List events by type (`customer.*` too), time and whether the endpoint has accepted them."""
    params = call.params
    if "type" in params and "types" in params:
        raise wrong_parameter("You may only specify one of these parameters: type, types.", param="types")
    conditions = created_conditions(params.get("created"))
    conditions["created > :kept"] = call.now - KEPT_SECONDS
    wanted = [params["type"]] if "type" in params else params.get("types", [])
    if wanted:
        conditions.update(_of_types(wanted))
    if "delivery_success" in params:
        conditions[DELIVERED if params["delivery_success"] else NOT_DELIVERED] = None
    page, has_more = call.sandbox.outbox.page(read_window(params, lambda *names: _seq_of(call, *names)), conditions)
    return Answer(list_object("/v1/events", page, has_more=has_more))


def _of_types(wanted: list[str]) -> dict[str, object]:
    # GLOB knows more signs than Stripe's one, `*`.
    for name in wanted:
        if not all(letter.isalnum() or letter in "._*" for letter in name):
            raise wrong_parameter(f"Invalid event type: {name[:100]}", param="types")
    return {"EXISTS (SELECT 1 FROM json_each(:types) WHERE events.type GLOB value)": encode(wanted)}


def _seq_of(call: Call, wanted: str, param: str) -> int:
    seq = call.sandbox.outbox.seq_of(wanted)
    if seq is None:
        raise no_such("event", wanted, param=param, in_path=False)
    return seq


ENDPOINTS = [
    Endpoint(
        "GET",
        "/v1/events",
        Group(
            {
                **PAGING,
                "created": Period(),
                "delivery_success": Flag(),
                "type": Text(),
                "types": Items(Text(), most=TYPES_MAX),
            }
        ),
        list_all,
    ),
    Endpoint("GET", "/v1/events/{id}", Group(EXPAND), retrieve),
]
