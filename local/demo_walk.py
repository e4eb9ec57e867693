"""The main job, walked as far as it is built: sign-up, grants and Stripe behind them, faults, spending, payments."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx

from client.answers import BalanceNews
from client.errors import Refused
from client.http import GrantflowClient
from client.reports import Verification
from client.socket import GrantflowSocket
from local.demo_payments import pay
from local.demo_report import Report
from local.demo_scene import Scene, told


async def walk(stack: Mapping[str, Any], report: Report) -> None:
    """Walk all steps on a running stack."""
    async with (
        GrantflowClient(stack["apiUrl"], stack["adminToken"]) as grantflow,
        httpx.AsyncClient(base_url=stack["stripeUrl"], timeout=30) as stripe,
    ):
        scene = Scene(grantflow, stripe, stack, report)
        account_id, organization_id = await _sign_up(scene)
        await _grant(scene, account_id)
        await _outage(scene, account_id)
        await _refusal(scene, account_id)
        await _spend(scene, account_id)
        await pay(scene, account_id, organization_id)
        await _sums(scene, account_id, organization_id)


async def _sign_up(scene: Scene) -> tuple[str, str]:
    scene.report.title("A user and an organization sign up; the user's free credits are there at once")
    user = await scene.grantflow.create_account("user", "Ada Lovelace", email="ada@example.com")
    organization = await scene.grantflow.create_account("organization", "Analytical Engines")
    balance = await scene.grantflow.balance(user.account_id)
    scene.report.says("ledger", f"user {user.account_id}: {balance.balance_breakdown}")
    scene.report.check("the user has 500 free credits", held=balance.balance_breakdown["free"] == 500, seen=balance)
    organization_balance = await scene.grantflow.balance(organization.account_id)
    scene.report.check("the organization has none", held=organization_balance.remaining_balance == 0)
    return user.account_id, organization.account_id


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
        heard = await told(socket, BalanceNews, lambda news: news.seq > before.seq)
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
    found = await scene.eventually_found('GrantStage = "stripe-pending"', f"grant/{operation_id}")
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
    found = await scene.eventually_found('GrantStage = "stuck"', f"grant/{operation_id}")
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


async def _sums(scene: Scene, *account_ids: str) -> None:
    scene.report.title("It all adds up")
    for account_id in account_ids:
        balance = await scene.grantflow.balance(account_id)
        grants = [grant async for grant in scene.grantflow.all_grants(account_id)]
        scene.report.says("ledger", f"{balance.balance_breakdown}, held {balance.held}, debt {balance.debt}")
        total = sum(grant.balance for grant in grants)
        scene.report.check(
            "the balance is the sum of the grants", held=total == balance.remaining_balance + balance.held, seen=total
        )
    books = Verification()
    async for page in scene.grantflow.verification_pages():
        books.take_in(page)
    scene.report.says("ledger", f"{books.accounts} accounts and {books.entries} entries added up anew")
    scene.report.check("the books add up", held=books.adds_up, seen=books.mismatches)
