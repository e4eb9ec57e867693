"""The flows as their callers see them, on a real Temporal server with a worker of fakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Worker

from gateways.temporal.connection import TemporalAddress, connect
from gateways.temporal.flows import FlowRefused, Flows, FlowUnavailable
from messages import names
from messages.customer_steps import PaymentMethodLedgerSteps, PaymentMethodStripeSteps
from messages.customers import DefaultPaymentMethod, PaymentMethod, PaymentMethodCall, PaymentMethodOrder
from messages.failures import Failure
from messages.grants import GrantOrder, GrantStage, GrantType, OperatorOrder, StripeGrantConfirmation
from tests.sandbox.serving import free_port
from tests.workflows.fakes import FakeLedger, FakeStripe, refused, steps_of
from workflows.credit_grant import CreditGrantWorkflow
from workflows.payment_method import PaymentMethodWorkflow

OPERATOR = OperatorOrder(actor="ops", reason="the price is metered now")
CARD = PaymentMethod(payment_method_id="pm_new", kind="card", brand="visa", last4="4242")


class FakeCards(PaymentMethodStripeSteps, PaymentMethodLedgerSteps):
    """Attaches every card but the one that is refused, and notes the default."""

    def __init__(self) -> None:
        self.default: PaymentMethod | None = None

    async def attach_payment_method(self, call: PaymentMethodCall) -> PaymentMethod:
        if call.payment_method_id == "pm_refused":
            raise ApplicationError(
                "Your card was declined.",
                {"decline_code": "generic_decline"},
                type=Failure.STRIPE_REFUSED,
                non_retryable=True,
            )
        return CARD

    async def set_default_payment_method(self, call: PaymentMethodCall) -> None:
        assert call.payment_method_id == CARD.payment_method_id

    async def record_payment_method(self, default: DefaultPaymentMethod) -> None:
        self.default = default.payment_method


@dataclass
class Running:
    """The flows, and the fakes of the worker that serves them."""

    client: Client
    ledger: FakeLedger = field(default_factory=FakeLedger)
    stripe: FakeStripe = field(default_factory=FakeStripe)
    cards: FakeCards = field(default_factory=FakeCards)

    @property
    def flows(self) -> Flows:
        """The flows of the server's namespace."""
        return Flows(self.client)

    async def run_id(self, order: GrantOrder) -> str | None:
        """Which run of the grant's workflow is the latest."""
        handle = self.client.get_workflow_handle(names.grant_workflow_id(order.operation_id))
        return (await handle.describe()).run_id

    async def ended(self, order: GrantOrder) -> WorkflowExecutionStatus | None:
        """Waits for the end of the grant's workflow, and says which it was."""
        handle = self.client.get_workflow_handle(names.grant_workflow_id(order.operation_id))
        await handle.result()
        return (await handle.describe()).status

    async def reaches(self, order: GrantOrder, stage: GrantStage) -> None:
        """Waits until the grant's workflow says that it is at this stage."""
        status = await self.flows.grant_status(order.operation_id)
        for _ in range(200):
            if status is not None and status.stage is stage:
                return
            await asyncio.sleep(0.02)
            status = await self.flows.grant_status(order.operation_id)
        raise AssertionError(status)


@asynccontextmanager
async def _working(client: Client) -> AsyncIterator[Running]:
    running = Running(client)
    worker = Worker(
        client,
        task_queue=names.TASK_QUEUE,
        workflows=[CreditGrantWorkflow, PaymentMethodWorkflow],
        activities=[*steps_of(running.ledger), *steps_of(running.stripe), *steps_of(running.cards)],
    )
    async with worker:
        yield running
        # Whatever still runs would meet the next test's worker, and its fakes know nothing of it.
        async for left in client.list_workflows(f"TaskQueue = '{names.TASK_QUEUE}' AND ExecutionStatus = 'Running'"):
            with suppress(RPCError):
                await client.get_workflow_handle(left.id).terminate("the test is over")


@pytest.fixture
async def running(temporal: Client) -> AsyncIterator[Running]:
    """A worker of fakes on the product's queue."""
    async with _working(temporal) as begun:
        yield begun


def new_order(**others: object) -> GrantOrder:
    """An order of 1,000 credits under a new operation id, from a request of its own."""
    order = GrantOrder(
        operation_id=f"op-{uuid4()}",
        account_id="01970000-0000-7000-8000-000000000001",
        type=GrantType.PURCHASE,
        credits=1000,
        request_id=str(uuid4()),
    )
    return replace(order, **others)  # type: ignore[arg-type]


async def test_a_grant_is_answered_when_it_has_committed(running: Running) -> None:
    order = new_order()
    granted = await running.flows.grant(order)
    assert (granted.operation_id, granted.stage, granted.balance) == (order.operation_id, GrantStage.LOCAL, 1000)
    assert list(running.ledger.grants) == [order.operation_id]
    described = await running.client.get_workflow_handle(names.grant_workflow_id(order.operation_id)).describe()
    found = described.typed_search_attributes
    assert (found[names.ACCOUNT_ID], found[names.OPERATION_ID], found[names.GRANT_TYPE]) == (
        order.account_id,
        order.operation_id,
        "purchase",
    )
    assert await described.static_summary() == "1000 purchase credits"


async def test_a_repeat_gets_the_same_grant(running: Running) -> None:
    order = new_order()
    first = await running.flows.grant(order)
    assert await running.flows.grant(replace(order, request_id="a later request")) == first
    assert len(running.ledger.grants) == 1


async def test_a_repeat_after_the_end_gets_the_same_grant_from_temporals_memory(running: Running) -> None:
    order = new_order(type=GrantType.ROLLOVER)
    first = await running.flows.grant(order)
    await running.ended(order)
    run_id = await running.run_id(order)
    assert await running.flows.grant(replace(order, request_id="a later request")) == first
    assert await running.run_id(order) == run_id


async def test_twenty_at_once_are_one_grant(running: Running) -> None:
    order = new_order()
    answers = await asyncio.gather(
        *(running.flows.grant(replace(order, request_id=f"request-{number}")) for number in range(20))
    )
    assert len(set(answers)) == 1
    assert list(running.ledger.grants) == [order.operation_id]


async def test_a_refusal_carries_its_numbers_and_claims_nothing(running: Running) -> None:
    order = new_order()
    running.ledger.refusal = ApplicationError(
        "The account would hold too much.",
        {"limit": 10, "would_be": 11},
        type=Failure.LIMIT_EXCEEDED,
        non_retryable=True,
    )
    for request_id in ("request-1", "request-1", "request-2"):
        with pytest.raises(FlowRefused, match="too much") as told:
            await running.flows.grant(replace(order, request_id=request_id))
        assert told.value.failure == Failure.LIMIT_EXCEEDED
        assert told.value.details == {"limit": 10, "would_be": 11, "request_id": request_id}
    running.ledger.refusal = None
    granted = await running.flows.grant(replace(order, request_id="request-3"))
    assert granted.created_by_request == "request-3"
    assert len(running.ledger.grants) == 1


async def test_the_status_is_the_workflows_own(running: Running) -> None:
    order = new_order()
    await running.flows.grant(order)
    await running.reaches(order, GrantStage.AWAITING_WEBHOOK)
    status = await running.flows.grant_status(order.operation_id)
    assert status is not None
    assert (status.operation_id, status.stripe_grant_id) == (order.operation_id, "credgr_1")
    assert "Waiting since" in status.details


async def test_a_confirmation_reaches_the_workflow_that_waits(running: Running) -> None:
    order = new_order()
    await running.flows.grant(order)
    confirmation = StripeGrantConfirmation("credgr_1", "evt_1")
    assert await running.flows.confirm_grant(order.operation_id, confirmation)
    assert await running.ended(order) is WorkflowExecutionStatus.COMPLETED
    assert running.ledger.grants[order.operation_id].stage is GrantStage.CONFIRMED
    assert not await running.flows.confirm_grant(order.operation_id, confirmation)


async def test_what_temporal_does_not_know_is_no_error(running: Running) -> None:
    assert await running.flows.grant_status("op-of-nobody") is None
    assert not await running.flows.confirm_grant("op-of-nobody", StripeGrantConfirmation("credgr_1", "evt_1"))


async def test_an_operator_retries_a_stuck_grant(running: Running) -> None:
    order = new_order()
    running.stripe.script = [refused()]
    await running.flows.grant(order)
    await running.reaches(order, GrantStage.STUCK)
    await running.flows.retry_grant(order, OPERATOR)
    await running.reaches(order, GrantStage.AWAITING_WEBHOOK)
    assert running.stripe.keys_used == [f"grant-{order.operation_id}-1", f"grant-{order.operation_id}-2"]


async def test_an_operators_order_starts_a_workflow_where_none_runs(running: Running) -> None:
    order, given_up = new_order(), new_order()
    running.stripe.script = [refused()]
    await running.flows.grant(order)
    await running.reaches(order, GrantStage.STUCK)
    await running.client.get_workflow_handle(names.grant_workflow_id(order.operation_id)).terminate("lost")
    await running.flows.retry_grant(order, OPERATOR)
    await running.reaches(order, GrantStage.AWAITING_WEBHOOK)
    await running.flows.abandon_grant(given_up, OPERATOR)
    await running.ended(given_up)
    abandoned = running.ledger.grants[given_up.operation_id]
    assert (abandoned.stage, abandoned.reason, abandoned.balance) == (GrantStage.ABANDONED, OPERATOR.reason, 1000)


async def test_a_grant_is_adopted_once(running: Running) -> None:
    order = new_order()
    await running.flows.adopt_grant(order)
    run_id = await running.run_id(order)
    await asyncio.gather(*(running.flows.adopt_grant(order) for _ in range(3)))
    assert await running.run_id(order) == run_id
    await running.reaches(order, GrantStage.AWAITING_WEBHOOK)
    await running.client.get_workflow_handle(names.grant_workflow_id(order.operation_id)).terminate("lost")
    await running.flows.adopt_grant(order)
    assert await running.run_id(order) != run_id


async def test_a_card_is_attached_or_refused(running: Running) -> None:
    def order(method: str) -> PaymentMethodOrder:
        return PaymentMethodOrder(str(uuid4()), "01970000-0000-7000-8000-000000000001", method)

    good = order("pm_card_visa")
    assert await running.flows.attach_payment_method(good) == running.cards.default == CARD
    with pytest.raises(FlowUnavailable, match="has just been finished"):
        await _attach_again(running, good)
    with pytest.raises(FlowRefused, match="declined") as told:
        await running.flows.attach_payment_method(order("pm_refused"))
    assert (told.value.failure, told.value.details) == (Failure.STRIPE_REFUSED, {"decline_code": "generic_decline"})


async def _attach_again(running: Running, order: PaymentMethodOrder) -> None:
    """A second order with the id of one that is still running."""
    handle = running.client.get_workflow_handle(names.payment_method_workflow_id(order.attempt_id))
    await handle.result()
    await running.client.start_workflow(
        names.PAYMENT_METHOD_WORKFLOW, order, id=handle.id, task_queue="nobody-works-here"
    )
    await running.flows.attach_payment_method(order)


async def test_without_a_worker_the_outcome_is_unknown_and_a_repeat_finds_it(temporal: Client) -> None:
    order, asked, cancelled = new_order(), new_order(), new_order()
    flows = Flows(temporal)
    await flows.adopt_grant(asked)
    caller = asyncio.create_task(flows.grant(cancelled))
    await _begun(temporal, cancelled)
    caller.cancel()
    answers = await asyncio.gather(
        flows.grant(order), flows.grant_status(asked.operation_id), caller, return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [FlowUnavailable, FlowUnavailable, asyncio.CancelledError]
    async with _working(temporal) as running:
        granted = await running.flows.grant(order)
        assert granted.created_by_request == order.request_id
        assert list(running.ledger.grants).count(order.operation_id) == 1


async def _begun(client: Client, order: GrantOrder) -> None:
    """Waits until Temporal knows the grant's workflow."""
    for _ in range(200):
        try:
            await client.get_workflow_handle(names.grant_workflow_id(order.operation_id)).describe()
        except RPCError:
            await asyncio.sleep(0.02)
        else:
            return
    raise AssertionError("the workflow never began")


async def test_without_temporal_every_call_says_so() -> None:
    nobody = await connect(TemporalAddress(f"127.0.0.1:{free_port()}", "default"), lazy=True)
    await _assert_all_unavailable(Flows(nobody))


async def _assert_all_unavailable(flows: Flows) -> None:
    order = new_order()
    for call in (
        flows.grant(order),
        flows.adopt_grant(order),
        flows.retry_grant(order, OPERATOR),
        flows.abandon_grant(order, OPERATOR),
        flows.confirm_grant("op-1", StripeGrantConfirmation("credgr_1", "evt_1")),
        flows.grant_status("op-1"),
        flows.attach_payment_method(PaymentMethodOrder(str(uuid4()), order.account_id, "pm_card_visa")),
    ):
        with pytest.raises(FlowUnavailable, match="did not answer"):
            await call
    assert not await flows.is_reachable()
