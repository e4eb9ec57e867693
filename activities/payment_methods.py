"""The steps that attach a payment method."""

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import final_failures
from gateways.stripe.gateway import StripeGateway
from ledger import customers
from messages.customer_steps import PaymentMethodLedgerSteps, PaymentMethodStripeSteps
from messages.customers import DefaultPaymentMethod, PaymentMethod, PaymentMethodCall


class PaymentMethodStripe(PaymentMethodStripeSteps):
    """See :class:`messages.customer_steps.PaymentMethodStripeSteps` for what each step does."""

    def __init__(self, stripe: StripeGateway) -> None:
        self._stripe = stripe

    async def attach_payment_method(self, call: PaymentMethodCall) -> PaymentMethod:
        with final_failures():
            return await self._stripe.attach_payment_method(call)

    async def set_default_payment_method(self, call: PaymentMethodCall) -> None:
        with final_failures():
            await self._stripe.set_default_payment_method(call)


class PaymentMethodLedger(PaymentMethodLedgerSteps):
    """See :class:`messages.customer_steps.PaymentMethodLedgerSteps` for what each step does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def record_payment_method(self, default: DefaultPaymentMethod) -> None:
        with final_failures():
            await customers.record_payment_method(self._engine, default)
