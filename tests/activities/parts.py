"""What the activities' tests say often: accounts on a real ledger, Stripe's events, and Temporal as a typed fake."""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.delivery import InboxDelivery
from activities.sweeps import Sweeps
from gateways.temporal.flows import FlowUnavailable
from ledger.granting import find_grant
from ledger.inbox import find_event, store_event
from ledger.store.inbox import InboxEvent
from messages.grants import Grant, GrantOrder, StripeGrantConfirmation
from messages.payments import Payment, PaymentEvent, TopUpDemand
from tests.conftest import Database
from tests.gateways.stripe_parts import StripeParts
from tests.store.support import session


@dataclass
class FakeFlows:
    """Temporal: the workflows that run, what they were told, and what is wrong today."""

    running: set[str] = field(default_factory=set)
    down: bool = False
    breaks_on: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    confirmed: list[tuple[str, StripeGrantConfirmation]] = field(default_factory=list)
    adopted: list[GrantOrder] = field(default_factory=list)
    topped_up: list[str] = field(default_factory=list)
    told: list[tuple[str, str, bool]] = field(default_factory=list)
    events: list[PaymentEvent] = field(default_factory=list)

    async def confirm_grant(self, operation_id: str, confirmation: StripeGrantConfirmation) -> bool:
        """Signals a workflow that runs."""
        self._answer_or_fail(operation_id)
        if operation_id not in self.running:
            return False
        self.confirmed.append((operation_id, confirmation))
        return True

    async def adopt_grant(self, order: GrantOrder) -> None:
        """Starts a workflow."""
        self._answer_or_fail(order.operation_id)
        self.adopted.append(order)

    async def top_up_wanted(self, account_id: str, demand: TopUpDemand) -> None:
        """Signals or starts the top-up of an account."""
        self._answer_or_fail(account_id)
        self.topped_up.append(account_id)

    async def payment_changed(self, payment: Payment, event: PaymentEvent, *, failed: bool = False) -> None:
        """Signals or starts whoever carries the payment."""
        self._answer_or_fail(payment.operation_id)
        self._note("payment", payment.operation_id, event, failed=failed)

    async def payment_reversed(self, payment: Payment, payment_intent_id: str, event: PaymentEvent) -> None:
        """Signals or starts the payment's reversal."""
        self._answer_or_fail(payment_intent_id)
        self._note("reversal", payment_intent_id, event)

    async def customer_changed(self, account_id: str, event: PaymentEvent) -> None:
        """Signals or starts who asks how the customer stands."""
        self._answer_or_fail(account_id)
        self._note("customer", account_id, event)

    def _note(self, about: str, name: str, event: PaymentEvent, *, failed: bool = False) -> None:
        self.told.append((about, name, failed))
        self.events.append(event)

    def _answer_or_fail(self, operation_id: str) -> None:
        self.asked.append(operation_id)
        if self.down:
            raise FlowUnavailable("Temporal did not answer within 5 s (RPCError).")
        if operation_id in self.breaks_on:
            raise RuntimeError("a bug")


@dataclass
class Pauses:
    """Takes the pauses between two items, and no time."""

    taken: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        """Note the pause."""
        self.taken.append(seconds)


@dataclass
class Rooms:
    """The activities on a real ledger and before the stand-in, with Temporal as a fake."""

    database: Database
    engine: AsyncEngine
    stripe: StripeParts
    flows: FakeFlows = field(default_factory=FakeFlows)
    pauses: Pauses = field(default_factory=Pauses)

    def __post_init__(self) -> None:
        self.sweeps = Sweeps(self.engine, self.stripe.gateway, self.flows, pause=self.pauses)
        self.delivery = InboxDelivery(self.engine, self.flows)

    async def grant(self, operation_id: str) -> Grant:
        """The grant as its row has it."""
        return await find_grant(self.engine, operation_id)

    async def store(self, event_type: str = "billing.credit_grant.created", **payload: Any) -> str:
        """Stores an event as the webhook does; answers with its id."""
        event_id = f"evt_{uuid4().hex}"
        await store_event(self.engine, event_id=event_id, event_type=event_type, payload=payload)
        return event_id

    async def created(self, operation_id: str | None, stripe_grant_id: str = "credgr_1") -> str:
        """Stores the event that tells of a new credit grant; answers with its id."""
        metadata = {} if operation_id is None else {"operationId": operation_id}
        return await self.store(data={"object": {"id": stripe_grant_id, "metadata": metadata}})

    async def event(self, event_id: str) -> InboxEvent:
        """The stored event."""
        found = await find_event(self.engine, event_id)
        assert found is not None
        return found

    async def change(self, statement: str, *values: object) -> None:
        """Changes rows as only the owner may: what time or a crash would have done."""
        async with session(self.database.owner_url) as owner:
            await owner.execute(statement, *values)

    async def make_due(self) -> None:
        """Lets the inbox's waiting times pass."""
        await self.change("UPDATE webhook_inbox SET due_at = now() - interval '1 second'")
