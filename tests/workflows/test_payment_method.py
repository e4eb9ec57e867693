"""PaymentMethodWorkflow against fakes: attached once, made the default, refusals told, unknown outcomes tried again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from messages import names
from messages.customer_steps import PaymentMethodLedgerSteps, PaymentMethodStripeSteps
from messages.customers import DefaultPaymentMethod, PaymentMethod, PaymentMethodCall, PaymentMethodOrder
from messages.failures import Failure
from tests.workflows.fakes import FakeLedger, FakeStripe, refused, steps_of, stored_500
from tests.workflows.recording import store_history
from workflows.payment_method import PaymentMethodWorkflow


class FakeCards(PaymentMethodStripeSteps):
    """Stripe's payment methods: an exception in ``script`` is raised, else the method is attached under a new id."""

    def __init__(self) -> None:
        self.script: list[Exception] = []
        self.keys_used: list[str] = []
        self.default: str | None = None

    async def attach_payment_method(self, call: PaymentMethodCall) -> PaymentMethod:
        self.keys_used.append(call.idempotency_key)
        if self.script:
            raise self.script.pop(0)
        return PaymentMethod(payment_method_id="pm_new", kind="card", brand="visa", last4="4242")

    async def set_default_payment_method(self, call: PaymentMethodCall) -> None:
        self.default = call.payment_method_id


class FakeBooks(PaymentMethodLedgerSteps):
    """Our own books of payment methods."""

    def __init__(self) -> None:
        self.recorded: list[DefaultPaymentMethod] = []

    async def record_payment_method(self, default: DefaultPaymentMethod) -> None:
        self.recorded.append(default)


@dataclass
class Attaching:
    """One request, and the fakes behind it."""

    environment: WorkflowEnvironment
    queue: str
    case: str
    cards: FakeCards = field(default_factory=FakeCards)
    books: FakeBooks = field(default_factory=FakeBooks)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    attempt: str = field(default_factory=lambda: str(uuid4()))

    async def attach(self) -> PaymentMethod:
        """Runs the workflow to its end, as the API does."""
        attached: PaymentMethod = await self.environment.client.execute_workflow(
            names.PAYMENT_METHOD_WORKFLOW,
            PaymentMethodOrder(self.attempt, "01970000-0000-7000-8000-000000000001", "pm_card_visa"),
            id=names.payment_method_workflow_id(self.attempt),
            task_queue=self.queue,
            result_type=PaymentMethod,
        )
        return attached


@pytest.fixture
async def attaching(time_skipping: WorkflowEnvironment, request: pytest.FixtureRequest) -> AsyncIterator[Attaching]:
    queue = f"queue-{uuid4()}"
    one = Attaching(time_skipping, queue, request.node.name.removeprefix("test_"))
    fakes = (one.cards, one.books, one.ledger, FakeStripe())
    worker = Worker(
        time_skipping.client,
        task_queue=queue,
        workflows=[PaymentMethodWorkflow],
        activities=[step for fake in fakes for step in steps_of(fake)],
        max_cached_workflows=0,
    )
    async with worker:
        yield one
        handle = time_skipping.client.get_workflow_handle(names.payment_method_workflow_id(one.attempt))
        await store_history(handle, names.PAYMENT_METHOD_WORKFLOW, one.case)


async def test_attached_and_made_the_default(attaching: Attaching) -> None:
    method = await attaching.attach()
    assert method.payment_method_id == "pm_new"
    assert attaching.cards.default == "pm_new"
    assert [default.payment_method for default in attaching.books.recorded] == [method]


async def test_a_refused_card_is_told_and_nothing_recorded(attaching: Attaching) -> None:
    attaching.cards.script = [refused("Your card was declined.")]
    with pytest.raises(WorkflowFailureError) as told:
        await attaching.attach()
    assert isinstance(told.value.cause, ApplicationError)
    assert (told.value.cause.type, told.value.cause.message) == (Failure.STRIPE_REFUSED, "Your card was declined.")
    assert (attaching.cards.default, attaching.books.recorded) == (None, [])


async def test_an_unknown_outcome_is_tried_under_the_next_key(attaching: Attaching) -> None:
    attaching.cards.script = [stored_500()]
    await attaching.attach()
    assert attaching.cards.keys_used == [f"attach-{attaching.attempt}-1", f"attach-{attaching.attempt}-2"]
