"""The workflows of payments under test: started as the API and the inbox start them, with fakes behind them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from temporalio.client import WithStartWorkflowOperation, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from gateways.temporal.payment_flows import PaymentFlows
from messages import names
from messages.payments import NoticeKind, Payment, PaymentEvent, PurchaseOrder, TopUpDemand, TopUpOutcome
from messages.reversals import PaymentStanding
from tests.workflows.clock import REAL_POLL_SECONDS, ServerClock
from tests.workflows.fakes import FakeLedger, FakeStripe, steps_of
from tests.workflows.payment_fakes import FakePayments
from tests.workflows.recording import store_history
from tests.workflows.stripe_payments_fake import FakePaymentStripe
from workflows.auto_topup import AutoTopupWorkflow
from workflows.credit_grant import CreditGrantWorkflow
from workflows.customer import CustomerWorkflow
from workflows.payment_reversal import PaymentReversalWorkflow
from workflows.purchase import PurchaseWorkflow

BELOW = TopUpDemand()
# Others use the machine as well.
REAL_SECONDS = 120
PASSING_SECONDS = 200
# A call that lets time pass fails after half a minute of real time: much may happen meanwhile.
STEP = timedelta(minutes=15)
# Just longer than a webhook is waited for: what follows takes real time, for which the server's sleep has no patience.
WEBHOOK_PATIENCE = timedelta(seconds=32)


@dataclass
class PaymentFlow:
    """An account whose payments are on their way, as its requests, its owner and Stripe's webhooks drive them.

    ``recorded`` is the workflow that was last spoken to, by its type and id: its history is the case's.
    """

    environment: WorkflowEnvironment
    queue: str
    clock: ServerClock
    grants: FakeLedger
    mirrors: FakeStripe
    books: FakePayments
    stripe: FakePaymentStripe
    order: PurchaseOrder
    recorded: tuple[str, str] = ("", "")
    _events: Any = field(default_factory=count)

    @property
    def account_id(self) -> str:
        """The account of the test."""
        return self.books.account_id

    @property
    def flows(self) -> PaymentFlows:
        """As the API and the inbox use them."""
        return PaymentFlows(self.environment.client, task_queue=self.queue)

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The workflow that was last spoken to."""
        return self.environment.client.get_workflow_handle(self.recorded[1])

    async def wants_top_up(self, demand: TopUpDemand = BELOW) -> None:
        """The balance has fallen below the threshold; nobody waits."""
        self._speaks_to(names.AUTO_TOPUP_WORKFLOW, names.auto_topup_workflow_id(self.account_id))
        await self.flows.top_up_wanted(self.account_id, demand)

    async def top_up(self, demand: TopUpDemand = BELOW) -> TopUpOutcome:
        """A request waits for its top-up."""
        self._speaks_to(names.AUTO_TOPUP_WORKFLOW, names.auto_topup_workflow_id(self.account_id))
        return await self.flows.top_up(self.account_id, demand)

    async def buy(self) -> Payment:
        """A person buys 2,000 credits, and waits for the answer."""
        self._speaks_to(names.PURCHASE_WORKFLOW, names.purchase_workflow_id(self.order.operation_id))
        return await self.flows.purchase(self.order)

    async def buy_patiently(self) -> Payment:
        """The same for a caller who waits however long it takes: the API's own patience counts real time."""
        self._speaks_to(names.PURCHASE_WORKFLOW, names.purchase_workflow_id(self.order.operation_id))
        start = WithStartWorkflowOperation[Any, Any](
            names.PURCHASE_WORKFLOW,
            self.order,
            id=self.recorded[1],
            task_queue=self.queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        payment: Payment = await self.environment.client.execute_update_with_start_workflow(
            names.BEGIN_PURCHASE, start_workflow_operation=start, result_type=Payment
        )
        return payment

    async def authenticate(self, payment: Payment) -> Payment:
        """The owner opens the page on which a payment is authenticated."""
        self._speaks_to(names.PURCHASE_WORKFLOW, names.purchase_workflow_id(payment.operation_id))
        return await self.flows.authenticate_payment(payment)

    async def webhook(self, payment: Payment, *, failed: bool = False) -> None:
        """Stripe tells of a payment, and the inbox tells whoever carries it."""
        await self.flows.payment_changed(payment, self._event(payment.payment_intent_id), failed=failed)

    async def late_webhook(self, payment: Payment, *, failed: bool = False) -> None:
        """The same for a payment that no workflow carries any more."""
        self._speaks_to(names.PURCHASE_WORKFLOW, names.purchase_workflow_id(payment.operation_id))
        await self.webhook(payment, failed=failed)

    async def reversal_webhook(self, payment_intent_id: str) -> None:
        """Stripe tells of a refund or a dispute."""
        self._speaks_to(names.PAYMENT_REVERSAL_WORKFLOW, names.reversal_workflow_id(payment_intent_id))
        await self.flows.payment_reversed(self.books.only, payment_intent_id, self._event(payment_intent_id))

    async def customer_webhook(self) -> None:
        """Stripe tells of the customer."""
        self._speaks_to(names.CUSTOMER_WORKFLOW, names.customer_workflow_id(self.account_id))
        await self.flows.customer_changed(self.account_id, self._event(None))

    async def ends(self) -> None:
        """Waits until the workflow that was last spoken to has come to its end, in real time."""
        async with asyncio.timeout(REAL_SECONDS):
            with self.environment.auto_time_skipping_disabled():
                # This server wakes nobody who waits for a result; it tells one that is there.
                while (await self.handle.describe()).status is WorkflowExecutionStatus.RUNNING:  # noqa: ASYNC110
                    await asyncio.sleep(REAL_POLL_SECONDS)
                await self.handle.result()

    async def until(self, is_so: Callable[[], bool], *, after: timedelta = timedelta()) -> None:
        """Waits until it is so, ``after`` has passed on the server's clock."""
        if after:
            await self.pass_time(after)
        deadline = asyncio.get_running_loop().time() + REAL_SECONDS
        while not is_so():
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"{self.books.payments}: {await self.handle.query(names.STATUS)}")
            await asyncio.sleep(REAL_POLL_SECONDS)

    async def pass_time(self, span: timedelta) -> None:
        """Lets time pass on the server's clock, which keys are dated by as well."""
        now = await self.environment.get_current_time()
        until = now + span
        async with asyncio.timeout(PASSING_SECONDS):
            while now < until:
                # No time is skipped while a task is with a worker, or lost; such a call ends without an answer.
                with suppress(RPCError):
                    await self.environment.sleep(min(STEP, until - now))
                now = await self.environment.get_current_time()
        await self.clock.set()

    async def bought(self) -> Payment:
        """The payment of a purchase that is done. Nobody waits for its answer: this server forgets what an update has
        answered when its workflow ends before the caller asks."""
        self._speaks_to(names.PURCHASE_WORKFLOW, names.purchase_workflow_id(self.order.operation_id))
        await self.environment.client.start_workflow(
            names.PURCHASE_WORKFLOW, self.order, id=self.recorded[1], task_queue=self.queue
        )
        await self.ends()
        return self.books.only

    def stands(
        self, payment: Payment, *, refunded: int = 0, withdrawn: int = 0, reinstated: int = 0, disputed: bool = False
    ) -> None:
        """How the payment's money stands at Stripe from now on, in cents."""
        intent = str(payment.payment_intent_id)
        self.stripe.standings[intent] = PaymentStanding(
            payment_intent_id=intent,
            paid_cents=payment.amount_cents,
            refunded_cents=refunded,
            withdrawn_cents=withdrawn,
            reinstated_cents=reinstated,
            dispute_open=disputed,
            failed=False,
            operation_id=payment.operation_id,
        )

    def failures(self) -> list[str | None]:
        """The reasons that the owner was told why a top-up failed, one for each notice."""
        return [notice.error for notice in self.books.told(NoticeKind.AUTO_TOPUP_FAILED)]

    async def end(self) -> None:
        """Ends what still runs: the server skips no time while somebody's task waits for a worker."""
        operations = [payment.operation_id for payment in self.books.payments]
        ids = [names.auto_topup_workflow_id(self.account_id), names.customer_workflow_id(self.account_id)]
        ids += map(names.purchase_workflow_id, [self.order.operation_id, *operations])
        ids += map(names.grant_workflow_id, operations)
        ids += map(names.reversal_workflow_id, [*self.stripe.intents, *self.stripe.standings])
        for workflow_id in ids:
            with suppress(RPCError):
                await self.environment.client.get_workflow_handle(workflow_id).terminate("the test is over")

    def _speaks_to(self, workflow: str, workflow_id: str) -> None:
        self.recorded = workflow, workflow_id

    def _event(self, payment_intent_id: str | None) -> PaymentEvent:
        return PaymentEvent(f"evt_{next(self._events)}", payment_intent_id)


@asynccontextmanager
async def payment_flow(environment: WorkflowEnvironment, test: str, *, cached: int = 10) -> AsyncIterator[PaymentFlow]:
    """A worker with fakes.

    On a queue of its own: a worker of an earlier test may still be asking, and its tasks would be lost until they time
    out.
    """
    queue = f"queue-{uuid4()}"
    clock = ServerClock(environment)
    await clock.set()
    grants, mirrors, stripe = FakeLedger(now=clock.read), FakeStripe(), FakePaymentStripe()
    account_id = str(uuid4())
    books = FakePayments(grants, account_id=account_id, now=clock.read)
    order = PurchaseOrder(f"purchase-{uuid4()}", account_id, credits=2000, actor="ada", request_id="request-1")
    worker = Worker(
        environment.client,
        task_queue=queue,
        workflows=[
            AutoTopupWorkflow,
            CreditGrantWorkflow,
            CustomerWorkflow,
            PaymentReversalWorkflow,
            PurchaseWorkflow,
        ],
        activities=[step for fake in (grants, mirrors, books, stripe) for step in steps_of(fake)],
        # As in production.
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_modules("messages")
        ),
        # With none cached, a parent and its child that both run local activities keep each other waiting until their
        # tasks time out; that everything replays is what the stored histories show.
        max_cached_workflows=cached,
    )
    async with worker:
        flow = PaymentFlow(environment, queue, clock, grants, mirrors, books, stripe, order)
        yield flow
        workflow, _ = flow.recorded
        await store_history(flow.handle, workflow, test.removeprefix("test_"))
        await flow.end()
