"""The sweeps: bounded pages of work that a crash or an outage left behind, or that is paced on purpose."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.delivery import InboxDelivery
from activities.grant_stripe import close_at_stripe
from gateways.stripe.errors import StripeError, StripeOutage, StripeOutcomeUnknown
from gateways.stripe.gateway import StripeGateway
from gateways.temporal.flows import Flows, FlowUnavailable
from ledger import customers, granting, mirroring
from messages.customers import CustomerRequest
from messages.grants import GrantStage, MirrorClosing, MirrorRequest, StageChange
from messages.sweep_steps import SweepSteps
from messages.sweeps import SweepReport

_log = logging.getLogger(__name__)
Item = TypeVar("Item")

# A fifth of the 25 requests a second that Stripe allows on an endpoint: payments go first.
STRIPE_PAUSE_SECONDS = 1 / 5
# What five a second can do within one tick of a minute.
STRIPE_PAGE = 250
INBOX_PAGE = 500


class Sweeps(SweepSteps):
    """See :class:`messages.sweep_steps.SweepSteps` for what each sweep does."""

    def __init__(self, engine: AsyncEngine, stripe: StripeGateway, flows: Flows) -> None:
        self._engine = engine
        self._stripe = stripe
        self._flows = flows
        self._delivery = InboxDelivery(engine, flows)

    async def deliver_inbox(self) -> SweepReport:
        return await self._delivery.deliver_due(limit=INBOX_PAGE, beat=activity.heartbeat)

    async def create_missing_customers(self) -> SweepReport:
        missing = await customers.accounts_without_customer(self._engine, limit=STRIPE_PAGE)
        return await _paced(missing, self._create_customer)

    async def pump_mirrors(self) -> SweepReport:
        work = await mirroring.pump_work(self._engine, limit=STRIPE_PAGE)
        for operation_id in work.late:
            await self._hand_over(operation_id)
            activity.heartbeat()
        return await _paced(work.to_mirror, self._mirror)

    async def close_mirrors(self) -> SweepReport:
        spent = await mirroring.spent_mirrors(self._engine, limit=STRIPE_PAGE)
        return await _paced(spent, self._close)

    async def _create_customer(self, request: CustomerRequest) -> None:
        try:
            customer = await self._stripe.create_customer(request)
        except StripeOutcomeUnknown:
            await customers.renew_customer_key(self._engine, request.account_id, used=request.idempotency_key)
            raise
        await customers.record_customer(self._engine, customer)

    async def _mirror(self, operation_id: str) -> None:
        """Mirrors one grant. What is not plain (no customer yet, a refusal, an unknown outcome) gets a workflow."""
        request = (await mirroring.prepare_mirror(self._engine, operation_id)).request
        if request is None:
            return
        try:
            made = await self._stripe.create_credit_grant(await self._with_customer(request))
        except StripeOutage:
            raise
        except StripeError as error:
            _log.warning("The grant %s gets a workflow: %s", operation_id, error)
            await self._hand_over(operation_id)
            return
        change = StageChange(operation_id, GrantStage.AWAITING_WEBHOOK, stripe_grant_id=made.stripe_grant_id)
        await mirroring.change_stage(self._engine, change)

    async def _with_customer(self, request: MirrorRequest) -> MirrorRequest:
        if request.stripe_customer_id is not None:
            return request
        await self._create_customer(await customers.prepare_customer(self._engine, request.account_id))
        known = await customers.prepare_customer(self._engine, request.account_id)
        return replace(request, stripe_customer_id=known.stripe_customer_id)

    async def _hand_over(self, operation_id: str) -> None:
        await self._flows.adopt_grant(await granting.order_of_grant(self._engine, operation_id))
        await mirroring.give_to_workflow(self._engine, operation_id)

    async def _close(self, closing: MirrorClosing) -> None:
        await close_at_stripe(self._stripe, closing)
        await mirroring.record_closing(self._engine, closing.operation_id)


async def _paced(items: Sequence[Item], do: Callable[[Item], Awaitable[None]]) -> SweepReport:
    """Does the items one by one, at Stripe's pace. An outage ends the page; an item's own failure only skips it."""
    done = failed = 0
    for item in items:
        try:
            await do(item)
            done += 1
        except (StripeOutage, FlowUnavailable) as error:
            _log.warning("The sweep ends early, the next tick goes on: %s", error)
            break
        except StripeError as error:
            _log.error("The sweep skips %s: %s", item, error)
            failed += 1
        activity.heartbeat()
        await asyncio.sleep(STRIPE_PAUSE_SECONDS)
    return SweepReport(done=done, left=len(items) - done - failed, failed=failed)
