"""A call: one HTTP request with the id by which its answer, its log lines and its journal entries are found."""

import re
import secrets
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from fastapi.requests import HTTPConnection

REQUEST_ID_HEADER = "X-Request-Id"

# Printable ASCII: it goes into logs and headers as it is.
_REQUEST_ID = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True)
class Call:
    """``request_id`` is the caller's own or ours. ``call_id`` begins with it and is never the same twice, so that a
    repeat which carries its first request id is still known for a repeat."""

    request_id: str
    call_id: str


def new_call(wanted: str | None) -> Call:
    """A call under the request id that the caller wants, if it is fit to be one."""
    if wanted is not None and _REQUEST_ID.fullmatch(wanted):
        return Call(request_id=wanted, call_id=f"{wanted}~{secrets.token_hex(6)}")
    made = f"req_{secrets.token_hex(12)}"
    return Call(request_id=made, call_id=made)


def call_of(connection: HTTPConnection) -> Call:
    """The call that a request belongs to."""
    return cast(Call, connection.scope["state"]["call"])


ThisCall = Annotated[Call, Depends(call_of)]
