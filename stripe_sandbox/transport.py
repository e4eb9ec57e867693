"""The ASGI face of the API: reads a bounded body, writes the answer with Stripe's headers, or cuts the connection."""

import asyncio
import json
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from stripe_sandbox.api import Api, Incoming, Outgoing
from stripe_sandbox.errors import ApiError, error_fields
from stripe_sandbox.faults import ConnectionCut
from stripe_sandbox.sandbox import Sandbox

BODY_MAX_BYTES = 256 * 1024


class BodyTooLarge(Exception):
    """A body beyond the limit."""


class ApiTransport:
    """An ASGI application for everything outside `/_sandbox`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._api = Api(sandbox)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and deliver its events after that."""
        headers = Headers(scope=scope)
        try:
            body = await read_body(receive, BODY_MAX_BYTES)
        except BodyTooLarge:
            error = ApiError(413, error_fields("invalid_request_error", "The request body is too large."))
            await _send(send, Outgoing(error.status, error.body), {"Connection": "close"})
            return
        base_url = self._sandbox.config.base_url(scope["scheme"], headers.get("host"))
        incoming = Incoming(scope["method"], scope["path"], scope["query_string"], headers, body, base_url)
        try:
            outgoing = await self._api.answer(incoming)
        except ConnectionCut:
            await cut_connection(receive)
        else:
            await _send(send, outgoing, self._headers(incoming, outgoing))
        finally:
            self._sandbox.deliverer.wake()

    def _headers(self, incoming: Incoming, outgoing: Outgoing) -> dict[str, str]:
        headers = {
            "Request-Id": incoming.request_id,
            "Stripe-Version": incoming.headers.get("stripe-version", self._sandbox.config.api_version),
        }
        if incoming.idempotency_key is not None:
            headers["Idempotency-Key"] = incoming.idempotency_key
        if outgoing.replay_of is not None:
            headers["Idempotent-Replayed"] = "true"
            headers["Original-Request"] = outgoing.replay_of
        if outgoing.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
        return headers


async def read_body(receive: Receive, most_bytes: int) -> bytes:
    """Return a request's body.

    Raises:
        BodyTooLarge: it has more than `most_bytes`.
    """
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > most_bytes:
            raise BodyTooLarge
        if not message.get("more_body", False):
            return body


async def cut_connection(receive: Receive) -> None:
    """Close the client's connection without an answer.

    ASGI has no word for it, so this reaches for the transport that uvicorn's own `receive` belongs to. Waiting for
    the disconnect lets uvicorn see that nobody is left to answer.

    Raises:
        ConnectionResetError: another server runs the application; to an in-process client this is the same news.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if not isinstance(transport, asyncio.Transport):
        raise ConnectionResetError("the stand-in cut the connection")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, outgoing: Outgoing, headers: Mapping[str, str]) -> None:
    body = json.dumps(outgoing.body, ensure_ascii=False).encode()
    # A header takes no line break, which an echoed one cannot have either: the server would have refused it.
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    raw += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": outgoing.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
