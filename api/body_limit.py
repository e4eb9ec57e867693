"""How much a request may send. It is counted while it is read, so that nobody fills our memory first."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import BodyTooLarge

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
            raise BodyTooLarge(limit)
        read = 0

        async def receive_at_most() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise BodyTooLarge(limit)
            return message

        await self.app(scope, receive_at_most, send)


def _announced_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
