"""Parts that are down, slow or wrong for a while, on the stack that `grantflow up` starts."""

import asyncio
import json
import os
import signal
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stripe

from tests.faults.up import CREDITS, Up


async def test_temporal_does_not_answer_for_a_while(up: Up) -> None:
    account_id, operation_id = await up.account(), f"op-{uuid4()}"
    waiting = f"op-{uuid4()}"
    await up.stripe_behaves(webhookDelayMs=2000)
    await up.grant(account_id, waiting)
    temporal = await up.pid("temporal")
    os.kill(temporal, signal.SIGSTOP)
    try:
        answer = await _order_once(up, account_id, operation_id)
        assert (answer.status_code, answer.json()["code"]) == (503, "service-unavailable")
        assert answer.json()["retryable"] is True
        assert "unknown" in answer.json()["detail"]
        assert await _send_webhook(up, {"id": f"evt_{uuid4()}", "object": "event", "type": "a.b", "data": {}}) == 200
    finally:
        os.kill(temporal, signal.SIGCONT)
    await up.stripe_behaves()
    await up.grant(account_id, operation_id)
    await asyncio.gather(up.confirmed(operation_id), up.confirmed(waiting))
    assert (await up.grantflow.balance(account_id)).remaining_balance == 2 * CREDITS


async def test_every_part_is_killed_while_grants_run(up: Up) -> None:
    account_id = await up.account()
    operations = [f"op-{uuid4()}" for _ in range(24)]
    grants = [asyncio.create_task(up.grant(account_id, operation)) for operation in operations]
    for part in ("postgres", "worker", "stripe", "api", "temporal"):
        await up.kill(part)
        await asyncio.sleep(1)
    await asyncio.gather(*grants)
    await asyncio.gather(*(up.confirmed(operation) for operation in operations))
    assert (await up.grantflow.balance(account_id)).remaining_balance == CREDITS * len(operations)
    assert len([grant async for grant in up.grantflow.all_grants(account_id)]) == len(operations)


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 429, "times": 3},
        {"status": 409, "times": 2},
        {"status": 503, "times": 2},
        {"status": 500, "times": 2},
        {"status": 500, "times": 1, "afterWork": True},
        {"cut": True, "times": 2, "afterWork": True},
    ],
    ids=lambda failure: "-".join(str(each) for each in failure.values()),
)
async def test_stripe_fails_now_and_then(up: Up, failure: dict[str, Any]) -> None:
    account_id, operation_id = await up.account(), f"op-{uuid4()}"
    await up.stripe_behaves(fail=[{"method": "POST", "path": "/v1/billing/credit_grants", **failure}])
    await up.grant(account_id, operation_id)
    await up.confirmed(operation_id)
    assert (await up.grantflow.balance(account_id)).remaining_balance == CREDITS


@pytest.mark.parametrize(
    "behaviour",
    [{"latencyMs": 4000}, {"dropWebhooks": True}, {"duplicateWebhooks": 4, "shuffleWebhooks": True}],
    ids=lambda behaviour: "-".join(behaviour),
)
async def test_stripe_is_slow_silent_or_talkative(up: Up, behaviour: dict[str, Any]) -> None:
    account_id, operation_id = await up.account(), f"op-{uuid4()}"
    await up.stripe_behaves(**behaviour)
    await up.grant(account_id, operation_id)
    assert (await up.grantflow.balance(account_id)).remaining_balance == CREDITS
    await up.confirmed(operation_id)
    await up.stripe_behaves()


async def _order_once(up: Up, account_id: str, operation_id: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as client:
        return await client.post(
            f"{up.address['apiUrl']}/v1/accounts/{account_id}/grants",
            json={"operationId": operation_id, "type": "purchase", "credits": CREDITS},
            headers={"Authorization": f"Bearer {up.address['adminToken']}"},
        )


async def _send_webhook(up: Up, event: dict[str, Any]) -> int:
    body = json.dumps(event)
    signature = stripe.WebhookSignature.generate_signature_header(body, up.address["stripeWebhookSecret"])
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{up.address['apiUrl']}/webhooks/stripe", content=body, headers={"Stripe-Signature": signature}
        )
    return answer.status_code
