"""The door of the WebSocket: from where, and who. Whoever may not enter is told why by the close code 1008."""

import logging

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.auth import Admin, Holder, Principal, identify
from api.metrics import SOCKETS_CLOSED
from api.parts import Parts, parts_of
from api.socket.actions import action_error
from api.socket.connection import Connection
from api.socket.messages import to_text
from api.socket.origins import is_allowed
from ledger.access import use_ticket
from ledger.rules.errors import LedgerError

router = APIRouter()

_log = logging.getLogger(__name__)

POLICY, TRY_AGAIN = 1008, 1011


class Refused(Exception):
    """The caller may not have a socket. The words go into the close frame, which has room for 123 bytes."""


@router.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    """Lets an account's client in and serves it to the end."""
    parts = parts_of(websocket)
    await websocket.accept()
    try:
        holder = await _admit(websocket, parts)
        await Connection(websocket, parts, holder.account_id).run()
    except Refused as refused:
        await _send_away(websocket, POLICY, str(refused))
    except LedgerError as error:
        # Not the client's fault, and over soon: a code other than 1008 says that it may come again.
        await websocket.send_text(to_text(action_error(error, None)))
        await _send_away(websocket, TRY_AGAIN, "service-unavailable")
    except WebSocketDisconnect:
        _log.debug("A client went away while it was let in.")


async def _admit(websocket: WebSocket, parts: Parts) -> Holder:
    settings = parts.settings
    origin = websocket.headers.get("origin")
    if not is_allowed(origin, allow_list=settings.origins, public_url=settings.public_url):
        raise Refused("the origin is not allowed")
    principal = await _who(websocket, parts)
    if isinstance(principal, Admin):
        raise Refused("the admin token belongs to no account; use an account's token")
    if principal is None:
        raise Refused("the token is missing, unknown or expired")
    return principal


async def _who(websocket: WebSocket, parts: Parts) -> Principal | None:
    authorization = websocket.headers.get("authorization")
    if authorization is not None:
        return await identify(parts, authorization)
    ticket = websocket.query_params.get("ticket")
    account_id = None if ticket is None else await use_ticket(parts.engine, ticket)
    return None if account_id is None else Holder(account_id)


async def _send_away(websocket: WebSocket, code: int, reason: str) -> None:
    SOCKETS_CLOSED.labels(str(code)).inc()
    await websocket.close(code, reason)
