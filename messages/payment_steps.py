"""The steps of payments and their reversals, as workflows see them. ``activities/`` implements them."""

from abc import abstractmethod

from temporalio import activity

from messages.checkouts import CheckoutId, CheckoutPage, CheckoutRequest
from messages.customers import AccountId
from messages.payments import (
    Authentication,
    BlockedMethods,
    Cancellation,
    ChargeRequest,
    ChosenMethod,
    FoundPayment,
    MethodQuestion,
    NoticeOrder,
    Payment,
    PaymentId,
    PaymentIntentId,
    PaymentNews,
    PaymentQuestion,
    PurchaseOrder,
    StripePayment,
    SwitchOff,
    TopUpDecision,
    TopUpQuestion,
)
from messages.reversals import PaymentStanding, Reversal, ReversalTarget
from messages.steps import Steps


class PaymentLedgerSteps(Steps):
    """Steps in our database: each is one transaction, and each may be repeated."""

    @activity.defn
    @abstractmethod
    async def open_top_up(self, question: TopUpQuestion) -> TopUpDecision:
        """Decides under the account's present state whether it is topped up, and stores the attempt before any call."""

    @activity.defn
    @abstractmethod
    async def still_wanted(self, payment: PaymentId) -> bool:
        """Whether an attempt that Stripe does not know yet should still be made."""

    @activity.defn
    @abstractmethod
    async def open_purchase(self, order: PurchaseOrder) -> Payment:
        """Claims the operation id and stores the payment; a repeat answers with the payment as it stands."""

    @activity.defn
    @abstractmethod
    async def read_payment(self, payment: PaymentId) -> Payment:
        """The payment as it stands."""

    @activity.defn
    @abstractmethod
    async def renew_payment_key(self, payment: Payment) -> Payment:
        """Stores the idempotency key after the one in ``payment``, once, and answers with the payment."""

    @activity.defn
    @abstractmethod
    async def blocked_methods(self, account: AccountId) -> BlockedMethods:
        """The account's payment methods that the card networks' rules forbid to charge now."""

    @activity.defn
    @abstractmethod
    async def record_payment(self, news: PaymentNews) -> Payment:
        """Writes what has become of the payment to its row."""

    @activity.defn
    @abstractmethod
    async def record_canceled(self, payment: PaymentIntentId) -> None:
        """Notes that a superseded payment needs no canceling any more."""

    @activity.defn
    @abstractmethod
    async def switch_off(self, order: SwitchOff) -> None:
        """Switches auto top-up off, with the reason and the date; a repeat keeps the first."""

    @activity.defn
    @abstractmethod
    async def give_notice(self, order: NoticeOrder) -> None:
        """Tells the account's owner, once: those who are connected at once, the others with their next ``init``."""

    @activity.defn
    @abstractmethod
    async def reverse_payment(self, target: ReversalTarget) -> Reversal:
        """Books the difference between what has been reversed of a payment and the target."""


class PaymentStripeSteps(Steps):
    """Steps at Stripe: each is one question, or one call under a key that was stored before."""

    @activity.defn
    @abstractmethod
    async def choose_payment_method(self, question: MethodQuestion) -> ChosenMethod:
        """The customer's default payment method if it is usable, else another that is."""

    @activity.defn
    @abstractmethod
    async def charge(self, request: ChargeRequest) -> StripePayment:
        """Charges a payment method. A decline is an answer like any other, and no failure."""

    @activity.defn
    @abstractmethod
    async def find_payment(self, question: PaymentQuestion) -> FoundPayment:
        """Looks through the customer's payments for our operation id."""

    @activity.defn
    @abstractmethod
    async def retrieve_payment(self, payment: PaymentIntentId) -> StripePayment:
        """Asks Stripe how a payment stands."""

    @activity.defn
    @abstractmethod
    async def authenticate_payment(self, authentication: Authentication) -> StripePayment:
        """Confirms the same payment on-session; the answer says where its owner goes to authenticate it."""

    @activity.defn
    @abstractmethod
    async def cancel_payment(self, cancellation: Cancellation) -> StripePayment:
        """Cancels a payment that nobody wants any more. One that can't be canceled, paid perhaps, is as it stands."""

    @activity.defn
    @abstractmethod
    async def open_checkout(self, request: CheckoutRequest) -> CheckoutPage:
        """Makes a hosted page on which the owner pays."""

    @activity.defn
    @abstractmethod
    async def retrieve_checkout(self, checkout: CheckoutId) -> CheckoutPage:
        """Asks Stripe what has become of a hosted page."""

    @activity.defn
    @abstractmethod
    async def retrieve_standing(self, payment: PaymentIntentId) -> PaymentStanding:
        """Asks Stripe how much of a payment has gone back, and whether a dispute is open."""
