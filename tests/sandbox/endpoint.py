"""A webhook endpoint that remembers what it was sent."""

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import stripe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

SECRET = "whsec_of_the_tests"


@dataclass(frozen=True)
class Delivery:
    """One request to the endpoint; `at` is monotonic seconds."""

    body: bytes
    signature: str
    at: float

    @property
    def event(self) -> stripe.Event:
        """The event, its signature verified by Stripe's own library."""
        event: stripe.Event = stripe.Webhook.construct_event(self.body, self.signature, SECRET)
        return event

    @property
    def payload(self) -> dict[str, Any]:
        """The event as plain JSON, not verified."""
        payload: dict[str, Any] = json.loads(self.body)
        return payload


class Endpoint:
    """An ASGI application that answers 200, or first the statuses in `answers`, `slow_seconds` after a delivery."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.answers: deque[int] = deque()
        self.slow_seconds = 0.0
        self._came = asyncio.Event()
        self._app = Starlette(routes=[Route("/{path:path}", self._receive, methods=["POST"])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the endpoint."""
        await self._app(scope, receive, send)

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        self.deliveries.append(Delivery(body, request.headers["stripe-signature"], time.monotonic()))
        self._came.set()
        await asyncio.sleep(self.slow_seconds)
        return Response(status_code=self.answers.popleft() if self.answers else 200)

    async def wait_for(self, count: int, within_seconds: float = 5) -> list[Delivery]:
        """Return the first `count` deliveries as soon as they have come."""
        async with asyncio.timeout(within_seconds):
            while len(self.deliveries) < count:
                self._came.clear()
                await self._came.wait()
        return self.deliveries[:count]

    def types(self) -> list[str]:
        """The types of the events so far, in the order of their arrival."""
        return [delivery.event.type for delivery in self.deliveries]
