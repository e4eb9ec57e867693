"""The sweeps: bounded pages of work that a crash or an outage left behind, or that is paced on purpose."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.delivery import InboxDelivery, Signals
from activities.grant_stripe import close_at_stripe
from activities.pages import Pages, Pause
from gateways.stripe.errors import StripeError, StripeOutage, StripeOutcomeUnknown
from gateways.stripe.gateway import StripeGateway
from ledger import customers, granting, mirroring
from ledger.paying import take_waiting_payments
from ledger.topping_up import find_crossings
from messages.customers import CustomerRequest
from messages.grants import GrantOrder, GrantStage, MirrorClosing, MirrorRequest, StageChange
from messages.payments import Payment, PaymentEvent, TopUpDemand
from messages.sweep_steps import SweepSteps
from messages.sweeps import SweepReport

_log = logging.getLogger(__name__)

# A fifth of the 25 requests a second that Stripe allows on an endpoint: payments go first.
STRIPE_PAUSE_SECONDS = 1 / 5
# What five a second can do within one tick of a minute.
STRIPE_PAGE = 250
INBOX_PAGE = 500
# A storm of ten thousand events takes two ticks; whatever else sweeps in a tick comes after.
INBOX_PAGES = 10
# A payment that has not moved for so long is looked at again: its workflow may have been lost.
PAYMENT_QUIET = timedelta(minutes=30)
# Stripe keeps a key for at least 24 hours. What has waited longer than this is looked for first, by its workflow.
KEY_LIFE = timedelta(hours=20)


class SweepFlows(Signals, Protocol):
    """What the sweeps need of Temporal."""

    async def adopt_grant(self, order: GrantOrder) -> None: ...

    async def top_up_wanted(self, account_id: str, demand: TopUpDemand) -> None: ...


class Sweeps(SweepSteps):
    """See :class:`messages.sweep_steps.SweepSteps` for what each sweep does."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe: StripeGateway,
        flows: SweepFlows,
        *,
        pause: Pause = asyncio.sleep,
        page: int = STRIPE_PAGE,
        inbox_page: int = INBOX_PAGE,
    ) -> None:
        """``pause`` waits the given seconds between two of at most ``page`` items of a sweep at Stripe; events are
        delivered by ``inbox_page``."""
        self._engine = engine
        self._stripe = stripe
        self._flows = flows
        self._delivery = InboxDelivery(engine, flows)
        self._page = page
        self._inbox_page = inbox_page
        self._crossings = Pages[str](str, size=page, pause_seconds=0, pause=pause)
        self._waiting = Pages[Payment](lambda payment: payment.operation_id, size=page, pause_seconds=0, pause=pause)
        # Where the next tick goes on; only this process remembers it.
        self._after: str | None = None
        self._customers = Pages[CustomerRequest](
            lambda request: request.account_id, size=page, pause_seconds=STRIPE_PAUSE_SECONDS, pause=pause
        )
        self._late = Pages[str](str, size=page, pause_seconds=0, pause=pause)
        self._mirrors = Pages[str](str, size=page, pause_seconds=STRIPE_PAUSE_SECONDS, pause=pause)
        self._closings = Pages[MirrorClosing](
            lambda closing: closing.operation_id, size=page, pause_seconds=STRIPE_PAUSE_SECONDS, pause=pause
        )

    async def deliver_inbox(self) -> SweepReport:
        done, page = 0, SweepReport()
        for _ in range(INBOX_PAGES):
            page = await self._delivery.deliver_due(limit=self._inbox_page, beat=activity.heartbeat)
            done += page.done
            if page.done < self._inbox_page:
                break
        return replace(page, done=done)

    async def start_top_ups(self) -> SweepReport:
        # Whoever fails is met again when the list begins anew, so that nobody has to be read on top of a page.
        crossed = await find_crossings(self._engine, after=self._after, limit=self._page)
        report = await self._crossings.do(crossed, self._start_top_up)
        if report.left:
            # Temporal is away, and what is taken now would not be taken again for long.
            return report
        self._after = crossed[-1] if len(crossed) == self._page else None
        waiting = await take_waiting_payments(self._engine, older_than=PAYMENT_QUIET, limit=self._page)
        looked_at = await self._waiting.do(waiting, self._look_at_payment)
        return SweepReport(
            done=report.done + looked_at.done,
            left=report.left + looked_at.left,
            failed=report.failed + looked_at.failed,
        )

    async def create_missing_customers(self) -> SweepReport:
        missing = await customers.accounts_without_customer(self._engine, limit=self._customers.to_read)
        return await self._customers.do(missing, self._create_customer)

    async def pump_mirrors(self) -> SweepReport:
        limit = max(self._late.to_read, self._mirrors.to_read)
        work = await mirroring.pump_work(self._engine, limit=limit)
        late = await self._late.do(work.late, self._hand_over)
        mirrored = await self._mirrors.do(work.to_mirror, self._mirror)
        return SweepReport(
            done=late.done + mirrored.done, left=late.left + mirrored.left, failed=late.failed + mirrored.failed
        )

    async def close_mirrors(self) -> SweepReport:
        spent = await mirroring.spent_mirrors(self._engine, limit=self._closings.to_read)
        return await self._closings.do(spent, self._close)

    async def _start_top_up(self, account_id: str) -> None:
        await self._flows.top_up_wanted(account_id, TopUpDemand(request_id="sweep"))

    async def _look_at_payment(self, payment: Payment) -> None:
        await self._flows.payment_changed(payment, PaymentEvent("sweep", payment.payment_intent_id))

    async def _create_customer(self, request: CustomerRequest) -> None:
        try:
            customer = await self._stripe.create_customer(request)
        except StripeOutcomeUnknown:
            await customers.renew_customer_key(self._engine, request.account_id, used=request.idempotency_key)
            raise
        await customers.record_customer(self._engine, customer)

    async def _mirror(self, operation_id: str) -> None:
        """Mirrors one grant. What is not plain (a refusal, an unknown outcome, an old key) gets a workflow."""
        request = (await mirroring.prepare_mirror(self._engine, operation_id)).request
        if request is None:
            return
        if datetime.now(UTC) - request.key_stored_at > KEY_LIFE:
            await self._hand_over(operation_id)
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
        known = await customers.prepare_customer(self._engine, request.account_id)
        if known.stripe_customer_id is None:
            await self._create_customer(known)
            known = await customers.prepare_customer(self._engine, request.account_id)
        return replace(request, stripe_customer_id=known.stripe_customer_id)

    async def _hand_over(self, operation_id: str) -> None:
        await self._flows.adopt_grant(await granting.order_of_grant(self._engine, operation_id))
        await mirroring.give_to_workflow(self._engine, operation_id)

    async def _close(self, closing: MirrorClosing) -> None:
        await close_at_stripe(self._stripe, closing)
        await mirroring.record_closing(self._engine, closing.operation_id)
