"""The worker is killed (SIGKILL) between any two steps of a top-up, on real parts.

However it dies there is one charge, one grant and one notice.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.faults.conftest import Stack
from tests.faults.shop import Shop, seen

# Each step between the decision and the confirmation.
STEPS = (
    "open_top_up",
    "choose_payment_method",
    "charge",
    "create_local_grant",
    "give_notice",
    "record_payment.succeeded",
    "retrieve_payment",
    "record_payment.paid",
)
# What is written twice would hurt most: there, before the step as well.
POINTS = (
    *(f"crash-before-{step}" for step in ("open_top_up", "charge", "create_local_grant")),
    *(f"crash-after-{step}" for step in STEPS),
)
SECONDS = 240


@pytest.fixture
async def own_shop(stack: Stack, api: httpx.AsyncClient) -> AsyncIterator[Shop]:
    """A shop without a worker: the test keeps one."""
    async with httpx.AsyncClient(base_url=stack.stripe_url, timeout=30) as stripe:
        yield Shop(api, stripe)


async def test_a_worker_killed_at_every_step_of_a_top_up(
    stack: Stack, own_shop: Shop, engine: AsyncEngine, tmp_path: Path
) -> None:
    shop = own_shop
    markers = tmp_path / "markers"
    markers.mkdir()
    plan = markers / "plan.json"
    plan.write_text("{}")
    first = await stack.start("worker")
    accounts = {point: await shop.account(credits=600) for point in POINTS}
    for account in accounts.values():
        await shop.switch_on(account, threshold=500, target=2000)
    first.kill()
    await first.wait()
    # No webhook hurries a step away before its worker dies there: what confirms is that Stripe is asked.
    await stack.stripe_behaves(dropWebhooks=True)
    plan.write_text(json.dumps({account: point for point, account in accounts.items()}))
    keeper = asyncio.create_task(_keep_a_worker(stack, markers))
    try:
        for account in accounts.values():
            assert (await shop.spend(account, 200)).status_code == 200
        async with asyncio.timeout(SECONDS):
            await _all_are_paid(engine)
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
    reached = {marker.name for marker in markers.iterdir() if marker.name.startswith("crash-")}
    assert reached == set(POINTS), "every crash point was reached"
    for point, account in accounts.items():
        assert [intent["status"] for intent in await shop.intents(account)] == ["succeeded"], point
        assert (await shop.balance(account))["netBalance"] == 2000, point
        notices = (await shop.ok("GET", f"/v1/accounts/{account}/notices"))["data"]
        assert [notice["kind"] for notice in notices] == ["auto-topup-added"], point


async def _keep_a_worker(stack: Stack, markers: Path) -> None:
    """What a supervisor does: a worker that dies is replaced."""
    while True:
        worker = await stack.start("tests.faults.crashing_worker", str(markers))
        await worker.wait()


async def _all_are_paid(engine: AsyncEngine) -> None:
    async def look() -> bool | None:
        async with engine.connect() as connection:
            found = await connection.execute(text("SELECT state FROM payments"))
            states = list(found.scalars())
        return True if states == ["paid"] * len(POINTS) else None

    await seen(look, seconds=SECONDS)
