"""The webhook inbox: every event of Stripe's, once, until it is delivered."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.tables import webhook_inbox


@dataclass(frozen=True)
class InboxEvent:
    """A stored event. ``payload`` is the event as Stripe sent it; ``attempts`` counts the failures of its own."""

    event_id: str
    type: str
    payload: dict[str, Any]
    state: str
    attempts: int
    received_at: datetime
    last_error: str | None


async def insert_event(tx: AsyncConnection, *, event_id: str, event_type: str, payload: dict[str, Any]) -> bool:
    """Stores the event; False when it was there already. Nothing is decided on that but the count of duplicates."""
    stored = await tx.execute(
        insert(webhook_inbox)
        .values(event_id=event_id, type=event_type, payload=payload)
        .on_conflict_do_nothing(index_elements=[webhook_inbox.c.event_id])
        .returning(webhook_inbox.c.event_id)
    )
    return stored.first() is not None


async def find_event(tx: AsyncConnection, event_id: str) -> InboxEvent | None:
    """The event with this id, or None."""
    found = await tx.execute(select(webhook_inbox).where(webhook_inbox.c.event_id == event_id))
    row = found.one_or_none()
    return None if row is None else _event(row)


async def due_events(tx: AsyncConnection, *, limit: int) -> list[InboxEvent]:
    """Events that wait for delivery and are due, the longest due first."""
    found = await tx.execute(
        select(webhook_inbox)
        .where(webhook_inbox.c.state == "received", webhook_inbox.c.due_at <= func.now())
        .order_by(webhook_inbox.c.due_at)
        .limit(limit)
    )
    return [_event(row) for row in found]


async def quarantined_events(tx: AsyncConnection, *, limit: int) -> list[InboxEvent]:
    """Events that can't be delivered, newest first."""
    found = await tx.execute(
        select(webhook_inbox)
        .where(webhook_inbox.c.state == "quarantined")
        .order_by(webhook_inbox.c.received_at.desc())
        .limit(limit)
    )
    return [_event(row) for row in found]


async def close_event(tx: AsyncConnection, event_id: str, *, state: str, reason: str | None) -> None:
    """Ends the event's wait: processed, ignored or quarantined, with the reason."""
    await tx.execute(
        update(webhook_inbox)
        .where(webhook_inbox.c.event_id == event_id, webhook_inbox.c.state == "received")
        .values(state=state, last_error=reason, processed_at=func.now())
    )


async def postpone_event(
    tx: AsyncConnection, event_id: str, *, delay: timedelta, reason: str, own_failure: bool
) -> None:
    """Makes the event due again after ``delay``; a failure of its own is counted, a part's outage is not."""
    await tx.execute(
        update(webhook_inbox)
        .where(webhook_inbox.c.event_id == event_id, webhook_inbox.c.state == "received")
        .values(attempts=webhook_inbox.c.attempts + int(own_failure), last_error=reason, due_at=func.now() + delay)
    )


def _event(row: Any) -> InboxEvent:
    return InboxEvent(
        event_id=row.event_id,
        type=row.type,
        payload=row.payload,
        state=row.state,
        attempts=row.attempts,
        received_at=row.received_at,
        last_error=row.last_error,
    )
