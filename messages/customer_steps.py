"""The steps that attach a payment method to an account, as workflows see them."""

from abc import abstractmethod

from temporalio import activity

from messages.customers import DefaultPaymentMethod, PaymentMethod, PaymentMethodCall
from messages.steps import Steps


class PaymentMethodStripeSteps(Steps):
    """Steps at Stripe: each is one call, under a key that comes from our own attempt id."""

    @activity.defn
    @abstractmethod
    async def attach_payment_method(self, call: PaymentMethodCall) -> PaymentMethod:
        """Attaches the method to the customer; the answer carries the id that Stripe stores."""

    @activity.defn
    @abstractmethod
    async def set_default_payment_method(self, call: PaymentMethodCall) -> None:
        """Makes an attached method the one that the customer's payments use."""


class PaymentMethodLedgerSteps(Steps):
    """Steps in our database."""

    @activity.defn
    @abstractmethod
    async def record_payment_method(self, default: DefaultPaymentMethod) -> None:
        """Notes the account's default payment method."""
