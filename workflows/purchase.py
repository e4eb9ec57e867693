"""PurchaseWorkflow: credits are bought with the saved card or on a hosted page, and granted when they are paid.

It also carries on any payment that no workflow carries any more: one that its owner authenticates later, or that a
webhook tells of after everybody had gone.
"""

from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from messages import names
from messages.checkouts import CheckoutId, CheckoutRequest
from messages.payment_steps import PaymentLedgerSteps, PaymentStripeSteps
from messages.payments import (
    Authentication,
    Payment,
    PaymentError,
    PaymentEvent,
    PaymentId,
    PaymentKind,
    PaymentNews,
    PaymentState,
    PaymentStatus,
    PurchaseOrder,
    StripePayment,
    TopUpOutcome,
)
from workflows import patience
from workflows.calls import at_stripe, in_ledger
from workflows.carrying import Carrier, done_path
from workflows.charging import charge_once, decline_of, look_for, usable_method
from workflows.customers import customer_of
from workflows.payment_words import abandoned, declined, money, outage
from workflows.refusals import benign


@workflow.defn(name=names.PURCHASE_WORKFLOW)
class PurchaseWorkflow:
    """One payment, to its end. Its row is the truth: a run can take over anywhere."""

    @workflow.init
    def __init__(self, order: PurchaseOrder) -> None:
        self._order = order
        self._payment: Payment | None = None
        self._begun = False
        self._refused: ApplicationError | None = None
        self._carrier = Carrier(_nobody_waits, resumed=order.resume)
        self._authentications = 0
        self._doing = "Begins."

    @workflow.run
    async def run(self, order: PurchaseOrder) -> Payment:
        """Carries the payment to its end. An order that the ledger refuses fails the run, benignly."""
        try:
            payment = await self._opened(order)
        except ApplicationError as error:
            self._refused = benign(error, order.request_id)
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise self._refused from error
        payment = self._stands(await self._begin(payment))
        self._begun = True
        payment = self._stands(await self._wait_for_owner(payment))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return payment

    @workflow.update(name=names.BEGIN_PURCHASE)
    async def begin_purchase(self) -> Payment:
        """Answers when it is known what has become of the payment, or what its owner has to do."""
        await workflow.wait_condition(lambda: self._begun or self._refused is not None)
        if self._payment is None:
            raise self._refused or ApplicationError("The purchase ended without an answer.")
        return self._payment

    @workflow.update(name=names.AUTHENTICATE)
    async def authenticate(self) -> Payment:
        """The owner is there, and goes to the ``url`` of the answer to authenticate the payment."""
        await workflow.wait_condition(lambda: self._begun or self._refused is not None)
        payment = self._payment
        if payment is None or payment.payment_intent_id is None or payment.payment_method_id is None:
            raise ApplicationError("There is nothing to authenticate.", type="nothing-to-authenticate")
        if payment.state is not PaymentState.REQUIRES_ACTION:
            return payment
        self._authentications += 1
        seen = await self._authenticate(payment.payment_intent_id, payment.payment_method_id)
        if seen.status is PaymentStatus.REQUIRES_ACTION:
            return replace(payment, url=seen.redirect_url)
        self._carrier.hear(PaymentEvent("authenticate"))
        return replace(payment, url=None)

    @workflow.signal(name=names.PAYMENT_SUCCEEDED)
    def payment_succeeded(self, event: PaymentEvent) -> None:
        """Stripe's webhook tells of the payment, or of its hosted page."""
        self._carrier.hear(event)

    @workflow.signal(name=names.PAYMENT_FAILED)
    def payment_failed(self, event: PaymentEvent) -> None:
        """Stripe's webhook tells of the payment; what has become of it is asked."""
        self._carrier.hear(event)

    @workflow.query(name=names.STATUS)
    def status(self) -> str:
        """What the workflow is doing, in words."""
        return self._doing

    async def _opened(self, order: PurchaseOrder) -> Payment:
        if order.resume:
            return await in_ledger(PaymentLedgerSteps.read_payment, PaymentId(order.operation_id))
        return await in_ledger(PaymentLedgerSteps.open_purchase, order)

    async def _begin(self, payment: Payment) -> Payment:
        """As far as it goes without its owner."""
        if payment.payment_intent_id is not None:
            return await self._settle_begun(payment, await self._carrier.ask(payment.payment_intent_id))
        if payment.checkout_session_id is not None:
            return payment
        if payment.state is PaymentState.FAILED:
            return await self._look_again(payment)
        price = f"{payment.credits:,} credits for {money(payment.amount_cents, payment.currency)}"
        self._say(f"Waiting for Stripe to charge {price}.")
        try:
            customer = await customer_of(payment.account_id, patience=patience.CARDHOLDER)
            method = None if customer is None else await usable_method(payment, customer, patience=patience.CARDHOLDER)
        except ActivityError as error:
            return await self._not_begun(payment, error)
        if customer is None:
            return await self._carrier.fail(payment, PaymentError.PURCHASE_OUTAGE, outage(payment))
        if method is None:
            return await self._open_checkout(payment, customer)
        made = await charge_once(payment, customer=customer, method=method, return_url=done_path(payment.operation_id))
        if made is None:
            return await self._carrier.fail(payment, PaymentError.PURCHASE_OUTAGE, outage(payment))
        return await self._settle_begun(payment, made)

    async def _not_begun(self, payment: Payment, error: ActivityError) -> Payment:
        """Stripe has refused what comes before a payment, or was not reached for it: there can't be one."""
        workflow.logger.warning("%s was not begun: %s", payment.operation_id, error.cause)
        decline = decline_of(error)
        if decline is None:
            return await self._carrier.fail(payment, PaymentError.PURCHASE_OUTAGE, outage(payment))
        message = declined(payment, decline)
        return await self._carrier.fail(payment, PaymentError.PURCHASE_DECLINED, message, decline)

    async def _look_again(self, payment: Payment) -> Payment:
        """A payment that was given up in an outage, and that a webhook tells of: Stripe may have made it after all."""
        customer = await customer_of(payment.account_id)
        made = None if customer is None else await look_for(payment, customer)
        return payment if made is None else await self._settle_begun(payment, made)

    async def _settle_begun(self, payment: Payment, made: StripePayment) -> Payment:
        """The caller is answered before a bank that takes its time."""
        if made.status is PaymentStatus.PROCESSING:
            self._stands(replace(payment, state=PaymentState.PROCESSING, payment_intent_id=made.payment_intent_id))
            self._begun = True
        return await self._carrier.settle(payment, made)

    async def _open_checkout(self, payment: Payment, customer: str) -> Payment:
        request = CheckoutRequest(
            operation_id=payment.operation_id,
            account_id=payment.account_id,
            credits=payment.credits,
            amount_cents=payment.amount_cents,
            currency=payment.currency,
            stripe_customer_id=customer,
            idempotency_key=f"checkout-{payment.idempotency_key}",
            success_url=done_path(payment.operation_id),
            cancel_url=f"/payments/{payment.operation_id}/canceled",
        )
        try:
            page = await at_stripe(
                PaymentStripeSteps.open_checkout, request, summary="a hosted page", patience=patience.CARDHOLDER
            )
        except ActivityError as error:
            # Nobody has seen the page, so nobody can have paid on it.
            return await self._not_begun(payment, error)
        return await in_ledger(
            PaymentLedgerSteps.record_payment,
            PaymentNews(
                payment.operation_id,
                PaymentState.REQUIRES_ACTION,
                checkout_session_id=page.checkout_session_id,
                url=page.url,
            ),
        )

    async def _wait_for_owner(self, payment: Payment) -> Payment:
        """Looks after each webhook, and by itself less and less often, what the owner has done; one who does nothing
        has a day."""
        until = workflow.now() + patience.OWNER
        look = patience.OWNER_LOOK
        while payment.state is PaymentState.REQUIRES_ACTION:
            self._say("Waiting for the owner to pay or to authenticate.")
            told = await self._carrier.wait(look)
            if not told:
                # Only a look of its own makes them fewer: somebody who tells of nothing again and again does not.
                look = min(2 * look, patience.LONGEST_OWNER_LOOK)
            self._carrier.asks()
            seen = await self._look(payment)
            if seen is not None:
                payment = self._stands(await self._carrier.settle(payment, seen))
            elif payment.kind is PaymentKind.PURCHASE and await self._has_closed(payment):
                payment = await self._carrier.fail(payment, PaymentError.PURCHASE_ABANDONED, abandoned(payment))
            if not told and workflow.now() >= until:
                # A webhook that still comes begins anew.
                break
        return payment

    async def _look(self, payment: Payment) -> StripePayment | None:
        """The payment at Stripe, if there is one by now."""
        intent = payment.payment_intent_id
        if intent is None and payment.checkout_session_id is not None:
            page = await at_stripe(
                PaymentStripeSteps.retrieve_checkout,
                CheckoutId(payment.checkout_session_id),
                summary="has the owner paid?",
            )
            intent = page.payment_intent_id if page.status == "complete" else None
        return None if intent is None else await self._carrier.ask(intent)

    async def _has_closed(self, payment: Payment) -> bool:
        """Whether the hosted page is closed, and nobody has paid on it."""
        if payment.checkout_session_id is None:
            return False
        page = await at_stripe(
            PaymentStripeSteps.retrieve_checkout, CheckoutId(payment.checkout_session_id), summary="is it closed?"
        )
        return page.status == "expired"

    async def _authenticate(self, payment_intent_id: str, payment_method_id: str) -> StripePayment:
        operation_id = self._order.operation_id
        try:
            return await at_stripe(
                PaymentStripeSteps.authenticate_payment,
                Authentication(
                    payment_intent_id=payment_intent_id,
                    payment_method_id=payment_method_id,
                    # Each visit is a try of its own: the redirect of an earlier one may have been used up.
                    idempotency_key=f"authenticate-{operation_id}-{workflow.info().run_id}-{self._authentications}",
                    return_url=done_path(operation_id),
                ),
                summary="the owner authenticates",
                patience=patience.CARDHOLDER,
            )
        except ActivityError as error:
            raise ApplicationError(f"Stripe does not answer: {error.cause}", type="stripe-outage") from error

    def _stands(self, payment: Payment) -> Payment:
        self._payment = payment
        self._say(f"The payment of {payment.credits:,} credits is {payment.state}.")
        return payment

    def _say(self, words: str) -> None:
        self._doing = words
        workflow.set_current_details(words)
        workflow.upsert_memo({"details": words})


def _nobody_waits(_: TopUpOutcome) -> None:
    """A purchase's caller reads the payment itself."""
