"""A server that answers whatever it is told to, as Stripe or something between us and it might."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateways.stripe.gateway import StripeGateway
from tests.gateways.stripe_parts import gateway_to
from tests.sandbox.serving import served


@dataclass
class OddStripe:
    """Answers every request alike."""

    status: int = 200
    body: bytes = b""

    def says(self, status: int, answer: dict[str, Any]) -> None:
        """Answer with this object from now on."""
        self.status, self.body = status, json.dumps(answer).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the answer."""
        if scope["type"] == "http":
            await Response(self.body, self.status, media_type="application/json")(scope, receive, send)
            return
        for done in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{done}.complete"})


@dataclass(frozen=True)
class OddParts:
    """The odd server and our gateway to it."""

    server: OddStripe
    gateway: StripeGateway


@asynccontextmanager
async def odd_parts() -> AsyncIterator[OddParts]:
    """An odd server and a gateway to it."""
    server = OddStripe()
    async with served(server) as url, gateway_to(url) as gateway:
        yield OddParts(server, gateway)
