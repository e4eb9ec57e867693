"""A grant's workflow under test: fakes behind it, the time-skipping server below, every task a replay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from messages import names
from messages.grants import Grant, GrantOrder, GrantStage, GrantStatus, GrantType
from tests.temporal_servers import skipping_server
from tests.workflows.clock import REAL_POLL_SECONDS, REAL_POLLS, ServerClock
from tests.workflows.fakes import FakeLedger, FakeStripe, steps_of
from tests.workflows.payment_flow import PaymentFlow, payment_flow
from tests.workflows.recording import store_history
from workflows.credit_grant import CreditGrantWorkflow


@dataclass
class GrantFlow:
    """One grant on its way, as its caller, its operator and Stripe's webhooks drive it."""

    environment: WorkflowEnvironment
    queue: str
    case: str
    ledger: FakeLedger
    stripe: FakeStripe
    clock: ServerClock
    order: GrantOrder = field(default_factory=lambda: new_order())

    @property
    def client(self) -> Client:
        """The server's client."""
        return self.environment.client

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The grant's workflow."""
        return self.client.get_workflow_handle(names.grant_workflow_id(self.order.operation_id))

    async def begin(self) -> Grant:
        """Update-with-start, as the API does; answers when the local grant has committed."""
        return await self._begin(update_id=self.order.operation_id)

    async def begin_again(self) -> Grant:
        """A later request with the same operation id, after the workflow has ended."""
        return await self._begin(update_id=f"{self.order.operation_id}/later")

    async def _begin(self, *, update_id: str) -> Grant:
        start = WithStartWorkflowOperation[Any, Any](
            names.CREDIT_GRANT_WORKFLOW,
            self.order,
            id=names.grant_workflow_id(self.order.operation_id),
            task_queue=self.queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        granted: Grant = await self.client.execute_update_with_start_workflow(
            names.CREATE_LOCAL_GRANT,
            start_workflow_operation=start,
            id=update_id,
            result_type=Grant,
        )
        return granted

    async def signal(self, name: str, argument: object) -> None:
        """Sends a signal to the workflow."""
        await self.handle.signal(name, argument)

    async def status(self) -> GrantStatus:
        """The workflow's answer to the query ``status``."""
        status: GrantStatus = await self.handle.query(names.STATUS, result_type=GrantStatus)
        return status

    async def reaches(self, stage: GrantStage, *, after: timedelta = timedelta()) -> GrantStatus:
        """Waits until the workflow says that it is at this stage, ``after`` has passed on its clock."""
        if after:
            await self.pass_time(after)
        status = await self.status()
        for _ in range(REAL_POLLS):
            if status.stage is stage:
                break
            await asyncio.sleep(REAL_POLL_SECONDS)
            status = await self.status()
        assert status.stage is stage, status
        return status

    async def pass_time(self, span: timedelta) -> None:
        """Lets time pass on the server's clock, which keys are dated by as well."""
        await self.environment.sleep(span)
        await self.clock.set()

    async def end(self) -> None:
        """Ends a workflow that still runs: the server skips no time while somebody's task waits for a worker."""
        with suppress(RPCError):
            await self.handle.terminate("the test is over")


def new_order(grant_type: GrantType = GrantType.PURCHASE) -> GrantOrder:
    """An order of 1,000 credits under a new operation id."""
    return GrantOrder(
        operation_id=f"op-{uuid4()}",
        account_id="01970000-0000-7000-8000-000000000001",
        type=grant_type,
        credits=1000,
        request_id="request-1",
    )


@pytest.fixture
async def flow(time_skipping: WorkflowEnvironment, request: pytest.FixtureRequest) -> AsyncIterator[GrantFlow]:
    """A flow for tests in which no time passes but the real one."""
    async with _grant_flow(time_skipping, request.node.name) as begun:
        yield begun


@pytest.fixture
async def long_flow(own_time_skipping: WorkflowEnvironment, request: pytest.FixtureRequest) -> AsyncIterator[GrantFlow]:
    """A flow for tests that let time pass."""
    async with _grant_flow(own_time_skipping, request.node.name) as begun:
        yield begun


@pytest.fixture(scope="module")
async def payment_server() -> AsyncIterator[WorkflowEnvironment]:
    """A server for those tests of a module that pass no time."""
    async with skipping_server() as environment:
        yield environment


@pytest.fixture
async def money(payment_server: WorkflowEnvironment, request: pytest.FixtureRequest) -> AsyncIterator[PaymentFlow]:
    """An account's payments on their way, in tests in which no time passes but the real one."""
    async with payment_flow(payment_server, request.node.name) as begun:
        yield begun


@pytest.fixture
async def long_money(
    own_time_skipping: WorkflowEnvironment, request: pytest.FixtureRequest
) -> AsyncIterator[PaymentFlow]:
    """The same for tests that let time pass."""
    async with payment_flow(own_time_skipping, request.node.name) as begun:
        yield begun


@pytest.fixture
async def outage_money(
    own_time_skipping: WorkflowEnvironment, request: pytest.FixtureRequest
) -> AsyncIterator[PaymentFlow]:
    """The same for tests that let hours of retries pass: a cached workflow has a queue of its own, for which this
    server waits each time."""
    async with payment_flow(own_time_skipping, request.node.name, cached=1) as begun:
        yield begun


@asynccontextmanager
async def _grant_flow(environment: WorkflowEnvironment, test: str) -> AsyncIterator[GrantFlow]:
    """A worker with fakes. No workflow is cached, so each task replays all before it."""
    queue = f"queue-{uuid4()}"
    clock = ServerClock(environment)
    ledger, stripe = FakeLedger(now=clock.read), FakeStripe()
    worker = Worker(
        environment.client,
        task_queue=queue,
        workflows=[CreditGrantWorkflow],
        activities=[*steps_of(ledger), *steps_of(stripe)],
        max_cached_workflows=0,
    )
    async with worker:
        await clock.set()
        flow = GrantFlow(environment, queue, test.removeprefix("test_"), ledger, stripe, clock)
        yield flow
        await store_history(flow.handle, names.CREDIT_GRANT_WORKFLOW, flow.case)
        await flow.end()
