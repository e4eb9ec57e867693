"""The payments' steps at Stripe. Each is one question, or one call under a key that was stored before."""

from dataclasses import replace

from activities.failures import final_failures
from gateways.stripe.gateway import StripeGateway
from messages.checkouts import CheckoutId, CheckoutPage, CheckoutRequest
from messages.payment_steps import PaymentStripeSteps
from messages.payments import (
    Authentication,
    Cancellation,
    ChargeRequest,
    ChosenMethod,
    FoundPayment,
    MethodQuestion,
    PaymentIntentId,
    PaymentQuestion,
    StripePayment,
)
from messages.reversals import PaymentStanding


class PaymentStripe(PaymentStripeSteps):
    """See :class:`messages.payment_steps.PaymentStripeSteps` for what each step does."""

    def __init__(self, stripe: StripeGateway, *, public_url: str) -> None:
        """``public_url`` is where our own pages are, to which Stripe leads people back."""
        self._stripe = stripe
        self._public_url = public_url

    async def choose_payment_method(self, question: MethodQuestion) -> ChosenMethod:
        with final_failures(reading=True):
            return await self._stripe.choose_payment_method(question)

    async def charge(self, request: ChargeRequest) -> StripePayment:
        with final_failures():
            return_url = None if request.return_url is None else self._public_url + request.return_url
            return await self._stripe.charge(replace(request, return_url=return_url))

    async def find_payment(self, question: PaymentQuestion) -> FoundPayment:
        with final_failures(reading=True):
            return await self._stripe.find_payment(question)

    async def retrieve_payment(self, payment: PaymentIntentId) -> StripePayment:
        with final_failures(reading=True):
            return await self._stripe.retrieve_payment(payment)

    async def authenticate_payment(self, authentication: Authentication) -> StripePayment:
        with final_failures():
            return_url = self._public_url + authentication.return_url
            return await self._stripe.authenticate_payment(replace(authentication, return_url=return_url))

    async def cancel_payment(self, cancellation: Cancellation) -> StripePayment:
        with final_failures():
            return await self._stripe.cancel_payment(cancellation)

    async def open_checkout(self, request: CheckoutRequest) -> CheckoutPage:
        with final_failures():
            success_url, cancel_url = self._public_url + request.success_url, self._public_url + request.cancel_url
            return await self._stripe.open_checkout(replace(request, success_url=success_url, cancel_url=cancel_url))

    async def retrieve_checkout(self, checkout: CheckoutId) -> CheckoutPage:
        with final_failures(reading=True):
            return await self._stripe.retrieve_checkout(checkout)

    async def retrieve_standing(self, payment: PaymentIntentId) -> PaymentStanding:
        with final_failures(reading=True):
            return await self._stripe.retrieve_standing(payment)
