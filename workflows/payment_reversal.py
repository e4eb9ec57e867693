"""PaymentReversalWorkflow: what has gone back of a payment is taken back of its credits.

Refunds and disputes come in any order, and any number of times. None of them says what to do: each is a reason to ask
Stripe how the money stands now, and only the difference to what is booked is booked.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from messages import names
from messages.failures import Failure
from messages.payment_steps import PaymentLedgerSteps, PaymentStripeSteps
from messages.payments import NoticeKind, NoticeOrder, PaymentError, PaymentEvent, PaymentIntentId
from messages.reversals import PaymentStanding, Reversal, ReversalOrder, ReversalTarget
from workflows import patience
from workflows.calls import at_stripe, in_ledger
from workflows.payment_words import reversed_words


@workflow.defn(name=names.PAYMENT_REVERSAL_WORKFLOW)
class PaymentReversalWorkflow:
    """One payment's way back, for as long as there is news of it."""

    @workflow.init
    def __init__(self, order: ReversalOrder) -> None:
        self._payment_id = order.payment_intent_id
        self._heard = 0
        self._doing = "Asking Stripe how much of the payment has gone back."

    @workflow.run
    async def run(self, order: ReversalOrder) -> Reversal | None:
        """Brings the books to what Stripe says, until nothing more is heard; None where there was nothing to bring."""
        until = workflow.now() + patience.GRANT
        look, pause = patience.GRANT_LOOK, patience.NEWS
        while True:
            heard = self._heard
            standing = await self._ask()
            reversal = await self._book(standing)
            if reversal is None and _is_against(target_of(standing)) and workflow.now() < until:
                self._say("Waiting for the credits of the payment, to take them back.")
                await self._wait(heard, look)
                look = min(2 * look, patience.LONGEST_GRANT_LOOK)
                continue
            await workflow.wait_condition(workflow.all_handlers_finished)
            if self._heard == heard:
                return reversal
            if workflow.info().is_continue_as_new_suggested():
                # Nothing is carried over: whatever was heard is a reason to ask, and the next run begins by asking.
                workflow.continue_as_new(order)
            await workflow.sleep(pause)
            pause = min(2 * pause, patience.LONGEST_NEWS)

    @workflow.signal(name=names.PAYMENT_CHANGED)
    def payment_changed(self, event: PaymentEvent) -> None:
        """Stripe's webhook tells of a refund or a dispute: a reason to ask, and no more."""
        self._heard += 1

    @workflow.query(name=names.STATUS)
    def status(self) -> str:
        """What the workflow is doing, in words."""
        return self._doing

    async def _ask(self) -> PaymentStanding:
        return await at_stripe(
            PaymentStripeSteps.retrieve_standing, PaymentIntentId(self._payment_id), summary="how much has gone back?"
        )

    async def _book(self, standing: PaymentStanding) -> Reversal | None:
        """None where the payment has given no credits (yet), or where it failed: who carries it sees to that."""
        if standing.failed or standing.paid_cents == 0:
            return None
        target = target_of(standing)
        try:
            reversal = await in_ledger(PaymentLedgerSteps.reverse_payment, target)
        except ApplicationError as error:
            if error.type != Failure.UNKNOWN_PAYMENT:
                raise
            return None
        if reversal.changes:
            await self._tell(reversal, target)
        self._say(f"Booked: {reversal.reversed_credits:,} credits reversed, {reversal.frozen_credits:,} frozen.")
        return reversal

    async def _tell(self, reversal: Reversal, target: ReversalTarget) -> None:
        """Tells each change once, and one that was booked before as well: its answer may have been lost.

        What such a change has done is not known any more; that money is gone or frozen now is said as a reversal.
        """
        against = reversal.against if reversal.changed else _is_against(target)
        await in_ledger(
            PaymentLedgerSteps.give_notice,
            NoticeOrder(
                account_id=reversal.account_id,
                kind=NoticeKind.PAYMENT_REVERSED,
                subject=f"{self._payment_id}/{reversal.changes}",
                message=reversed_words(reversal, target, against=against),
                error=PaymentError.REVERSED if against else None,
            ),
        )

    async def _wait(self, heard: int, longest: timedelta) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._heard > heard, timeout=longest, timeout_summary="then it is looked for again"
            )
        except TimeoutError:
            return

    def _say(self, words: str) -> None:
        if words == self._doing:
            return
        self._doing = words
        workflow.set_current_details(words)
        workflow.upsert_memo({"details": words})


def target_of(standing: PaymentStanding) -> ReversalTarget:
    """What is to be booked in all: what went back, and what is frozen while a dispute is open and nothing withdrawn."""
    paid = standing.paid_cents
    withdrawn = standing.withdrawn_cents - standing.reinstated_cents
    gone = min(paid, max(0, standing.refunded_cents + withdrawn))
    frozen = paid - gone if standing.dispute_open and withdrawn <= 0 else 0
    return ReversalTarget(standing.payment_intent_id, paid, gone, frozen, _reason(standing))


def _is_against(target: ReversalTarget) -> bool:
    return bool(target.reversed_cents or target.frozen_cents)


def _reason(standing: PaymentStanding) -> str:
    disputed = standing.dispute_open or standing.withdrawn_cents
    if disputed and standing.refunded_cents:
        return "refund and dispute"
    return "dispute" if disputed else "refund"
