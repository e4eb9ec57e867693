"""AutoTopupWorkflow: the balance of one account is topped up, one attempt at a time."""

from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError

from messages import names
from messages.payment_steps import PaymentLedgerSteps
from messages.payments import (
    NoticeKind,
    NoticeOrder,
    Payment,
    PaymentError,
    PaymentEvent,
    PaymentId,
    PaymentIntentId,
    PaymentNews,
    PaymentState,
    PaymentStatus,
    TopUpDecision,
    TopUpDemand,
    TopUpOrder,
    TopUpOutcome,
    TopUpQuestion,
)
from workflows import patience
from workflows.calls import in_ledger
from workflows.carrying import Carrier, resume
from workflows.charging import cancel_once, charge_once, decline_of, usable_method
from workflows.customers import customer_of
from workflows.payment_words import declined, limit_reached, money, no_method


@dataclass
class _Waiting:
    """A demand, and what came of it once that is known; ``in_line``: a request waits for it."""

    demand: TopUpDemand
    in_line: bool = False
    outcome: TopUpOutcome | None = None


@workflow.defn(name=names.AUTO_TOPUP_WORKFLOW)
class AutoTopupWorkflow:
    """Answers demands for as long as there are any. The attempt's row is the truth: a run can take over anywhere."""

    @workflow.init
    def __init__(self, order: TopUpOrder) -> None:
        self._account_id = order.account_id
        self._waiting: list[_Waiting] = []
        self._hurries = False
        self._carrier = Carrier(self._answer, is_urgent=self._somebody_waits)
        self._doing = "Begins."

    @workflow.run
    async def run(self, order: TopUpOrder) -> str:
        """Decides, charges, grants and waits for the confirmation, until nobody wants more."""
        self._hurries = workflow.patched("requests-hurry")
        self._say("Looks whether the balance is below the threshold.")
        while True:
            await self._round()
            if not self._waiting:
                await workflow.wait_condition(workflow.all_handlers_finished)
            if not self._waiting:
                return self._doing
            if workflow.info().is_continue_as_new_suggested():
                self._answer(TopUpOutcome(message="Ask again."))
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(order)

    @workflow.signal(name=names.TOP_UP_WANTED)
    def top_up_wanted(self, demand: TopUpDemand) -> None:
        """The balance has fallen below the threshold, as far as the sender knows."""
        self._waiting.append(_Waiting(demand))

    @workflow.update(name=names.TOP_UP)
    async def top_up(self, demand: TopUpDemand) -> TopUpOutcome:
        """A request waits for credits; it is answered as soon as they are there, or will not be."""
        mine = _Waiting(demand, in_line=True)
        self._waiting.append(mine)
        try:
            await workflow.wait_condition(
                lambda: mine.outcome is not None or self._nothing_comes_soon(),
                timeout=patience.IN_LINE,
                timeout_summary="then the request is refused",
            )
        except TimeoutError:
            mine.outcome = TopUpOutcome(message="The top-up is under way and takes longer.")
        if mine.outcome is None:
            mine.outcome = TopUpOutcome(message="The latest top-up's bank has not answered; the next one waits.")
        return mine.outcome

    @workflow.signal(name=names.PAYMENT_SUCCEEDED)
    def payment_succeeded(self, event: PaymentEvent) -> None:
        """Stripe's webhook tells of the attempt's payment."""
        self._carrier.hear(event)

    @workflow.signal(name=names.PAYMENT_FAILED)
    def payment_failed(self, event: PaymentEvent) -> None:
        """Stripe's webhook tells of the attempt's payment; what has become of it is asked."""
        self._carrier.hear(event)

    @workflow.query(name=names.STATUS)
    def status(self) -> str:
        """What the workflow is doing, in words."""
        return self._doing

    async def _round(self) -> None:
        """One decision, and the attempt that follows from it."""
        decided, self._waiting = self._waiting, []
        demands = [each.demand for each in decided if each.outcome is None]
        decision = await in_ledger(
            PaymentLedgerSteps.open_top_up,
            TopUpQuestion(
                account_id=self._account_id,
                operation_id=f"auto-topup-{workflow.uuid4()}",
                needs=[need for demand in demands for need in demand.needs()],
                request_id=next((demand.request_id for demand in demands if demand.request_id), "auto-topup"),
            ),
        )
        if decision.payment is None:
            await self._none(decision)
            # Whoever has come since may need more than these: another decision is due.
            _tell(decided, TopUpOutcome(error=decision.error, message=decision.reason))
            self._say(f"Nothing to do: {decision.reason}.")
            return
        # Whoever comes while this attempt is under way is answered with it.
        self._waiting = decided + self._waiting
        paid_before = await self._cancel(decision.superseded)
        if paid_before:
            payment = await self._step_aside(decision.payment, paid_before)
        else:
            payment = await self._carry(decision.payment)
        if not payment.granted:
            self._answer(TopUpOutcome(error=payment.error, message=payment.message or ""))
        # Whoever came after the credits were given may need more: another decision is due.
        self._say(f"Done: the top-up of {payment.credits:,} credits is {payment.state}.")

    async def _none(self, decision: TopUpDecision) -> None:
        if decision.error is not None:
            await in_ledger(
                PaymentLedgerSteps.give_notice,
                NoticeOrder(
                    account_id=self._account_id,
                    kind=NoticeKind.AUTO_TOPUP_FAILED,
                    subject=decision.subject,
                    message=limit_reached(),
                    error=decision.error,
                ),
            )

    async def _cancel(self, superseded: list[str]) -> list[str]:
        """Cancels the payments whose place the attempt takes, so that nobody pays both. The operation ids of those that
        were paid before."""
        paid = []
        for payment_intent_id in superseded:
            stands = await cancel_once(payment_intent_id)
            await in_ledger(PaymentLedgerSteps.record_canceled, PaymentIntentId(payment_intent_id))
            if stands is None:
                continue
            if stands.status in (PaymentStatus.SUCCEEDED, PaymentStatus.PROCESSING) and stands.operation_id is not None:
                paid.append(stands.operation_id)
        return paid

    async def _step_aside(self, payment: Payment, paid_before: list[str]) -> Payment:
        """Nothing is charged: one before was paid after all, and gives its credits. If they are not enough, the sweep
        has the next decision made."""
        for operation_id in paid_before:
            await resume(await in_ledger(PaymentLedgerSteps.read_payment, PaymentId(operation_id)))
        message = "The top-up before it was paid after all; nothing was charged."
        self._answer(TopUpOutcome(message=message))
        news = PaymentNews(payment.operation_id, PaymentState.FAILED, error=PaymentError.SUPERSEDED, message=message)
        return await in_ledger(PaymentLedgerSteps.record_payment, news)

    async def _carry(self, payment: Payment) -> Payment:
        price = f"{payment.credits:,} credits for {money(payment.amount_cents, payment.currency)}"
        if payment.payment_intent_id is not None:
            self._say(f"Carries on an attempt: {price}. Asks Stripe how it stands.")
            return await self._carrier.settle(payment, await self._carrier.ask(payment.payment_intent_id))
        self._say(f"Waiting for Stripe to charge {price}; tried through outages, never twice.")
        try:
            customer = await customer_of(self._account_id)
            method = None if customer is None else await usable_method(payment, customer)
        except ActivityError as error:
            decline = decline_of(error)
            if decline is None or payment.payment_method_id is not None:
                raise
            # Without a method no charge was ever tried.
            return await self._carrier.fail(payment, PaymentError.DECLINED, declined(payment, decline), decline)
        if customer is None or method is None:
            return await self._carrier.fail(payment, PaymentError.NO_PAYMENT_METHOD, no_method(payment))
        made = await charge_once(payment, customer=customer, method=method, return_url=None)
        if made is None:
            return await self._give_up(payment)
        self._say(f"Charged {price}. Waiting for Stripe's webhook; if it does not come, Stripe is asked.")
        return await self._carrier.settle(payment, made)

    async def _give_up(self, payment: Payment) -> Payment:
        """Nothing was charged, and nobody wants it any more: its owner knows why."""
        news = PaymentNews(
            payment.operation_id,
            PaymentState.FAILED,
            error=PaymentError.UNWANTED,
            message="Auto top-up was switched off before Stripe could be reached; nothing was charged.",
        )
        return await in_ledger(PaymentLedgerSteps.record_payment, news)

    def _somebody_waits(self) -> bool:
        """Whether a request waits that the attempt under way has not helped."""
        return self._hurries and any(each.in_line and each.outcome is None for each in self._waiting)

    def _nothing_comes_soon(self) -> bool:
        """Whether a bank takes its time over an attempt whose credits were given: days, perhaps."""
        return self._hurries and self._carrier.with_bank

    def _answer(self, outcome: TopUpOutcome) -> None:
        """Everybody who waits now is told."""
        waiting, self._waiting = self._waiting, []
        _tell(waiting, outcome)

    def _say(self, words: str) -> None:
        self._doing = words
        workflow.set_current_details(words)
        workflow.upsert_memo({"details": words})


def _tell(waiting: list[_Waiting], outcome: TopUpOutcome) -> None:
    for each in waiting:
        each.outcome = each.outcome or outcome
