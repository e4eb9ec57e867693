"""Delivers the inbox's events to the workflows that wait for them. The API does it at once, a sweep what was left."""

import logging
from collections.abc import Callable
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.payment_events import (
    CUSTOMER_EVENTS,
    PAYMENT_EVENTS,
    REVERSAL_EVENTS,
    Malformed,
    PaymentDelivery,
    PaymentSignals,
    object_of,
)
from gateways.temporal.flows import FlowUnavailable
from ledger import granting, inbox, mirroring
from ledger.rules.errors import LedgerError, LedgerUnavailable, UnknownGrant
from ledger.store.inbox import InboxEvent
from messages.grants import CLOSED_STAGES, GrantStage, StageChange, StripeGrantConfirmation
from messages.sweeps import SweepReport

_log = logging.getLogger(__name__)

# An event that fails for a reason of its own, and not because a part is down, is set aside after so many tries.
POISONED_AFTER = 8
# No grant of ours has a longer one (the database says so), and Temporal would not take it as a workflow's id.
OPERATION_ID_LONGEST = 200
REASON_LONGEST = 500


class Signals(PaymentSignals, Protocol):
    """What delivery needs of Temporal."""

    async def confirm_grant(self, operation_id: str, confirmation: StripeGrantConfirmation) -> bool: ...


class InboxDelivery:
    """Delivers events, each to its end: processed, ignored, quarantined, or left in the inbox for later."""

    def __init__(self, engine: AsyncEngine, flows: Signals) -> None:
        self._engine = engine
        self._flows = flows
        self._payments = PaymentDelivery(engine, flows)

    async def deliver(self, event_id: str) -> None:
        """Delivers one event now, if it can be. Never raises: what fails stays in the inbox for the sweep."""
        try:
            event = await inbox.find_event(self._engine, event_id)
            if event is not None and event.state == "received":
                await self._deliver(event, set())
        except (FlowUnavailable, LedgerError) as error:
            _log.warning("The event %s stays in the inbox: %s", event_id, error)
        except Exception:
            # A task of its own has nobody to raise to; the event is safe in the inbox, and the sweep comes by.
            _log.exception("The event %s stays in the inbox.", event_id)

    async def deliver_due(self, *, limit: int, beat: Callable[[], None] = lambda: None) -> SweepReport:
        """Delivers the events that are due, at most ``limit``; ``beat`` is called after each.

        An outage ends the page: each event more would only wait for it as well.
        """
        events = await inbox.due_events(self._engine, limit=limit)
        asked_about: set[str] = set()
        done = failed = 0
        for event in events:
            try:
                if await self._deliver(event, asked_about):
                    done += 1
                else:
                    failed += 1
            except (FlowUnavailable, LedgerUnavailable) as error:
                _log.warning("The delivery ends early, the next tick goes on: %s", error)
                break
            beat()
        return SweepReport(done=done, left=len(events) - done - failed, failed=failed)

    async def _deliver(self, event: InboxEvent, asked_about: set[str]) -> bool:
        """True when the event's wait is over, False when it failed and comes again. ``asked_about`` are the payments of
        whose reversals an event that was read together with this one has told already.

        Raises FlowUnavailable or LedgerUnavailable when a part is down; the event stays in the inbox.
        """
        try:
            state, reason = await self._handle(event, asked_about)
        except Malformed as error:
            state, reason = "quarantined", str(error)
            _log.error("The event %s (%s) is quarantined: %s", event.event_id, event.type, error)
        except FlowUnavailable as error:
            await inbox.postpone_event(self._engine, event, reason=str(error), own_failure=False)
            raise
        except LedgerUnavailable:
            raise
        except Exception as error:
            # Whatever is wrong with one event: it must not stay at the head of the line and keep all others waiting.
            return await self._fail(event, error)
        await inbox.close_event(self._engine, event.event_id, state=state, reason=reason)
        return True

    async def _fail(self, event: InboxEvent, error: Exception) -> bool:
        if event.attempts + 1 < POISONED_AFTER:
            _log.warning("The event %s (%s) failed and comes again.", event.event_id, event.type, exc_info=error)
            await inbox.postpone_event(self._engine, event, reason=_words(error), own_failure=True)
            return False
        reason = f"failed {event.attempts + 1} times, at last: {_words(error)}"
        _log.error("The event %s (%s) is quarantined: it %s", event.event_id, event.type, reason, exc_info=error)
        await inbox.close_event(self._engine, event.event_id, state="quarantined", reason=reason)
        return True

    async def _handle(self, event: InboxEvent, asked_about: set[str]) -> tuple[str, str | None]:
        match event.type:
            case "billing.credit_grant.created":
                return await self._credit_grant_created(event)
            case kind if kind in PAYMENT_EVENTS:
                return await self._payments.payment(event)
            case kind if kind in REVERSAL_EVENTS:
                return await self._payments.reversal(event, asked_about)
            case kind if kind in CUSTOMER_EVENTS:
                return await self._payments.customer(event)
            case _:
                return "ignored", "no part of ours waits for this type"

    async def _credit_grant_created(self, event: InboxEvent) -> tuple[str, str | None]:
        stripe_grant_id, operation_id = _credit_grant(event)
        if operation_id is None or not 1 <= len(operation_id) <= OPERATION_ID_LONGEST:
            return "ignored", "a credit grant that was not made by us"
        confirmation = StripeGrantConfirmation(stripe_grant_id=stripe_grant_id, event_id=event.event_id)
        if await self._flows.confirm_grant(operation_id, confirmation):
            return "processed", None
        return await self._confirm_without_workflow(operation_id, stripe_grant_id)

    async def _confirm_without_workflow(self, operation_id: str, stripe_grant_id: str) -> tuple[str, str | None]:
        """No workflow waits: the pump made the mirror, or the workflow has ended. The row takes the news itself."""
        try:
            grant = await granting.find_grant(self._engine, operation_id)
        except UnknownGrant:
            return "ignored", f"the ledger has no grant {operation_id}"
        change = StageChange(operation_id, GrantStage.CONFIRMED, stripe_grant_id=stripe_grant_id)
        await mirroring.change_stage(self._engine, change)
        return "processed", None if grant.stage not in CLOSED_STAGES else f"the grant was {grant.stage} before"


def _words(error: Exception) -> str:
    """The error as an operator reads it beside the event; a database's can be pages long."""
    return f"{type(error).__name__}: {error}"[:REASON_LONGEST]


def _credit_grant(event: InboxEvent) -> tuple[str, str | None]:
    """The ids in a credit grant's event: Stripe's, and ours from the metadata."""
    grant = object_of(event)
    metadata = grant.get("metadata") or {}
    operation_id = metadata.get("operationId") if isinstance(metadata, dict) else None
    if operation_id is not None and not isinstance(operation_id, str):
        raise Malformed("metadata.operationId is no text")
    return grant["id"], operation_id
