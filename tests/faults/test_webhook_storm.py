"""Webhook events by the thousand, shuffled and told three times each, end where the ordered stream ends.

The events are the stand-in's own, of payments that were refunded in many parts and disputed; it kept them back, and the
test posts them, signed as Stripe signs. `make soak` makes it ten thousand; by itself it is a tenth of that.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import random
import time
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.delivery import InboxDelivery
from gateways.temporal.flows import Flows
from tests.faults.conftest import WEBHOOK_SECRET, Stack
from tests.faults.shop import Shop, seen

EVENTS = int(os.environ.get("GRANTFLOW_STORM_EVENTS", "1000"))
TOLD = 3
AT_ONCE = 24
PRICE = 1000
# Of a payment's refunds each is this many cents.
REFUND, REFUNDS = 5, 90
STORIES = ((), ("needs_response", "won"), ("needs_response", "lost"), ("warning_needs_response", "warning_closed"))
SECONDS = 300


# Thirty thousand requests, and a signal to Temporal for each event of ours.
@pytest.mark.timeout(900)
async def test_a_storm_of_events_ends_where_the_ordered_stream_ends(
    own_shop: Shop, stack: Stack, engine: AsyncEngine, temporal: Client
) -> None:
    shop, dice = own_shop, random.Random(20261125)
    calm = [await _buyer(shop) for _ in STORIES]
    payers = EVENTS // (2 * REFUNDS) + 1
    stormy = await _buyers(shop, payers)
    await stack.stripe_behaves(dropWebhooks=True)
    before = {event["id"] for event in await _events(shop)}
    reversed_cents = {
        account: await _happen(shop, intent, story)
        for (account, intent), story in zip([*calm, *stormy], itertools.cycle(STORIES), strict=False)
    }
    news = [event for event in await _events(shop) if event["id"] not in before]
    calm_intents = {intent for _, intent in calm}
    ordered = [event for event in news if _intent(event) in calm_intents]
    storm = [event for event in news if _intent(event) not in calm_intents] * TOLD
    assert len(storm) >= TOLD * EVENTS
    dice.shuffle(storm)
    await _post(stack, ordered, at_once=1)
    await _post(stack, storm, at_once=AT_ONCE)
    await _delivered(engine, temporal)

    async def booked() -> bool | None:
        rows = await _reversed(engine)
        return True if rows == {account: cents for account, cents in reversed_cents.items() if cents} else None

    try:
        await seen(booked, seconds=SECONDS)
    except TimeoutError:
        assert await _reversed(engine) == reversed_cents
    for account, cents in reversed_cents.items():
        balance = await shop.balance(account)
        assert (balance["netBalance"], balance["held"], balance["debt"]) == (PRICE - cents, 0, 0)
    assert await _conflicts(engine) == []


async def _buyers(shop: Shop, count: int) -> list[tuple[str, str]]:
    turns = asyncio.Semaphore(4)

    async def buyer() -> tuple[str, str]:
        async with turns:
            return await _buyer(shop)

    return list(await asyncio.gather(*(buyer() for _ in range(count))))


async def _buyer(shop: Shop) -> tuple[str, str]:
    account = await shop.account()
    assert (await shop.buy(account, PRICE))["status"] == "paid"
    [intent] = await shop.intents(account)
    return account, intent["id"]


async def _happen(shop: Shop, intent: str, story: Iterable[str]) -> int:
    """What happens to the payment at Stripe; answers what has gone back of it in the end, in cents."""
    for _ in range(REFUNDS):
        await shop.trigger("charge.refunded", intent, amount=REFUND)
    gone = REFUND * REFUNDS
    match tuple(story):
        case (status, end):
            await shop.trigger("charge.dispute.created", intent, status=status)
            if status == "needs_response":
                await shop.trigger("charge.dispute.funds_withdrawn", intent)
            await shop.trigger("charge.dispute.closed", intent, status=end)
            return PRICE if end == "lost" else gone
    return gone


async def _events(shop: Shop) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = (await shop.stripe.get("/_sandbox/objects/events")).json()["data"]
    return data


def _intent(event: dict[str, Any]) -> str | None:
    body = event["data"]["object"]
    intent: str | None = body["id"] if body["object"] == "payment_intent" else body.get("payment_intent")
    return intent


async def _post(stack: Stack, events: Iterable[dict[str, Any]], *, at_once: int) -> None:
    waiting = iter(events)
    async with httpx.AsyncClient(base_url=stack.api_url, timeout=60) as client:

        async def post() -> None:
            for event in waiting:
                body = json.dumps(event).encode()
                # As Stripe does: what was not answered is sent again.
                while True:
                    signed = {"Stripe-Signature": _sign(body)}
                    with contextlib.suppress(httpx.TransportError):
                        answer = await client.post("/webhooks/stripe", content=body, headers=signed)
                        assert answer.status_code == 200, answer.text
                        break

        await asyncio.gather(*(post() for _ in range(at_once)))


def _sign(body: bytes) -> str:
    now = int(time.time())
    digest = hmac.new(WEBHOOK_SECRET.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={digest}"


async def _delivered(engine: AsyncEngine, temporal: Client) -> None:
    """Waits until no event waits in the inbox; what was too much for the API at once is the sweep's, as in life."""
    sweep = InboxDelivery(engine, Flows(temporal))

    async def is_empty() -> bool | None:
        await sweep.deliver_due(limit=500)
        async with engine.connect() as connection:
            waiting = await connection.execute(text("SELECT count(*) FROM webhook_inbox WHERE state = 'received'"))
            return True if waiting.scalar_one() == 0 else None

    await seen(is_empty, seconds=SECONDS)


async def _reversed(engine: AsyncEngine) -> dict[str, int]:
    """What is booked as gone back, in cents, by account; with nothing frozen."""
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT account_id::text AS account, reversed_cents FROM payment_reversals WHERE frozen_cents = 0")
        )
        return {row.account: row.reversed_cents for row in found}


async def _conflicts(engine: AsyncEngine) -> list[str]:
    """Events that could not be delivered."""
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT last_error FROM webhook_inbox WHERE state = 'quarantined'"))
        return list(found.scalars())
