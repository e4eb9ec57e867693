"""The payments' steps at Stripe. Each is one question, or one call under a key that was stored before."""

from activities.failures import final_failures
from gateways.stripe.gateway import StripeGateway
from messages.payment_steps import PaymentStripeSteps
from messages.payments import (
    Authentication,
    ChargeRequest,
    CheckoutId,
    CheckoutPage,
    CheckoutRequest,
    ChosenMethod,
    FoundPayment,
    MethodQuestion,
    PaymentIntentId,
    PaymentQuestion,
    PaymentStanding,
    StripePayment,
)


class PaymentStripe(PaymentStripeSteps):
    """See :class:`messages.payment_steps.PaymentStripeSteps` for what each step does."""

    def __init__(self, stripe: StripeGateway) -> None:
        self._stripe = stripe

    async def choose_payment_method(self, question: MethodQuestion) -> ChosenMethod:
        with final_failures(reading=True):
            return await self._stripe.choose_payment_method(question)

    async def charge(self, request: ChargeRequest) -> StripePayment:
        with final_failures():
            return await self._stripe.charge(request)

    async def find_payment(self, question: PaymentQuestion) -> FoundPayment:
        with final_failures(reading=True):
            return await self._stripe.find_payment(question)

    async def retrieve_payment(self, payment: PaymentIntentId) -> StripePayment:
        with final_failures(reading=True):
            return await self._stripe.retrieve_payment(payment)

    async def authenticate_payment(self, authentication: Authentication) -> StripePayment:
        with final_failures():
            return await self._stripe.authenticate_payment(authentication)

    async def open_checkout(self, request: CheckoutRequest) -> CheckoutPage:
        with final_failures():
            return await self._stripe.open_checkout(request)

    async def retrieve_checkout(self, checkout: CheckoutId) -> CheckoutPage:
        with final_failures(reading=True):
            return await self._stripe.retrieve_checkout(checkout)

    async def retrieve_standing(self, payment: PaymentIntentId) -> PaymentStanding:
        with final_failures(reading=True):
            return await self._stripe.retrieve_standing(payment)
