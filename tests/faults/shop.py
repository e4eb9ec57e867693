"""Accounts that pay: what the tests of payments say often, on a stack of real processes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from websockets.asyncio.client import connect

SECONDS = 60.0
VISA = "pm_card_visa"

Seen = TypeVar("Seen")


@dataclass
class Listener:
    """A client's WebSocket that keeps all that comes unasked."""

    heard: list[dict[str, Any]] = field(default_factory=list)

    @property
    def top_ups(self) -> list[int]:
        """The top-ups that it was told of, in credits."""
        return [each["autoTopupAdded"] for each in self.heard if each.get("autoTopupAdded") is not None]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The action-errors that it was told of."""
        return [each for each in self.heard if each["type"] == "action-error"]


@dataclass
class Shop:
    """The API, as an administrator calls it, and the Stripe stand-in with its controls."""

    api: httpx.AsyncClient
    stripe: httpx.AsyncClient

    async def account(self, *, card: str | None = VISA, credits: int = 0, kind: str = "user") -> str:
        """A new account with a payment method, and credits of type admin."""
        body = {"kind": kind, "name": "Ada", "freeCredits": 0}
        account_id: str = (await self.ok("POST", "/v1/accounts", body))["accountId"]
        if card is not None:
            await self.ok("PUT", f"/v1/accounts/{account_id}/payment-method", {"paymentMethodId": card})
        if credits:
            await self.grant(account_id, credits)
        return account_id

    async def grant(self, account_id: str, credits: int) -> None:
        """Credits that nobody paid for."""
        order = {"operationId": f"given-{uuid4()}", "type": "admin", "credits": credits}
        await self.ok("POST", f"/v1/accounts/{account_id}/grants", order)

    async def switch_on(self, account_id: str, *, threshold: int = 500, target: int = 2000, **more: Any) -> None:
        """Switches auto top-up on."""
        await self.ok(
            "PUT",
            f"/v1/accounts/{account_id}/auto-topup",
            {"enabled": True, "threshold": threshold, "target": target, **more},
        )

    async def spend(self, account_id: str, credits: int, **more: Any) -> httpx.Response:
        """A consumption under a new id."""
        order = {"operationId": f"spent-{uuid4()}", "credits": credits, **more}
        return await self.api.post(f"/v1/accounts/{account_id}/consumptions", json=order)

    async def balance(self, account_id: str) -> dict[str, Any]:
        """The account's balance."""
        return await self.ok("GET", f"/v1/accounts/{account_id}/balance")

    async def auto_topup(self, account_id: str) -> dict[str, Any]:
        """The account's auto top-up."""
        return await self.ok("GET", f"/v1/accounts/{account_id}/auto-topup")

    async def payments(self, account_id: str) -> list[dict[str, Any]]:
        """The account's payments, newest first."""
        data: list[dict[str, Any]] = (await self.ok("GET", f"/v1/accounts/{account_id}/purchases"))["data"]
        return data

    async def buy(self, account_id: str, credits: int) -> dict[str, Any]:
        """A purchase under a new id, asked again while the service says so."""
        order = {"operationId": f"bought-{uuid4()}", "credits": credits}
        async with asyncio.timeout(SECONDS):
            while True:
                answer = await self.api.post(f"/v1/accounts/{account_id}/purchases", json=order)
                if answer.status_code != 503:
                    assert answer.status_code in (200, 201), answer.text
                    bought: dict[str, Any] = answer.json()
                    return bought

    async def intents(self, account_id: str) -> list[dict[str, Any]]:
        """What Stripe has of the account's payments, oldest first."""
        data = (await self.stripe.get("/_sandbox/objects/payment_intents")).json()["data"]
        return [each for each in data if each["metadata"].get("accountId") == account_id]

    async def trigger(self, event: str, wanted: str, **options: Any) -> dict[str, Any]:
        """What only Stripe can start."""
        answer = await self.stripe.post("/_sandbox/trigger", json={"event": event, "object": wanted, **options})
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def ok(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A request that has to work."""
        answer = await self.api.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        told: dict[str, Any] = answer.json()
        return told

    @asynccontextmanager
    async def listening(self, account_id: str, *, url: str | None = None) -> AsyncIterator[Listener]:
        """A client of the account that is connected, to another API process if told."""
        token = (await self.ok("POST", f"/v1/accounts/{account_id}/tokens"))["token"]
        address = (url or str(self.api.base_url)).rstrip("/").replace("http://", "ws://") + "/ws"
        headers = {"Authorization": f"Bearer {token}"}
        async with connect(address, additional_headers=headers, proxy=None, close_timeout=1) as socket:
            listener = Listener()
            await socket.send(json.dumps({"type": "init", "requestId": "init"}))
            await socket.recv()

            async def listen() -> None:
                async for frame in socket:
                    listener.heard.append(json.loads(frame))

            task = asyncio.create_task(listen())
            try:
                yield listener
            finally:
                task.cancel()


async def seen(look: Callable[[], Awaitable[Seen | None]], *, seconds: float = SECONDS) -> Seen:
    """Looks again and again until something is seen."""
    async with asyncio.timeout(seconds):
        while True:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(0.1)
