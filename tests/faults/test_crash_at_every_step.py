"""The worker is killed (SIGKILL) before and after every step of the grant flow, on real parts.

After each kill there is one local grant and one grant at Stripe, and it gets confirmed.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.faults.conftest import Stack

# Each step of the way to a confirmed grant.
STEPS = (
    "create_local_grant",
    "prepare_mirror",
    "create_stripe_customer",
    "create_stripe_grant",
    "change_stage.awaiting-webhook",
    "change_stage.confirmed",
)
POINTS = tuple(f"crash-{moment}-{step}" for step in STEPS for moment in ("before", "after"))
CONFIRMED_SECONDS = 200


async def test_a_worker_killed_at_every_step(
    stack: Stack, api: httpx.AsyncClient, engine: AsyncEngine, tmp_path: Path
) -> None:
    # No webhook may overtake the step that waits for it, however slow the machine: the workflow's patience ends, and it
    # asks Stripe.
    await stack.stripe_behaves(dropWebhooks=True)
    markers = tmp_path / "markers"
    markers.mkdir()
    operations = [f"{point}-{uuid4().hex[:8]}" for point in POINTS]
    keeper = asyncio.create_task(_keep_a_worker(stack, markers))
    try:
        async with asyncio.timeout(CONFIRMED_SECONDS):
            await asyncio.gather(*(_grant_until_confirmed(api, operation) for operation in operations))
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper

    assert {marker.name for marker in markers.iterdir()} == set(operations), "every crash point was reached"
    at_stripe = await _grants_at_stripe(stack)
    for operation in operations:
        assert [grant["metadata"]["operationId"] for grant in at_stripe].count(operation) == 1, operation
    async with engine.connect() as connection:
        grants = await connection.execute(text("SELECT count(*) FROM grants WHERE operation_id LIKE 'crash-%'"))
        granted = await connection.execute(
            text("SELECT count(*), sum(credits) FROM journal WHERE operation_id LIKE 'crash-%'")
        )
    assert grants.scalar_one() == len(POINTS)
    assert tuple(granted.one()) == (len(POINTS), 1000 * len(POINTS))


async def _keep_a_worker(stack: Stack, markers: Path) -> None:
    """What a supervisor does: a worker that dies is replaced."""
    while True:
        worker = await stack.start("tests.faults.crashing_worker", str(markers))
        await worker.wait()


async def _grant_until_confirmed(api: httpx.AsyncClient, operation: str) -> None:
    account = (await api.post("/v1/accounts", json={"kind": "organization", "name": operation[:60]})).json()
    order = {"operationId": operation, "type": "purchase", "credits": 1000}
    while True:
        # A client that hears "outcome unknown" repeats with the same id.
        answer = await api.post(f"/v1/accounts/{account['accountId']}/grants", json=order)
        if answer.status_code < 300:
            break
        assert answer.status_code == 503, answer.text
        assert answer.json()["retryable"] is True
        await asyncio.sleep(0.2)
    while answer.json().get("stage") != "confirmed":
        await asyncio.sleep(0.5)
        answer = await api.get(f"/v1/grants/{operation}")


async def _grants_at_stripe(stack: Stack) -> list[dict[str, Any]]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{stack.stripe_url}/_sandbox/objects/credit_grants")
    grants: list[dict[str, Any]] = answer.json()["data"]
    return grants
