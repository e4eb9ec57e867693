"""CustomerWorkflow: after a change in Stripe's dashboard, our books learn which payment method is the default."""

from temporalio import workflow

from messages import names
from messages.customer_steps import PaymentMethodLedgerSteps
from messages.customers import AccountId, DefaultPaymentMethod
from messages.payment_steps import PaymentStripeSteps
from messages.payments import MethodQuestion, PaymentEvent
from workflows.calls import at_stripe, in_ledger
from workflows.customers import customer_of


@workflow.defn(name=names.CUSTOMER_WORKFLOW)
class CustomerWorkflow:
    """One account's customer, asked of Stripe for as long as there is news."""

    @workflow.init
    def __init__(self, account: AccountId) -> None:
        self._heard = 0
        self._doing = "Begins."

    @workflow.run
    async def run(self, account: AccountId) -> None:
        """Asks which method would be charged now, and writes it down."""
        while True:
            heard = self._heard
            self._doing = "Asking Stripe which payment method is the default."
            workflow.set_current_details(self._doing)
            customer = await customer_of(account.account_id)
            if customer is not None:
                question = MethodQuestion(stripe_customer_id=customer, blocked=[])
                chosen = await at_stripe(
                    PaymentStripeSteps.choose_payment_method, question, summary="the default payment method"
                )
                await in_ledger(
                    PaymentMethodLedgerSteps.record_payment_method,
                    DefaultPaymentMethod(account.account_id, chosen.payment_method),
                )
            await workflow.wait_condition(workflow.all_handlers_finished)
            if self._heard == heard:
                self._doing = "Done: our books know the default payment method."
                return

    @workflow.signal(name=names.CUSTOMER_CHANGED)
    def customer_changed(self, event: PaymentEvent) -> None:
        """Stripe's webhook tells of the customer."""
        workflow.logger.info("told by %s", event.event_id)
        self._heard += 1

    @workflow.query(name=names.STATUS)
    def status(self) -> str:
        """What the workflow is doing, in words."""
        return self._doing
