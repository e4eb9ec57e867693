"""The webhook inbox: stored once, delivered later and later, and never lost from sight."""

import asyncio
from collections import Counter

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.inbox import close_event, due_events, find_event, postpone_event, quarantined_events, store_event
from tests.conftest import Database
from tests.store.support import count, session


async def test_an_event_that_comes_twenty_times_at_once_is_stored_once(database: Database, engine: AsyncEngine) -> None:
    stored = await asyncio.gather(
        *(store_event(engine, event_id="evt_1", event_type="ping", payload={"number": n}) for n in range(20))
    )
    assert Counter(stored) == {True: 1, False: 19}
    assert await count(database, "webhook_inbox") == 1


async def test_a_failed_delivery_comes_later_each_time_but_never_later_than_five_minutes(
    database: Database, engine: AsyncEngine
) -> None:
    await store_event(engine, event_id="evt_1", event_type="ping", payload={})
    waits = []
    for _ in range(12):
        event = await find_event(engine, "evt_1")
        assert event is not None
        await postpone_event(engine, event, reason="a failure of its own", own_failure=True)
        async with session(database.owner_url) as owner:
            waits.append(await owner.fetchval("SELECT extract(epoch FROM due_at - now()) FROM webhook_inbox"))
    assert [round(float(wait) + 0.4) for wait in waits] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    assert await due_events(engine, limit=10) == []


async def test_a_quarantined_event_stays_visible_with_its_reason(engine: AsyncEngine) -> None:
    await store_event(engine, event_id="evt_1", event_type="ping", payload={"a": [1, "é", None]})
    assert [event.event_id for event in await due_events(engine, limit=10)] == ["evt_1"]
    await close_event(engine, "evt_1", state="quarantined", reason="no sense")
    await close_event(engine, "evt_1", state="processed")  # too late
    (event,) = await quarantined_events(engine, limit=10)
    assert (event.state, event.last_error, event.payload) == ("quarantined", "no sense", {"a": [1, "é", None]})
    assert await due_events(engine, limit=10) == []
