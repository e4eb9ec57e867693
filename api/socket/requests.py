"""What clients send over the WebSocket, and what makes a frame no message."""

from typing import Annotated, Any, ClassVar

import pydantic_core
from pydantic import AfterValidator, Field, ValidationError

from api.field_errors import field_errors, one_sentence
from api.socket.repositories import check_repository_url
from api.wire.auto_topups import AutoTopupRequest
from api.wire.base import Credits, CreditsOrNone, Request, Seq, TtlSeconds
from api.wire.purchases import PurchaseRequest
from ledger.consuming import OnInsufficient

REQUEST_ID_CHARACTERS_MAX = 128

RepositoryUrl = Annotated[str, AfterValidator(check_repository_url)]


class ClientMessage(Request):
    """Every message of a client. Its answer carries the same ``requestId``."""

    TYPE: ClassVar[str]

    type: str
    request_id: Annotated[str, Field(min_length=1, max_length=REQUEST_ID_CHARACTERS_MAX)]


class Init(ClientMessage):
    """The first message: where the client works, and the last ``seq`` that it knows from an earlier connection."""

    TYPE = "init"

    repo_url: RepositoryUrl | None = None
    from_seq: Seq | None = None


class Usage(ClientMessage):
    """How much is there to spend?"""

    TYPE = "usage"


class GrantStatusQuestion(ClientMessage):
    """Where does the grant stand? The grant's workflow answers."""

    TYPE = "grant-status"

    operation_id: Annotated[str, Field(min_length=1, max_length=200)]


class Consume(ClientMessage):
    """Spend credits of the connection's account. ``onInsufficient`` may only be what the account's token may ask for.
    ``repoUrl`` is where the work is done."""

    TYPE = "consume"

    operation_id: str
    credits: Credits
    repo_url: RepositoryUrl | None = None
    on_insufficient: OnInsufficient = OnInsufficient.REFUSE


class Hold(ClientMessage):
    """Set credits of the connection's account aside. ``repoUrl`` is where the work will be done."""

    TYPE = "hold"

    operation_id: str
    credits: Credits
    ttl_seconds: TtlSeconds
    repo_url: RepositoryUrl | None = None


class Extend(ClientMessage):
    """Let a hold live so many seconds from now."""

    TYPE = "extend"

    operation_id: str
    ttl_seconds: TtlSeconds


class Settle(ClientMessage):
    """End a hold with what the work has really cost."""

    TYPE = "settle"

    operation_id: str
    credits: CreditsOrNone


class Release(ClientMessage):
    """End a hold with nothing spent."""

    TYPE = "release"

    operation_id: str


class SetAutoTopup(ClientMessage, AutoTopupRequest):
    """Choose auto top-up for the connection's account."""

    TYPE = "set-auto-topup"


class BuyCredits(ClientMessage, PurchaseRequest):
    """Buy credits with money."""

    TYPE = "buy-credits"


class Ping(ClientMessage):
    """Are you there?"""

    TYPE = "ping"


KNOWN: dict[str, type[ClientMessage]] = {
    message.TYPE: message
    for message in (
        Init,
        Usage,
        GrantStatusQuestion,
        Consume,
        Hold,
        Extend,
        Settle,
        Release,
        SetAutoTopup,
        BuyCredits,
        Ping,
    )
}


class InvalidMessage(Exception):
    """The frame is no message of the protocol. ``request_id`` is None where it has none that can be answered."""

    def __init__(self, problem: str, *, request_id: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.request_id = request_id


def parse_message(text: str) -> ClientMessage:
    """The message in a text frame. Raises InvalidMessage."""
    try:
        sent = pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError:
        raise InvalidMessage("The frame is not JSON.") from None
    if not isinstance(sent, dict):
        raise InvalidMessage("The frame is not a JSON object.")
    request_id = _request_id(sent)
    kind = KNOWN.get(sent["type"]) if isinstance(sent.get("type"), str) else None
    if kind is None:
        raise InvalidMessage(_unknown_type(sent), request_id=request_id)
    try:
        return kind.model_validate(sent)
    except ValidationError as error:
        problem = one_sentence(field_errors(error.errors(include_url=False)))
        raise InvalidMessage(f"{kind.TYPE}: {problem}.", request_id=request_id) from None


def _request_id(sent: dict[str, Any]) -> str | None:
    request_id = sent.get("requestId")
    usable = isinstance(request_id, str) and 1 <= len(request_id) <= REQUEST_ID_CHARACTERS_MAX
    return request_id if usable else None


def _unknown_type(sent: dict[str, Any]) -> str:
    known = ", ".join(KNOWN)
    if "type" not in sent:
        return f"The message has no type. This server knows: {known}."
    return f"This server does not know the type {str(sent['type'])[:64]!r}. It knows: {known}."
