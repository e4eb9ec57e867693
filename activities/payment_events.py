"""Stripe's events about money: which payment each is about, and who is told of it.

None of them is believed for more than that: what has become of the money is asked of Stripe by the workflow that hears.
"""

from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import customers, paying, topping_up
from ledger.opening import find_account
from ledger.rules.errors import UnknownPurchase
from ledger.store.inbox import InboxEvent
from messages.payments import Payment, PaymentError, PaymentEvent, SwitchOff

PAYMENT_EVENTS = frozenset(
    {
        "payment_intent.succeeded",
        "payment_intent.processing",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    }
)
_FAILURES = frozenset(
    {
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    }
)
REVERSAL_EVENTS = frozenset(
    {
        "charge.refunded",
        "charge.refund.updated",
        "refund.created",
        "refund.updated",
        "refund.failed",
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    }
)
# A card that a hosted page has saved: it can be charged from then on, and nobody has made it the default.
ATTACHED = "payment_method.attached"
CUSTOMER_EVENTS = frozenset(
    {
        "customer.updated",
        "customer.deleted",
        ATTACHED,
        "payment_method.detached",
        "payment_method.automatically_updated",
    }
)

# How an event's wait ends: the inbox's state, and a reason.
Ended = tuple[str, str | None]
_NOT_OURS: Ended = ("ignored", "a payment that was not made by us")


class PaymentSignals(Protocol):
    """What the delivery of payments' events needs of Temporal."""

    async def payment_changed(self, payment: Payment, event: PaymentEvent, *, failed: bool = False) -> None: ...

    async def payment_reversed(self, payment: Payment, payment_intent_id: str, event: PaymentEvent) -> None: ...

    async def customer_changed(self, account_id: str, event: PaymentEvent) -> None: ...


class Malformed(Exception):
    """The event lacks what its type promises. It will never be deliverable."""


class PaymentDelivery:
    """Delivers events about payments, refunds, disputes and customers."""

    def __init__(self, engine: AsyncEngine, flows: PaymentSignals) -> None:
        self._engine = engine
        self._flows = flows

    async def payment(self, event: InboxEvent) -> Ended:
        """A payment, or the hosted page of one, has moved."""
        body = object_of(event)
        payment = await self._payment(_operation_id(body), _intent(body))
        if payment is None:
            return _NOT_OURS
        told = PaymentEvent(event.event_id, _intent(body))
        await self._flows.payment_changed(payment, told, failed=event.type in _FAILURES)
        return "processed", None

    async def reversal(self, event: InboxEvent, asked_about: set[str]) -> Ended:
        """Money has gone back, or may. The payment's id is added to ``asked_about``; for one that is there nobody is
        told again, since Stripe's answer is later than all events that were read together."""
        intent = _text(object_of(event), "payment_intent")
        if intent in asked_about:
            return "processed", "another event of the payment has told of it"
        payment = None if intent is None else await self._payment(None, intent)
        if intent is None or payment is None:
            return _NOT_OURS
        await self._flows.payment_reversed(payment, intent, PaymentEvent(event.event_id, intent))
        asked_about.add(intent)
        return "processed", None

    async def customer(self, event: InboxEvent) -> Ended:
        """A customer, or its payment method, has changed or is gone."""
        body = object_of(event)
        if event.type == "customer.deleted":
            return await self._deleted(str(body.get("id")))
        customer = _text(body, "id") if body.get("object") == "customer" else _text(body, "customer")
        customer = customer or _customer_before(event.payload)
        account_id = None if customer is None else await customers.account_of_customer(self._engine, customer)
        if account_id is None:
            return "ignored", "a customer that is none of ours"
        if event.type == ATTACHED and (await find_account(self._engine, account_id)).default_payment_method:
            return "ignored", "the account has a default payment method"
        await self._flows.customer_changed(account_id, PaymentEvent(event.event_id))
        return "processed", None

    async def _deleted(self, stripe_customer_id: str) -> Ended:
        """What was deleted does not come back, so that nothing needs to be asked.

        The customer is forgotten last: until then, the event that is delivered again finds whose it was.
        """
        account_id = await customers.account_of_customer(self._engine, stripe_customer_id)
        if account_id is None:
            return "ignored", "a customer that is none of ours"
        message = (
            "Your payment methods were removed together with your customer record at Stripe. Auto top-up is off: add a "
            "card and switch it on again."
        )
        await topping_up.switch_off(self._engine, SwitchOff(account_id, PaymentError.NO_PAYMENT_METHOD, message))
        await customers.forget_customer(self._engine, stripe_customer_id)
        return "processed", None

    async def _payment(self, operation_id: str | None, intent: str | None) -> Payment | None:
        """The payment of ours that is meant, by the id that we gave it, or by Stripe's."""
        if intent is not None:
            known = await paying.find_payment_of_intent(self._engine, intent)
            if known is not None:
                return known
        if operation_id is None:
            return None
        try:
            return await paying.read_payment(self._engine, operation_id)
        except UnknownPurchase:
            return None


def object_of(event: InboxEvent) -> dict[str, Any]:
    """The object that the event is about. Raises Malformed."""
    data = event.payload.get("data")
    body = data.get("object") if isinstance(data, dict) else None
    if not isinstance(body, dict) or not isinstance(body.get("id"), str):
        raise Malformed(f"a {event.type} event without its object")
    return body


def _intent(body: dict[str, Any]) -> str | None:
    return _text(body, "id") if body.get("object") == "payment_intent" else _text(body, "payment_intent")


def _operation_id(body: dict[str, Any]) -> str | None:
    metadata = body.get("metadata")
    return _text(metadata, "operationId") if isinstance(metadata, dict) else None


def _customer_before(payload: dict[str, Any]) -> str | None:
    """Whose a payment method was before it was detached."""
    before = payload["data"].get("previous_attributes")
    return _text(before, "customer") if isinstance(before, dict) else None


def _text(body: dict[str, Any], name: str) -> str | None:
    """The id under the name, also where Stripe has put the object itself there."""
    value = body.get(name)
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) else None
