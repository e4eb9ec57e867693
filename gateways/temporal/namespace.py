"""What a namespace must have before workflows run in it: our search attributes and our Schedules."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from messages.names import SEARCH_ATTRIBUTES, SWEEPS_SCHEDULE, SWEEPS_WORKFLOW, TASK_QUEUE

SWEEP_INTERVAL = timedelta(minutes=1)


async def prepare_namespace(client: Client) -> None:
    """Adds what is missing and brings the Schedules up to date; safe to repeat by every worker that starts."""
    await add_missing_search_attributes(client)
    await _schedule_sweeps(client)


async def add_missing_search_attributes(client: Client) -> None:
    """Registers our search attributes where the namespace does not have them."""
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = [key.name for key in SEARCH_ATTRIBUTES if key.name not in listed.custom_attributes]
    if missing:
        await register_search_attributes(client, missing)


async def register_search_attributes(client: Client, names: Sequence[str]) -> None:
    """Registers these names as keywords; the server refuses names that it has."""
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=client.namespace,
            search_attributes=dict.fromkeys(names, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
        )
    )


async def _schedule_sweeps(client: Client) -> None:
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            SWEEPS_WORKFLOW,
            id=SWEEPS_SCHEDULE,
            task_queue=TASK_QUEUE,
            static_summary="Finishes what a crash or an outage left behind",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=SWEEP_INTERVAL)]),
        # A sweep finds all that is there: one that runs late makes a second needless, and missed ticks too.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=SWEEP_INTERVAL),
    )
    try:
        await client.create_schedule(SWEEPS_SCHEDULE, schedule)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(SWEEPS_SCHEDULE).update(lambda seen: _keep_state(seen, schedule))


def _keep_state(seen: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate:
    """An operator's pause survives a deploy; everything else is as the code says."""
    wanted.state = seen.description.schedule.state
    return ScheduleUpdate(schedule=wanted)
