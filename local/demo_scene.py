"""What the demo's steps stand on: the client, the stand-in, Temporal's command line, and what they wait for."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from client.answers import Grant
from client.http import GrantflowClient
from client.socket import Event, GrantflowSocket
from local.binaries import temporal_cli
from local.demo_report import Report

E = TypeVar("E", bound=Event)
T = TypeVar("T")

STAGE_SECONDS = 60


@dataclass(frozen=True)
class Scene:
    """What every step needs: the client, the stand-in, Temporal's command line, and who hears the story."""

    grantflow: GrantflowClient
    stripe: httpx.AsyncClient
    stack: Mapping[str, Any]
    report: Report

    async def stage(self, operation_id: str, wanted: str) -> Grant:
        """Wait until the grant's row has this stage."""
        return await eventually(lambda: self.grantflow.find_grant(operation_id), lambda grant: grant.stage == wanted)

    async def stripe_behaves(self, **behaviour: object) -> None:
        """Set how the stand-in behaves; without arguments it behaves."""
        (await self.stripe.post("/_sandbox/behaviour", json=behaviour)).raise_for_status()

    async def at_stripe(self, operation_id: str) -> list[dict[str, Any]]:
        """The credit grants at Stripe that mirror this grant."""
        grants = await self.objects("credit_grants")
        return [grant for grant in grants if grant["metadata"].get("operationId") == operation_id]

    async def payments_at_stripe(self, account_id: str) -> list[dict[str, Any]]:
        """The payments at Stripe that are this account's, whatever became of them, in the order of their ids."""
        intents = await self.objects("payment_intents")
        return [intent for intent in intents if intent["metadata"].get("accountId") == account_id]

    async def objects(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind at the stand-in."""
        found: list[dict[str, Any]] = (await self.stripe.get(f"/_sandbox/objects/{kind}")).json()["data"]
        return found

    async def trigger(self, event: str, about: str, **options: object) -> None:
        """Start what only Stripe, a bank or a person in its dashboard can."""
        order = {"event": event, "object": about, **options}
        (await self.stripe.post("/_sandbox/trigger", json=order)).raise_for_status()

    async def found_in_temporal(self, query: str) -> list[str]:
        """The ids of the workflows that Temporal finds by this query."""
        listed = await self._temporal("workflow", "list", "--query", query, "-o", "json")
        return [found["execution"]["workflowId"] for found in json.loads(listed or "[]")]

    async def eventually_found(self, query: str, workflow_id: str) -> list[str]:
        """What Temporal finds by the query, as soon as this workflow is among it: its index follows within moments."""
        return await eventually(lambda: self.found_in_temporal(query), lambda found: workflow_id in found)

    async def _temporal(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(str(await asyncio.to_thread(temporal_cli)), *arguments),
            *("--address", self.stack["temporalAddress"], "--namespace", self.stack["temporalNamespace"]),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        return output.decode()


async def eventually(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> T:
    """What is seen as soon as it is what is wanted."""
    async with asyncio.timeout(STAGE_SECONDS):
        while True:
            seen = await look()
            if wanted(seen):
                return seen
            await asyncio.sleep(0.1)


async def told(socket: GrantflowSocket, kind: type[E], wanted: Callable[[E], bool] = lambda _: True) -> E:
    """The first event of this kind that the socket tells and that is the wanted one."""
    async with asyncio.timeout(STAGE_SECONDS):
        async for event in socket.events():
            if isinstance(event, kind) and wanted(event):
                return event
    raise TimeoutError(f"the socket told no {kind.__name__}")
