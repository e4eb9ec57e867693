"""Every event is delivered once, or waits, or stands aside where it can be seen; none keeps others waiting."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.delivery import POISONED_AFTER, InboxDelivery
from activities.sweeps import INBOX_PAGES, Sweeps
from ledger.inbox import quarantined_events
from ledger.mirroring import change_stage
from messages.grants import GrantStage, StageChange, StripeGrantConfirmation
from messages.sweeps import SweepReport
from tests.activities.parts import Rooms
from tests.store.support import grant, open_user


async def test_an_event_reaches_the_workflow_that_waits_for_it(rooms: Rooms) -> None:
    rooms.flows.running.add("op-1")
    event_id = await rooms.created("op-1")
    await rooms.delivery.deliver(event_id)
    assert rooms.flows.confirmed == [("op-1", StripeGrantConfirmation("credgr_1", event_id))]
    event = await rooms.event(event_id)
    assert (event.state, event.attempts, event.last_error) == ("processed", 0, None)


async def test_while_temporal_is_down_an_event_waits_and_is_delivered_later(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    rooms.flows.running.add("op-1")
    rooms.flows.down = True
    event_id = await rooms.created("op-1")
    await rooms.delivery.deliver(event_id)
    waits = await rooms.event(event_id)
    assert (waits.state, waits.attempts) == ("received", 0)
    assert "did not answer" in (waits.last_error or "")
    rooms.flows.down = False
    assert await worker.run(rooms.sweeps.deliver_inbox) == SweepReport()  # it is not due yet
    await rooms.make_due()
    assert await worker.run(rooms.sweeps.deliver_inbox) == SweepReport(done=1)
    assert (await rooms.event(event_id)).state == "processed"
    assert len(rooms.flows.confirmed) == 1


async def test_an_outage_never_sets_an_event_aside(rooms: Rooms) -> None:
    rooms.flows.down = True
    event_id = await rooms.created("op-1")
    for _ in range(POISONED_AFTER + 2):
        await rooms.delivery.deliver(event_id)
    event = await rooms.event(event_id)
    assert (event.state, event.attempts) == ("received", 0)


async def test_during_an_outage_only_one_event_of_a_page_is_tried(rooms: Rooms) -> None:
    rooms.flows.down = True
    for number in range(3):
        await rooms.created(f"op-{number}", f"credgr_{number}")
    assert await rooms.delivery.deliver_due(limit=10) == SweepReport(left=3)
    assert len(rooms.flows.asked) == 1


async def test_without_a_workflow_the_row_is_confirmed(rooms: Rooms) -> None:
    await grant(rooms.engine, await open_user(rooms.engine), "op-1", 10)
    event_id = await rooms.created("op-1")
    await rooms.delivery.deliver(event_id)
    confirmed = await rooms.grant("op-1")
    assert (confirmed.stage, confirmed.stripe_grant_id) == (GrantStage.CONFIRMED, "credgr_1")
    assert ((await rooms.event(event_id)).state, (await rooms.event(event_id)).last_error) == ("processed", None)


async def test_a_confirmation_of_what_was_given_up_is_noted(rooms: Rooms) -> None:
    await grant(rooms.engine, await open_user(rooms.engine), "op-1", 10)
    await change_stage(rooms.engine, StageChange("op-1", GrantStage.ABANDONED, reason="given up"))
    event_id = await rooms.created("op-1")
    await rooms.delivery.deliver(event_id)
    abandoned = await rooms.grant("op-1")
    assert (abandoned.stage, abandoned.stripe_grant_id) == (GrantStage.ABANDONED, "credgr_1")
    assert (await rooms.event(event_id)).last_error == "the grant was abandoned before"


@pytest.mark.parametrize(
    ("operation_id", "reason"),
    [
        (None, "a credit grant that was not made by us"),
        ("", "a credit grant that was not made by us"),
        ("x" * 201, "a credit grant that was not made by us"),
        ("op-of-nobody", "the ledger has no grant op-of-nobody"),
    ],
)
async def test_what_is_not_ours_is_ignored_with_the_reason(rooms: Rooms, operation_id: str | None, reason: str) -> None:
    event_id = await rooms.created(operation_id)
    await rooms.delivery.deliver(event_id)
    event = await rooms.event(event_id)
    assert (event.state, event.last_error) == ("ignored", reason)


async def test_an_unknown_type_is_kept_and_ignored(rooms: Rooms) -> None:
    event_id = await rooms.store("customer.subscription.paused", data={"object": {}})
    await rooms.delivery.deliver(event_id)
    event = await rooms.event(event_id)
    assert (event.state, event.payload) == ("ignored", {"data": {"object": {}}})
    assert rooms.flows.asked == []


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"data": None},
        {"data": {"object": []}},
        {"data": {"object": {"id": 5}}},
        {"data": {"object": {"id": "credgr_1", "metadata": {"operationId": {"a": 1}}}}},
    ],
)
async def test_a_poisonous_payload_stands_aside_and_its_neighbours_go_on(rooms: Rooms, payload: dict[str, Any]) -> None:
    rooms.flows.running |= {"op-1", "op-2"}
    await rooms.created("op-1")
    poisonous = await rooms.store(**payload)
    await rooms.created("op-2", "credgr_2")
    assert await rooms.delivery.deliver_due(limit=10) == SweepReport(done=3)
    [visible] = await quarantined_events(rooms.engine, limit=10)
    assert visible.event_id == poisonous
    assert visible.last_error
    assert [operation_id for operation_id, _ in rooms.flows.confirmed] == ["op-1", "op-2"]


async def test_an_event_that_fails_by_itself_comes_again_and_is_set_aside_at_last(
    rooms: Rooms, worker: ActivityEnvironment
) -> None:
    account_id = await open_user(rooms.engine)
    for operation_id in ("op-1", "op-2"):
        await grant(rooms.engine, account_id, operation_id, 10)
    await rooms.delivery.deliver(await rooms.created("op-1", "credgr_1"))
    # The database refuses a second grant with the same mirror, whatever the event says.
    poisonous = await rooms.created("op-2", "credgr_1")
    for attempt in range(1, POISONED_AFTER):
        assert await worker.run(rooms.sweeps.deliver_inbox) == SweepReport(failed=1)
        event = await rooms.event(poisonous)
        assert (event.state, event.attempts) == ("received", attempt)
        await rooms.make_due()
    rooms.flows.running.add("op-3")
    await rooms.created("op-3", "credgr_3")
    assert await worker.run(rooms.sweeps.deliver_inbox) == SweepReport(done=2)
    [visible] = await quarantined_events(rooms.engine, limit=10)
    assert visible.event_id == poisonous
    assert (visible.last_error or "").startswith("failed 8 times, at last: IntegrityError")
    assert len(visible.last_error or "") < 600
    assert len(rooms.flows.confirmed) == 1


async def test_a_bug_at_one_event_does_not_stop_the_others(rooms: Rooms) -> None:
    rooms.flows.running |= {"op-1", "op-2"}
    rooms.flows.breaks_on.add("op-1")
    broken = await rooms.created("op-1")
    await rooms.created("op-2", "credgr_2")
    assert await rooms.delivery.deliver_due(limit=10) == SweepReport(done=1, failed=1)
    assert (await rooms.event(broken)).last_error == "RuntimeError: a bug"
    await rooms.delivery.deliver(broken)
    assert (await rooms.event(broken)).attempts == 2


async def test_duplicates_at_once_and_one_after_another_have_one_effect(rooms: Rooms) -> None:
    await grant(rooms.engine, await open_user(rooms.engine), "op-1", 10)
    event_id = await rooms.created("op-1")
    await asyncio.gather(*(rooms.delivery.deliver(event_id) for _ in range(10)))
    confirmed = await rooms.grant("op-1")
    await rooms.delivery.deliver(event_id)
    await rooms.delivery.deliver_due(limit=10)
    assert await rooms.grant("op-1") == confirmed
    assert confirmed.stage is GrantStage.CONFIRMED
    assert Counter(rooms.flows.asked)["op-1"] <= 10
    assert (await rooms.event(event_id)).state == "processed"


async def test_delivery_never_raises(rooms: Rooms) -> None:
    await rooms.delivery.deliver("evt_of_nobody")
    rooms.flows.breaks_on.add("op-1")
    event_id = await rooms.created("op-1")
    await rooms.change("ALTER TABLE webhook_inbox RENAME TO elsewhere")
    await InboxDelivery(rooms.engine, rooms.flows).deliver(event_id)


async def test_the_sweep_beats_after_each_event(rooms: Rooms, worker: ActivityEnvironment) -> None:
    beats: list[tuple[object, ...]] = []
    worker.on_heartbeat = lambda *details: beats.append(details)
    for number in range(4):
        await rooms.created(None, f"credgr_{number}")
    assert await worker.run(rooms.sweeps.deliver_inbox) == SweepReport(done=4)
    assert len(beats) == 4


async def test_a_tick_delivers_page_after_page_until_one_is_not_full(rooms: Rooms, worker: ActivityEnvironment) -> None:
    sweeps = Sweeps(rooms.engine, rooms.stripe.gateway, rooms.flows, inbox_page=2)
    for number in range(5):
        await rooms.created(None, f"credgr_{number}")
    assert await worker.run(sweeps.deliver_inbox) == SweepReport(done=5)
    for number in range(INBOX_PAGES * 2 + 3):
        await rooms.created(None, f"credgr_more_{number}")
    # Never all that there is: a tick has other work as well.
    assert await worker.run(sweeps.deliver_inbox) == SweepReport(done=INBOX_PAGES * 2)
    assert await worker.run(sweeps.deliver_inbox) == SweepReport(done=3)
