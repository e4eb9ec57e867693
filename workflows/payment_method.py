"""PaymentMethodWorkflow: a payment method is attached at Stripe and becomes the account's default."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory

from messages import names
from messages.customer_steps import PaymentMethodLedgerSteps, PaymentMethodStripeSteps
from messages.customers import DefaultPaymentMethod, PaymentMethod, PaymentMethodCall, PaymentMethodOrder
from messages.failures import Failure, failed_with, refusal
from workflows.calls import at_stripe, in_ledger
from workflows.customers import customer_of
from workflows.patience import CARDHOLDER

# An unknown outcome is tried again under the next key: a method attached twice is still one card.
ATTACH_ATTEMPTS = 3


@workflow.defn(name=names.PAYMENT_METHOD_WORKFLOW)
class PaymentMethodWorkflow:
    """One request to attach a payment method. A refusal fails the run, benignly."""

    @workflow.init
    def __init__(self, order: PaymentMethodOrder) -> None:
        self._order = order
        self._doing = "Begins."

    @workflow.run
    async def run(self, order: PaymentMethodOrder) -> PaymentMethod:
        """Attaches the method, makes it the default at Stripe and in our books, and answers with it."""
        try:
            attached = await self._attach(order)
        except ActivityError as error:
            cause = refusal(error)
            raise ApplicationError(
                cause.message if cause else str(error),
                *(cause.details if cause else ()),
                type=cause.type if cause else Failure.STRIPE_OUTAGE,
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            ) from error
        await in_ledger(
            PaymentMethodLedgerSteps.record_payment_method,
            DefaultPaymentMethod(account_id=order.account_id, payment_method=attached),
        )
        self._say("Done: the payment method is attached and the default.")
        return attached

    @workflow.query(name=names.STATUS)
    def status(self) -> str:
        """What the workflow is doing, in words."""
        return self._doing

    async def _attach(self, order: PaymentMethodOrder) -> PaymentMethod:
        self._say("Waiting for Stripe to know the account as a customer.")
        customer = await customer_of(order.account_id, patience=CARDHOLDER)
        if customer is None:
            raise ApplicationError("The account has no customer at Stripe.", type=Failure.STRIPE_OUTAGE)
        self._say("Waiting for Stripe to attach the payment method.")
        attached = await self._attach_to(customer, order)
        self._say("Waiting for Stripe to make the payment method the default.")
        await at_stripe(
            PaymentMethodStripeSteps.set_default_payment_method,
            PaymentMethodCall(
                stripe_customer_id=customer,
                payment_method_id=attached.payment_method_id,
                idempotency_key=f"default-{order.attempt_id}",
            ),
            summary="the default",
            patience=CARDHOLDER,
        )
        return attached

    async def _attach_to(self, customer: str, order: PaymentMethodOrder) -> PaymentMethod:
        attempt = 1
        while True:
            call = PaymentMethodCall(
                stripe_customer_id=customer,
                payment_method_id=order.payment_method_id,
                idempotency_key=f"attach-{order.attempt_id}-{attempt}",
            )
            try:
                return await at_stripe(
                    PaymentMethodStripeSteps.attach_payment_method,
                    call,
                    summary="the payment method",
                    patience=CARDHOLDER,
                )
            except ActivityError as error:
                if attempt == ATTACH_ATTEMPTS or not failed_with(error, Failure.STRIPE_OUTCOME_UNKNOWN):
                    raise
                attempt += 1

    def _say(self, words: str) -> None:
        self._doing = words
        workflow.set_current_details(words)
