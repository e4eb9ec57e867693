"""A namespace that knows nothing of ours, made ready; on a Temporal server of its own, which is stopped at the end."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import (
    Client,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from gateways.temporal.connection import TemporalAddress, connect
from gateways.temporal.flows import Flows, FlowUnavailable
from gateways.temporal.namespace import prepare_namespace
from local.temporal import NAMESPACE, TemporalDevServer
from messages import names
from messages.grants import GrantOrder, GrantType


async def test_a_bare_namespace_is_made_ready_and_kept_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = TemporalDevServer(tmp_path_factory.mktemp("bare"), search_attributes={})
    await server.start()
    try:
        client = await connect(TemporalAddress(server.address, NAMESPACE))
        assert await _ours(client) == set()
        await asyncio.gather(*(prepare_namespace(client) for _ in range(4)))
        assert await _ours(client) == {"AccountId", "OperationId", "GrantType", "GrantStage"}
        await _assert_schedule_is_ours(client)
        await _assert_a_pause_survives_and_a_change_does_not(client)
        assert await Flows(client).is_reachable()
    finally:
        await server.stop()
    with pytest.raises(FlowUnavailable):
        await Flows(client).grant(GrantOrder(f"op-{uuid4()}", "account", GrantType.FREE, 1))


async def _ours(client: Client) -> set[str]:
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return {key.name for key in names.SEARCH_ATTRIBUTES} & set(listed.custom_attributes)


async def _assert_schedule_is_ours(client: Client) -> None:
    schedule = (await client.get_schedule_handle(names.SWEEPS_SCHEDULE).describe()).schedule
    assert [interval.every for interval in schedule.spec.intervals] == [timedelta(minutes=1)]
    assert schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert not schedule.state.paused


async def _assert_a_pause_survives_and_a_change_does_not(client: Client) -> None:
    handle = client.get_schedule_handle(names.SWEEPS_SCHEDULE)
    await handle.pause(note="Stripe is being audited")
    await handle.update(_hourly)
    await prepare_namespace(client)
    schedule = (await handle.describe()).schedule
    assert (schedule.state.paused, schedule.state.note) == (True, "Stripe is being audited")
    assert [interval.every for interval in schedule.spec.intervals] == [timedelta(minutes=1)]


def _hourly(seen: ScheduleUpdateInput) -> ScheduleUpdate:
    seen.description.schedule.spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))])
    return ScheduleUpdate(schedule=seen.description.schedule)
