"""Stripe's webhooks: believed, stored once, answered, and only then delivered."""

import time
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from api.auth import AsAdmin, TheParts
from api.background import CAN_WAIT_MAX
from api.metrics import WEBHOOKS_DUPLICATE, WEBHOOKS_LEFT, WEBHOOKS_REJECTED, count_webhook
from api.problems import Problem
from api.wire.base import Answer, Page
from api.wire.pages import PAGE_SIZE, Limit
from gateways.stripe.webhooks import BadWebhook, VerifiedEvent, verify_event
from ledger.inbox import quarantined_events, store_event

router = APIRouter(tags=["webhooks"])


class WebhookAnswer(Answer):
    """The event is stored; ``duplicate`` says that it was before."""

    event_id: str
    duplicate: bool


class WebhookEventAnswer(Answer):
    """An event that can't be delivered, and why."""

    event_id: str
    type: str
    state: str
    attempts: int
    received_at: datetime
    reason: str | None


@router.post("/webhooks/stripe")
async def take_webhook(request: Request, parts: TheParts) -> WebhookAnswer:
    """Takes an event of Stripe's. The signature is over the raw bytes, so nothing parses them before."""
    event = _believed(await request.body(), request.headers.get("stripe-signature"), parts.settings.webhook_secret)
    stored = await store_event(parts.engine, event_id=event.event_id, event_type=event.type, payload=event.payload)
    if stored:
        count_webhook(event.type)
        # In a storm of events the sweep delivers, which tells a workflow once of many.
        if not parts.background.start(parts.delivery.deliver(event.event_id), behind=CAN_WAIT_MAX):
            WEBHOOKS_LEFT.inc()
    else:
        WEBHOOKS_DUPLICATE.inc()
    return WebhookAnswer(event_id=event.event_id, duplicate=not stored)


@router.get("/v1/webhook-events")
async def list_webhook_events(
    parts: TheParts,
    _: AsAdmin,
    state: Annotated[Literal["quarantined"], Query(description="Events that can't be delivered.")],
    limit: Limit = PAGE_SIZE,
) -> Page[WebhookEventAnswer]:
    """The newest events that can't be delivered, with the reason."""
    found = await quarantined_events(parts.engine, limit=limit)
    shown = [
        WebhookEventAnswer(
            event_id=event.event_id,
            type=event.type,
            state=event.state,
            attempts=event.attempts,
            received_at=event.received_at,
            reason=event.last_error,
        )
        for event in found
    ]
    return Page[WebhookEventAnswer](data=shown, next_cursor=None)


def _believed(body: bytes, signature: str | None, secret: str) -> VerifiedEvent:
    try:
        return verify_event(body, signature, secret=secret, now=time.time())
    except BadWebhook as bad:
        WEBHOOKS_REJECTED.labels(bad.reason).inc()
        raise Problem("invalid-webhook", f"{bad.message} Nothing was stored.", members={"reason": bad.reason}) from None
