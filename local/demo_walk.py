"""The main job, walked as far as it is built: sign-up, grants and Stripe behind them, faults, spending."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from client.answers import BalanceNews, Grant
from client.errors import Refused
from client.http import GrantflowClient
from client.socket import GrantflowSocket
from local.binaries import temporal_cli
from local.demo_report import Report

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
        async with asyncio.timeout(STAGE_SECONDS):
            while True:
                grant = await self.grantflow.find_grant(operation_id)
                if grant.stage == wanted:
                    return grant
                await asyncio.sleep(0.1)

    async def stripe_behaves(self, **behaviour: object) -> None:
        """Set how the stand-in behaves; without arguments it behaves."""
        (await self.stripe.post("/_sandbox/behaviour", json=behaviour)).raise_for_status()

    async def at_stripe(self, operation_id: str) -> list[dict[str, Any]]:
        """The credit grants at Stripe that mirror this grant."""
        grants = (await self.stripe.get("/_sandbox/objects/credit_grants")).json()["data"]
        return [grant for grant in grants if grant["metadata"].get("operationId") == operation_id]

    async def found_in_temporal(self, query: str) -> list[str]:
        """The ids of the workflows that Temporal finds by this query."""
        listed = await self._temporal("workflow", "list", "--query", query, "-o", "json")
        return [found["execution"]["workflowId"] for found in json.loads(listed or "[]")]

    async def _temporal(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(str(await asyncio.to_thread(temporal_cli)), *arguments),
            *("--address", self.stack["temporalAddress"], "--namespace", self.stack["temporalNamespace"]),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        return output.decode()


async def walk(stack: Mapping[str, Any], report: Report) -> None:
    """Walk all steps on a running stack."""
    async with (
        GrantflowClient(stack["apiUrl"], stack["adminToken"]) as grantflow,
        httpx.AsyncClient(base_url=stack["stripeUrl"], timeout=30) as stripe,
    ):
        scene = Scene(grantflow, stripe, stack, report)
        account_id = await _sign_up(scene)
        await _grant(scene, account_id)
        await _outage(scene, account_id)
        await _refusal(scene, account_id)
        await _spend(scene, account_id)
        await _sums(scene, account_id)


async def _sign_up(scene: Scene) -> str:
    scene.report.title("A user and an organization sign up; the user's free credits are there at once")
    user = await scene.grantflow.create_account("user", "Ada Lovelace", email="ada@example.com")
    organization = await scene.grantflow.create_account("organization", "Analytical Engines")
    balance = await scene.grantflow.balance(user.account_id)
    scene.report.says("ledger", f"user {user.account_id}: {balance.balance_breakdown}")
    scene.report.check("the user has 500 free credits", held=balance.balance_breakdown["free"] == 500, seen=balance)
    organization_balance = await scene.grantflow.balance(organization.account_id)
    scene.report.check("the organization has none", held=organization_balance.remaining_balance == 0)
    return user.account_id


async def _grant(scene: Scene, account_id: str) -> None:
    scene.report.title("A grant lands at once, is mirrored at Stripe, and the webhook confirms it")
    operation_id = f"demo-{uuid4()}"
    await scene.stripe_behaves(webhookDelayMs=1500)
    token = await scene.grantflow.create_token(account_id)
    async with GrantflowSocket(scene.stack["apiUrl"], token) as socket:
        before = await socket.usage()
        began = time.monotonic()
        granted = await scene.grantflow.grant(
            account_id, operation_id=operation_id, type="purchase", credits=1000, description="the demo's"
        )
        milliseconds = int((time.monotonic() - began) * 1000)
        heard = await _told(socket, after=before.seq)
    balance = await scene.grantflow.balance(account_id)
    scene.report.says("api", f"answered in {milliseconds} ms, stage {granted.grant.stage}")
    scene.report.says("ledger", f"{balance.remaining_balance} credits can be spent now")
    scene.report.says("socket", f"told {heard.remaining_balance} credits (change {heard.prev_seq} → {heard.seq})")
    scene.report.check("usable before Stripe has confirmed", held=granted.grant.stage != "confirmed")
    scene.report.check("the balance is 1,500", held=balance.remaining_balance == 1500, seen=balance)
    scene.report.check("the WebSocket told the same", held=heard.remaining_balance == 1500, seen=heard)

    waiting = await scene.stage(operation_id, "awaiting-webhook")
    scene.report.says("temporal", f"{waiting.workflow_id} waits for the webhook of {waiting.stripe_grant_id}")
    confirmed = await scene.stage(operation_id, "confirmed")
    mirrors = await scene.at_stripe(operation_id)
    scene.report.says("stripe", f"{mirrors[0]['id']}: {mirrors[0]['amount']['monetary']} {mirrors[0]['category']}")
    scene.report.says("ledger", f"stage {confirmed.stage}, Stripe id {confirmed.stripe_grant_id}")
    scene.report.check("one credit grant at Stripe", held=len(mirrors) == 1, seen=len(mirrors))
    scene.report.check("its id is in the ledger", held=confirmed.stripe_grant_id == mirrors[0]["id"])
    await scene.stripe_behaves()

    again = await scene.grantflow.grant(
        account_id, operation_id=operation_id, type="purchase", credits=1000, description="the demo's"
    )
    same = again.grant.grant_id == granted.grant.grant_id
    scene.report.check("the same order again gives the same grant", held=same and not again.created)
    try:
        await scene.grantflow.grant(account_id, operation_id=operation_id, type="purchase", credits=9999)
        refused = "it was granted"
    except Refused as no:
        refused = no.code
    scene.report.check(
        "another payload under its id is a conflict", held=refused == "idempotency-conflict", seen=refused
    )


async def _outage(scene: Scene, account_id: str) -> None:
    scene.report.title("Stripe is unreachable: the credits are there, the grant waits where one can see it")
    operation_id = f"demo-{uuid4()}"
    await scene.stripe_behaves(outage=True)
    await scene.grantflow.grant(account_id, operation_id=operation_id, type="admin", credits=250)
    balance = await scene.grantflow.balance(account_id)
    await scene.stage(operation_id, "stripe-pending")
    found = await _eventually_found(scene, 'GrantStage = "stripe-pending"', f"grant/{operation_id}")
    token = await scene.grantflow.create_token(account_id)
    async with GrantflowSocket(scene.stack["apiUrl"], token) as socket:
        status = await socket.grant_status(operation_id)
    scene.report.says("ledger", f"{balance.remaining_balance} credits can be spent now")
    scene.report.says("temporal", f'found by GrantStage = "stripe-pending": {found}')
    scene.report.says("temporal", status.details)
    scene.report.check("the credits are usable", held=balance.balance_breakdown["admin"] == 250, seen=balance)
    scene.report.check("Temporal finds the waiting grant", held=f"grant/{operation_id}" in found, seen=found)
    await scene.stripe_behaves()
    confirmed = await scene.stage(operation_id, "confirmed")
    mirrors = await scene.at_stripe(operation_id)
    scene.report.says("stripe", f"is back and has {confirmed.stripe_grant_id}")
    scene.report.check("it confirms when Stripe is back, once", held=len(mirrors) == 1, seen=len(mirrors))


async def _refusal(scene: Scene, account_id: str) -> None:
    scene.report.title("Stripe refuses a grant: it is stuck, an operator sees why and retries")
    operation_id = f"demo-{uuid4()}"
    refusal = {
        "method": "POST",
        "path": "/v1/billing/credit_grants",
        "status": 400,
        "code": "resource_missing",
        "times": 1,
    }
    await scene.stripe_behaves(fail=[refusal])
    await scene.grantflow.grant(account_id, operation_id=operation_id, type="admin", credits=100)
    stuck = await scene.stage(operation_id, "stuck")
    found = await _eventually_found(scene, 'GrantStage = "stuck"', f"grant/{operation_id}")
    listed = await scene.grantflow.grants_at("stuck")
    scene.report.says("ledger", f"stuck: {stuck.reason}")
    scene.report.says("temporal", listed.data[0].temporal_ui_url)
    scene.report.check('found by GrantStage = "stuck"', held=found == [f"grant/{operation_id}"], seen=found)
    scene.report.check("listed for operators", held=[grant.operation_id for grant in listed.data] == [operation_id])
    await scene.grantflow.retry_grant(operation_id, reason="the demo mended it")
    confirmed = await scene.stage(operation_id, "confirmed")
    scene.report.says("stripe", f"has {confirmed.stripe_grant_id}")
    scene.report.check("the retry went through, once", held=len(await scene.at_stripe(operation_id)) == 1)


async def _spend(scene: Scene, account_id: str) -> None:
    scene.report.title("Credits are spent over the WebSocket, what was given away first")
    token = await scene.grantflow.create_token(account_id)
    async with GrantflowSocket(scene.stack["apiUrl"], token) as socket:
        operation_id = f"demo-{uuid4()}"
        spent = await socket.consume(operation_id, 700)
        again = await socket.consume(operation_id, 700)
        try:
            await socket.consume(f"demo-{uuid4()}", 5000)
            refused = "it was spent"
        except Refused as no:
            refused = no.code
    burnt = {part.type: part.credits for part in spent.allocations}
    scene.report.says("socket", f"{spent.consumed} credits spent: {burnt}, {spent.remaining_balance} left")
    scene.report.check(
        "free credits burn first, then the admin's", held=burnt == {"free": 500, "admin": 200}, seen=burnt
    )
    scene.report.check("the same id again spends nothing", held=again.replayed and again.remaining_balance == 1150)
    scene.report.check("what can't be paid is refused", held=refused == "insufficient-credits", seen=refused)


async def _sums(scene: Scene, account_id: str) -> None:
    scene.report.title("It all adds up")
    balance = await scene.grantflow.balance(account_id)
    grants = [grant async for grant in scene.grantflow.all_grants(account_id)]
    scene.report.says("ledger", f"{balance.balance_breakdown}, debt {balance.debt}")
    scene.report.check("the balance is the sum of the grants", held=sum(grant.balance for grant in grants) == 1150)
    scene.report.check("and what can be spent", held=balance.remaining_balance == 1150, seen=balance)


async def _told(socket: GrantflowSocket, *, after: int) -> BalanceNews:
    """The first balance that is told with a change after this one."""
    async with asyncio.timeout(STAGE_SECONDS):
        async for event in socket.events():
            if isinstance(event, BalanceNews) and event.seq > after:
                return event
    raise TimeoutError("the socket told no change")


async def _eventually_found(scene: Scene, query: str, workflow_id: str) -> list[str]:
    """What Temporal finds by the query, as soon as this workflow is among it: its index follows within moments."""
    found: list[str] = []
    async with asyncio.timeout(STAGE_SECONDS):
        while workflow_id not in found:
            found = await scene.found_in_temporal(query)
    return found
