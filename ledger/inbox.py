"""The webhook inbox: an event is stored once before Stripe hears 200, and waits here until it is delivered."""

from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.store import inbox as rows
from ledger.store.inbox import InboxEvent
from ledger.transaction import with_transaction

FIRST_DELAY_SECONDS = 2
LONGEST_DELAY_SECONDS = 300


async def store_event(engine: AsyncEngine, *, event_id: str, event_type: str, payload: dict[str, Any]) -> bool:
    """Stores the event under Stripe's id; False for a duplicate, which changes nothing."""
    return await with_transaction(
        engine,
        lambda tx: rows.insert_event(tx, event_id=event_id, event_type=event_type, payload=payload),
        what="store event",
    )


async def find_event(engine: AsyncEngine, event_id: str) -> InboxEvent | None:
    """The event with this id, or None."""
    return await with_transaction(engine, lambda tx: rows.find_event(tx, event_id), what="find event")


async def due_events(engine: AsyncEngine, *, limit: int) -> list[InboxEvent]:
    """Events that wait for delivery and are due."""
    return await with_transaction(engine, lambda tx: rows.due_events(tx, limit=limit), what="due events")


async def quarantined_events(engine: AsyncEngine, *, limit: int) -> list[InboxEvent]:
    """Events that can't be delivered, for an operator to look at."""
    return await with_transaction(
        engine, lambda tx: rows.quarantined_events(tx, limit=limit), what="quarantined events"
    )


async def close_event(engine: AsyncEngine, event_id: str, *, state: str, reason: str | None = None) -> None:
    """Ends the event's wait: ``processed``, ``ignored`` or ``quarantined``."""
    await with_transaction(
        engine, lambda tx: rows.close_event(tx, event_id, state=state, reason=reason), what="close event"
    )


async def postpone_event(engine: AsyncEngine, event: InboxEvent, *, reason: str, own_failure: bool) -> None:
    """Leaves the event for later. A failure of its own is counted, and the next try comes later each time, up to five
    minutes; where a part is down the event is not to blame, and it is due again at once when that is back."""
    waits = FIRST_DELAY_SECONDS * 2 ** min(event.attempts, 10) if own_failure else FIRST_DELAY_SECONDS
    delay = timedelta(seconds=min(LONGEST_DELAY_SECONDS, waits))
    await with_transaction(
        engine,
        lambda tx: rows.postpone_event(tx, event.event_id, delay=delay, reason=reason, own_failure=own_failure),
        what="postpone event",
    )
