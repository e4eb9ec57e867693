"""A payment on its way to its end, whichever workflow carries it: asked of Stripe, granted once, told to its owner."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from messages import names
from messages.grant_steps import GrantLedgerSteps
from messages.grants import GrantOrder, GrantStage
from messages.payment_steps import PaymentLedgerSteps, PaymentStripeSteps
from messages.payments import (
    Decline,
    NoticeKind,
    NoticeOrder,
    Payment,
    PaymentError,
    PaymentEvent,
    PaymentId,
    PaymentIntentId,
    PaymentKind,
    PaymentNews,
    PaymentState,
    PaymentStatus,
    StripePayment,
    SwitchOff,
    TopUpOutcome,
    grant_order,
    resumed_order,
)
from messages.reversals import ReversalOrder, ReversalTarget
from workflows import patience
from workflows.calls import at_stripe, in_ledger
from workflows.payment_words import added, authentication, bought, declined, reversed_late, wrong_amount

Listener = Callable[[TopUpOutcome], None]


class Carrier:
    """Carries payments. ``_heard`` counts the webhooks that told of one: each is a reason to ask Stripe. Those of which
    ``_asked`` knows have been asked about, so that one that comes while something else is done is not lost.

    ``on_outcome`` hears as soon as credits are there, or it is clear that there will be none. ``is_urgent`` says that
    somebody waits for this payment to be settled: Stripe is asked then, and its webhook not waited for. ``resumed``: an
    auto top-up whose account may have another one under way by now, so that this one is no longer the unsettled one.

    ``with_bank`` is set while a bank takes its time over a payment whose credits were given.
    """

    def __init__(
        self, on_outcome: Listener, *, is_urgent: Callable[[], bool] = lambda: False, resumed: bool = False
    ) -> None:
        self._on_outcome = on_outcome
        self._is_urgent = is_urgent
        self._resumed = resumed
        self.with_bank = False
        self._heard = 0
        self._asked = 0

    def hear(self, event: PaymentEvent) -> None:
        """A webhook told of the payment."""
        workflow.logger.info("told by %s", event.event_id)
        self._heard += 1

    async def settle(self, payment: Payment, seen: StripePayment) -> Payment:
        """Does what follows from how the payment stands at Stripe, and waits until it has come to an end, or waits for
        its owner; answers with the payment."""
        look = patience.FIRST_BANK_LOOK
        confirmed = False
        while True:
            payment = await self._take(payment, seen, confirmed=confirmed)
            self.with_bank = payment.state is PaymentState.PROCESSING
            if payment.state not in (PaymentState.PROCESSING, PaymentState.SUCCEEDED):
                return payment
            succeeded = payment.state is PaymentState.SUCCEEDED
            await self.wait(patience.WEBHOOK if succeeded else look, urgent=succeeded)
            look = min(2 * look, patience.LONGEST_BANK_LOOK)
            # Told by the webhook or not, what counts is what Stripe says now.
            confirmed = succeeded
            seen = await self.ask(seen.payment_intent_id)

    async def wait(self, longest: timedelta, *, urgent: bool = False) -> bool:
        """Waits for a webhook that nobody has asked about yet, so long at most, and where ``urgent`` not if somebody is
        in a hurry; False where the time has passed."""
        try:
            await workflow.wait_condition(
                lambda: self._heard > self._asked or (urgent and self._is_urgent()),
                timeout=longest,
                timeout_summary="then Stripe is asked",
            )
        except TimeoutError:
            return False
        return True

    def asks(self) -> None:
        """Stripe is asked now: what was told until now is in its answer."""
        self._asked = self._heard

    async def ask(self, payment_intent_id: str) -> StripePayment:
        """How the payment stands at Stripe now."""
        self.asks()
        return await at_stripe(
            PaymentStripeSteps.retrieve_payment, PaymentIntentId(payment_intent_id), summary="how does it stand?"
        )

    async def fail(
        self, payment: Payment, error: PaymentError, message: str, decline: Decline | None = None
    ) -> Payment:
        """The payment gives no credits: its owner is told, and auto top-up is switched off where it was one."""
        news = PaymentNews(payment.operation_id, PaymentState.FAILED, error=error, message=message, decline=decline)
        failed = await in_ledger(PaymentLedgerSteps.record_payment, news)
        await self._tell_failure(payment, error, message)
        return failed

    async def _take(self, payment: Payment, seen: StripePayment, *, confirmed: bool) -> Payment:
        match seen.status:
            case PaymentStatus.SUCCEEDED:
                return await self._paid(payment, seen, confirmed=confirmed)
            case PaymentStatus.PROCESSING:
                return await self._processing(payment, seen)
            case PaymentStatus.REQUIRES_ACTION if payment.kind is PaymentKind.PURCHASE:
                return await self._record(payment, seen, PaymentState.REQUIRES_ACTION, url=seen.redirect_url)
            case PaymentStatus.REQUIRES_ACTION if not self._is_aside(payment):
                return await self._wants_authentication(payment, seen)
            case PaymentStatus.REQUIRES_ACTION:
                return await self._still_waits(payment, seen)
            case _:
                return await self._unpaid(payment, seen)

    async def _paid(self, payment: Payment, seen: StripePayment, *, confirmed: bool) -> Payment:
        if seen.received_cents < payment.amount_cents:
            workflow.logger.error(
                "%s brought %s, not %s", seen.payment_intent_id, seen.received_cents, payment.amount_cents
            )
            payment = await self._record(payment, seen, payment.state)
            return await self.fail(payment, PaymentError.WRONG_AMOUNT, wrong_amount(payment, seen))
        came_back = payment.granted and payment.state is PaymentState.FAILED
        ended = confirmed or self._is_aside(payment) or payment.kind is PaymentKind.PURCHASE
        payment = await self._grant(payment, seen)
        payment = await self._record(payment, seen, PaymentState.PAID if ended else PaymentState.SUCCEEDED)
        if seen.disputed_or_refunded or came_back:
            await self._look_at_reversals(payment, seen.payment_intent_id)
        return payment

    async def _processing(self, payment: Payment, seen: StripePayment) -> Payment:
        if payment.kind is PaymentKind.AUTO_TOPUP and not self._is_aside(payment):
            payment = await self._grant(payment, seen)
            return await self._record(payment, seen, PaymentState.PROCESSING)
        if self._is_aside(payment):
            return await self._record(payment, seen, PaymentState.REQUIRES_ACTION, url=payment.url)
        return await self._record(payment, seen, PaymentState.PROCESSING)

    async def _unpaid(self, payment: Payment, seen: StripePayment) -> Payment:
        if payment.granted and payment.error == PaymentError.REVERSED:
            # It was taken back when it failed, and its owner was told how much.
            return payment
        if payment.granted:
            return await self._take_back(payment, seen)
        decline = seen.decline or Decline("The payment was not made.")
        if payment.kind is PaymentKind.PURCHASE:
            return await self._record_decline(payment, seen, PaymentError.PURCHASE_DECLINED, decline)
        if self._is_aside(payment):
            return await self._still_waits(payment, seen)
        if decline.authentication_required and seen.payment_intent_id:
            return await self._wants_authentication(payment, seen)
        return await self._record_decline(payment, seen, PaymentError.DECLINED, decline)

    async def _record_decline(
        self, payment: Payment, seen: StripePayment, error: PaymentError, decline: Decline
    ) -> Payment:
        if seen.payment_intent_id:
            payment = await self._record(payment, seen, payment.state)
        return await self.fail(payment, error, declined(payment, decline), decline)

    async def _still_waits(self, payment: Payment, seen: StripePayment) -> Payment:
        """Its owner may try the same payment again, unless another took its place or it was canceled at Stripe."""
        if payment.state is PaymentState.FAILED:
            return payment
        if seen.status is PaymentStatus.CANCELED:
            # Nobody is switched off for it: auto top-up may be on again, with another card.
            message = declined(payment, seen.decline or Decline("It was canceled at Stripe."))
            news = PaymentNews(payment.operation_id, PaymentState.FAILED, error=PaymentError.DECLINED, message=message)
            return await in_ledger(PaymentLedgerSteps.record_payment, news)
        return await self._record(payment, seen, PaymentState.REQUIRES_ACTION, url=payment.url)

    async def _wants_authentication(self, payment: Payment, seen: StripePayment) -> Payment:
        error, message = PaymentError.AUTHENTICATION_REQUIRED, authentication(payment)
        url = authentication_path(payment.operation_id)
        news = PaymentNews(
            payment.operation_id,
            PaymentState.REQUIRES_ACTION,
            payment_intent_id=seen.payment_intent_id,
            url=url,
            error=error,
            message=message,
            decline=seen.decline,
        )
        waiting = await in_ledger(PaymentLedgerSteps.record_payment, news)
        await self._tell_failure(payment, error, message, action_url=url)
        return waiting

    async def _take_back(self, payment: Payment, seen: StripePayment) -> Payment:
        """The payment has failed after its credits were given: a reversal like any other."""
        intent = payment.payment_intent_id or seen.payment_intent_id
        target = ReversalTarget(intent, payment.amount_cents, payment.amount_cents, reason="late failure")
        reversal = await in_ledger(PaymentLedgerSteps.reverse_payment, target)
        message = reversed_late(payment, reversal)
        failed = await in_ledger(
            PaymentLedgerSteps.record_payment,
            PaymentNews(payment.operation_id, PaymentState.FAILED, error=PaymentError.REVERSED, message=message),
        )
        await self._notify(payment, NoticeKind.PAYMENT_REVERSED, message, error=PaymentError.REVERSED)
        return failed

    async def _grant(self, payment: Payment, seen: StripePayment) -> Payment:
        """Gives the credits, once, and lets the grant's own workflow carry them to Stripe."""
        if payment.granted:
            return payment
        order = grant_order(payment, seen.payment_intent_id)
        await in_ledger(GrantLedgerSteps.create_local_grant, order)
        topped_up = payment.kind is PaymentKind.AUTO_TOPUP
        self._on_outcome(TopUpOutcome(added=payment.credits))
        await self._notify(
            payment,
            NoticeKind.AUTO_TOPUP_ADDED if topped_up else NoticeKind.PURCHASE_PAID,
            added(payment) if topped_up else bought(payment),
            credits=payment.credits,
        )
        await _mirror(order)
        return await in_ledger(PaymentLedgerSteps.read_payment, PaymentId(payment.operation_id))

    async def _record(
        self, payment: Payment, seen: StripePayment, state: PaymentState, *, url: str | None = None
    ) -> Payment:
        # An auto top-up that its owner may still authenticate keeps the reason why that is needed.
        waits = state is PaymentState.REQUIRES_ACTION and self._is_aside(payment)
        return await in_ledger(
            PaymentLedgerSteps.record_payment,
            PaymentNews(
                payment.operation_id,
                state,
                payment_intent_id=seen.payment_intent_id,
                url=url,
                error=payment.error if waits else None,
                message=payment.message if waits else None,
                receipt_url=seen.receipt_url,
            ),
        )

    def _is_aside(self, payment: Payment) -> bool:
        """Whether it is an auto top-up that was parted from its account's line of attempts."""
        return self._resumed and payment.kind is PaymentKind.AUTO_TOPUP

    async def _tell_failure(
        self, payment: Payment, error: PaymentError, message: str, *, action_url: str | None = None
    ) -> None:
        if payment.kind is PaymentKind.AUTO_TOPUP:
            await self._switch_off(payment, error, message)
            kind = NoticeKind.AUTO_TOPUP_FAILED
        else:
            kind = NoticeKind.PURCHASE_FAILED
        self._on_outcome(TopUpOutcome(error=error, message=message, action_url=action_url))
        await self._notify(payment, kind, message, error=error, action_url=action_url)

    async def _switch_off(self, payment: Payment, error: PaymentError, message: str) -> None:
        await in_ledger(PaymentLedgerSteps.switch_off, SwitchOff(payment.account_id, error, message))

    async def _notify(
        self,
        payment: Payment,
        kind: NoticeKind,
        message: str,
        *,
        error: str | None = None,
        action_url: str | None = None,
        credits: int | None = None,
    ) -> None:
        notice = NoticeOrder(payment.account_id, kind, payment.operation_id, message, error, action_url, credits)
        await in_ledger(PaymentLedgerSteps.give_notice, notice)

    async def _look_at_reversals(self, payment: Payment, payment_intent_id: str) -> None:
        """Has PaymentReversalWorkflow look at the payment, which was disputed or refunded before it was confirmed."""
        await _leave_to(
            names.PAYMENT_REVERSAL_WORKFLOW,
            ReversalOrder(payment_intent_id),
            workflow_id=names.reversal_workflow_id(payment_intent_id),
            summary=f"What has gone back of {payment_intent_id}",
            of=payment,
        )


def authentication_path(operation_id: str) -> str:
    """Where on our own pages the owner authenticates the payment."""
    return f"/payments/{operation_id}/authenticate"


def done_path(operation_id: str) -> str:
    """Where Stripe leads the owner back to."""
    return f"/payments/{operation_id}/done"


async def resume(payment: Payment) -> None:
    """Has PurchaseWorkflow carry on a payment of which there is news, whatever became of it before."""
    await _leave_to(
        names.PURCHASE_WORKFLOW,
        resumed_order(payment),
        workflow_id=names.purchase_workflow_id(payment.operation_id),
        summary=f"{payment.credits:,} credits are bought",
        of=payment,
    )


async def _mirror(order: GrantOrder) -> None:
    """Starts the grant's own workflow; it finds the grant made."""
    await _leave_to(
        names.CREDIT_GRANT_WORKFLOW,
        order,
        workflow_id=names.grant_workflow_id(order.operation_id),
        summary=f"{order.credits} {order.type} credits",
        of=order,
        searched=(
            SearchAttributePair(names.GRANT_TYPE, str(order.type)),
            SearchAttributePair(names.GRANT_STAGE, str(GrantStage.LOCAL)),
        ),
        reuse=WorkflowIDReusePolicy.REJECT_DUPLICATE,
    )


async def _leave_to(
    workflow_type: str,
    order: object,
    *,
    workflow_id: str,
    summary: str,
    of: Payment | GrantOrder,
    searched: Sequence[SearchAttributePair[str]] = (),
    reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.ALLOW_DUPLICATE,
) -> None:
    """Starts a workflow that lives on by itself, unless it is there; it is found by whom and what it is ``of``."""
    try:
        await workflow.start_child_workflow(
            workflow_type,
            order,
            id=workflow_id,
            id_reuse_policy=reuse,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=summary,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(names.ACCOUNT_ID, of.account_id),
                    SearchAttributePair(names.OPERATION_ID, of.operation_id),
                    *searched,
                ]
            ),
        )
    except WorkflowAlreadyStartedError:
        workflow.logger.info("%s is there already", workflow_id)
