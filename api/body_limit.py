"""How much a request may send. It is counted while it is read, so that nobody fills our memory first."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem

BODY_BYTES_MAX = 64 * 1024
WEBHOOK_BYTES_MAX = 512 * 1024
WEBHOOK_PREFIX = "/webhooks/"


class BodyLimit:
    """Answers ``too-large`` as soon as a body is announced, or turns out, to be too large."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = WEBHOOK_BYTES_MAX if scope["path"].startswith(WEBHOOK_PREFIX) else BODY_BYTES_MAX
        if _announced_bytes(scope) > limit:
            raise _too_large(limit)
        read = 0
        refused = False

        async def receive_at_most() -> Message:
            nonlocal read, refused
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                refused = True
                raise _too_large(limit)
            return message

        try:
            await self.app(scope, receive_at_most, send)
        except Exception as error:
            # The framework takes our refusal for a body that it can't parse, and says so in its own words.
            if refused:
                raise _too_large(limit) from error
            raise


def _announced_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"The body may have {limit} bytes.", limit=limit)
