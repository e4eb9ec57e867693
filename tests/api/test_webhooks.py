"""Stripe's webhooks: what is believed is stored once and answered at once; what is not leaves no row."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from activities.delivery import InboxDelivery
from api.background import CAN_WAIT_MAX
from ledger.inbox import close_event, find_event
from ledger.store.inbox import InboxEvent
from tests.api.running import WEBHOOK_SECRET, RunningApi, found, new_id, rows, until


def _event(operation_id: str, **fields: Any) -> dict[str, Any]:
    grant = {"id": "credgr_1", "object": "billing.credit_grant", "metadata": {"operationId": operation_id}}
    made = {"id": f"evt_{new_id()}", "object": "event", "type": "billing.credit_grant.created"}
    return made | {"data": {"object": grant}} | fields


def _sign(body: bytes, *, at: float | None = None, secret: str = WEBHOOK_SECRET) -> str:
    timestamp = int(time.time() if at is None else at)
    signature = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={signature}"


async def _post(api: RunningApi, body: bytes, signature: str | None) -> Any:
    headers = {} if signature is None else {"Stripe-Signature": signature}
    async with api.client(None) as stripe:
        return await stripe.post("/webhooks/stripe", content=body, headers=headers)


async def _delivered(api: RunningApi, event_id: str) -> None:
    await until(lambda: event_id in {confirmation.event_id for _, confirmation in api.flows.confirmed})


async def _stored(api: RunningApi, event_id: str, holds: Callable[[InboxEvent], bool]) -> InboxEvent:
    async def look() -> InboxEvent | None:
        event = await find_event(api.engine, event_id)
        return event if event is not None and holds(event) else None

    return await found(look)


async def test_an_event_is_stored_answered_and_delivered(api: RunningApi, account: str) -> None:
    grant = await api.grant(account)
    event = _event(grant["operationId"])
    body = json.dumps(event).encode()
    answer = await _post(api, body, _sign(body))
    assert (answer.status_code, answer.json()) == (200, {"eventId": event["id"], "duplicate": False})
    await _delivered(api, event["id"])
    [(operation_id, confirmation)] = [each for each in api.flows.confirmed if each[1].event_id == event["id"]]
    assert (operation_id, confirmation.stripe_grant_id) == (grant["operationId"], "credgr_1")


async def test_a_duplicate_is_stored_once_and_delivered_once(api: RunningApi, account: str) -> None:
    event = _event((await api.grant(account))["operationId"])
    body = json.dumps(event).encode()
    before = await rows(api.database)
    answers = await asyncio.gather(*(_post(api, body, _sign(body)) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    assert (await rows(api.database))["webhook_inbox"] == before["webhook_inbox"] + 1
    await _delivered(api, event["id"])
    assert sum(confirmation.event_id == event["id"] for _, confirmation in api.flows.confirmed) == 1


async def test_in_a_storm_events_are_answered_and_left_to_the_sweep(api: RunningApi, account: str) -> None:
    event = _event((await api.grant(account))["operationId"])
    body, over = json.dumps(event).encode(), asyncio.Event()

    async def long_work() -> None:
        await over.wait()

    while api.parts.background.start(long_work(), behind=CAN_WAIT_MAX):
        pass
    answer = await _post(api, body, _sign(body))
    over.set()
    assert (answer.status_code, answer.json()["duplicate"]) == (200, False)
    assert "grantflow_webhooks_left_total 1.0" in (await api.admin.get("/metrics")).text
    # Whoever else has something to do after his answer is not refused for it.
    assert api.parts.background.start(long_work())
    assert (await _stored(api, event["id"], lambda _: True)).state == "received"
    await InboxDelivery(api.engine, api.flows).deliver_due(limit=500)
    await _delivered(api, event["id"])


async def test_an_event_waits_in_the_inbox_while_temporal_is_down(api: RunningApi, account: str) -> None:
    event = _event((await api.grant(account))["operationId"])
    body = json.dumps(event).encode()
    api.flows.down = True
    try:
        assert (await _post(api, body, _sign(body))).status_code == 200
        stored = await _stored(api, event["id"], lambda event: event.last_error is not None)
    finally:
        api.flows.down = False
    assert (stored.state, stored.attempts) == ("received", 0)


_GOOD = json.dumps(_event("op-x")).encode()


def _said(signature: str | None) -> Callable[[bytes], str | None]:
    return lambda _: signature


# What is wrong, the body, and how it is signed: when it is posted, since a signature is good for minutes.
BAD: list[tuple[str, bytes, Callable[[bytes], str | None]]] = [
    ("unsigned", _GOOD, _said(None)),
    ("unsigned", _GOOD, _said("")),
    ("signature", _GOOD, _said("nonsense")),
    ("signature", _GOOD, _said("t=abc,v1=def")),
    ("signature", _GOOD, lambda _: f"t={int(time.time())}"),
    ("signature", _GOOD, lambda body: _sign(body, secret="whsec_of_somebody_else")),
    ("signature", _GOOD + b" ", lambda _: _sign(_GOOD)),
    ("signature", _GOOD[:-20], lambda _: _sign(_GOOD)),
    ("stale", _GOOD, lambda body: _sign(body, at=time.time() - 1000)),
    ("future", _GOOD, lambda body: _sign(body, at=time.time() + 1000)),
    ("not-json", _GOOD[:-20], _sign),
    ("not-json", b"", _sign),
    ("not-text", b"\xff\xfe", _sign),
]
NO_EVENTS = [b"[]", b"5", b"{}", b'{"object": "event"}', b'{"id": 5, "object": "event", "type": "x", "data": {}}']
ODD_FIELDS: list[dict[str, Any]] = [{"object": "charge"}, {"id": ""}, {"id": "x" * 256}, {"type": None}, {"data": []}]
NO_EVENTS += [json.dumps(_event("op-x", **odd)).encode() for odd in ODD_FIELDS]
BAD += [("not-an-event", body, _sign) for body in NO_EVENTS]


@pytest.mark.parametrize(
    ("reason", "body", "sign"), BAD, ids=[f"{number}-{reason}" for number, (reason, _, _) in enumerate(BAD)]
)
async def test_what_is_not_believed_leaves_no_row(
    api: RunningApi, reason: str, body: bytes, sign: Callable[[bytes], str | None]
) -> None:
    before = await rows(api.database)
    answer = await _post(api, body, sign(body))
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert (problem["code"], problem["reason"]) == ("invalid-webhook", reason)
    assert await rows(api.database) == before


async def test_an_event_of_any_kind_is_kept_and_ignored(api: RunningApi) -> None:
    event = _event("op-x", type="customer.created")
    body = json.dumps(event).encode()
    assert (await _post(api, body, _sign(body))).status_code == 200
    stored = await _stored(api, event["id"], lambda event: event.state != "received")
    assert stored.state == "ignored"
    assert stored.payload == event


async def test_a_webhook_may_be_larger_than_other_bodies_but_not_endless(api: RunningApi) -> None:
    event = _event("op-x", type="invoice.created", padding="x" * 300_000)
    body = json.dumps(event).encode()
    assert (await _post(api, body, _sign(body))).status_code == 200
    huge = json.dumps(_event("op-x", padding="x" * 524_288)).encode()
    before = await rows(api.database)
    answer = await _post(api, huge, _sign(huge))
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert await rows(api.database) == before


async def test_a_quarantined_event_is_listed_for_the_operator(api: RunningApi) -> None:
    event = _event("op-x", data={"object": {"object": "billing.credit_grant"}})
    body = json.dumps(event).encode()
    assert (await _post(api, body, _sign(body))).status_code == 200
    await _stored(api, event["id"], lambda event: event.state == "quarantined")
    listed = (await api.admin.get("/v1/webhook-events?state=quarantined")).json()["data"]
    mine = [each for each in listed if each["eventId"] == event["id"]]
    assert mine[0]["type"] == "billing.credit_grant.created"
    assert mine[0]["state"] == "quarantined"
    assert "without its object" in mine[0]["reason"]


async def test_only_quarantined_events_are_listed(api: RunningApi) -> None:
    assert (await api.admin.get("/v1/webhook-events?state=received")).status_code == 422
    assert (await api.admin.get("/v1/webhook-events")).status_code == 422


async def test_webhooks_are_counted(api: RunningApi) -> None:
    await _post(api, _GOOD, None)
    event = _event("op-x", type="price.created")
    body = json.dumps(event).encode()
    await _post(api, body, _sign(body))
    await _post(api, body, _sign(body))
    await close_event(api.engine, event["id"], state="ignored")
    counted = (await api.admin.get("/metrics")).text
    assert 'grantflow_webhooks_received_total{type="price.created"} 1.0' in counted
    assert 'grantflow_webhooks_rejected_total{reason="unsigned"}' in counted
    assert "grantflow_webhooks_duplicate_total" in counted
