"""The payloads of payments: auto top-ups and purchases. Money is integer minor units, credits are integers."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from messages.customers import PaymentMethod
from messages.grants import GrantOrder, GrantType


class PaymentKind(StrEnum):
    """Why money is asked for."""

    AUTO_TOPUP = "auto-topup"
    PURCHASE = "purchase"


class PaymentState(StrEnum):
    """How far a payment has come.

    ``open``: decided, and Stripe may or may not know of it. ``requires-action``: its owner has to authenticate it, or
    to pay on a hosted page. ``processing``: Stripe has it, the bank has not answered. ``succeeded``: Stripe has
    answered so, its webhook has not. ``paid`` and ``failed`` are ends, but for a payment that fails after all.
    """

    OPEN = "open"
    REQUIRES_ACTION = "requires-action"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    PAID = "paid"
    FAILED = "failed"


# An account has at most one auto top-up at one of these.
UNSETTLED_STATES = frozenset({PaymentState.OPEN, PaymentState.PROCESSING, PaymentState.SUCCEEDED})


class PaymentError(StrEnum):
    """Why a payment gave no credits, or lost them: the contract's words for clients."""

    DECLINED = "auto-topup-declined"
    AUTHENTICATION_REQUIRED = "auto-topup-authentication-required"
    NO_PAYMENT_METHOD = "auto-topup-no-payment-method"
    LIMIT_REACHED = "auto-topup-limit-reached"
    REVERSED = "payment-reversed"
    PURCHASE_DECLINED = "payment-declined"
    PURCHASE_ABANDONED = "checkout-expired"
    PURCHASE_OUTAGE = "stripe-unreachable"
    WRONG_AMOUNT = "wrong-amount"
    SUPERSEDED = "superseded"
    UNWANTED = "switched-off"


@dataclass(frozen=True)
class Decline:
    """A card's no, in Stripe's words. ``never_again`` says that the network forbids to try this card again."""

    message: str
    code: str | None = None
    decline_code: str | None = None
    advice_code: str | None = None
    authentication_required: bool = False
    never_again: bool = False


@dataclass(frozen=True)
class Payment:
    """A payment as our books have it. Its operation id is that of the grant that it pays for.

    ``idempotency_key`` was stored at ``key_stored_at``, before any call. ``url`` is where its owner pays or
    authenticates, while that is needed. ``granted`` says that the credits were given. ``error`` is one of PaymentError,
    ``message`` its sentence for people.
    """

    operation_id: str
    account_id: str
    kind: PaymentKind
    credits: int
    amount_cents: int
    currency: str
    state: PaymentState
    idempotency_key: str
    key_stored_at: datetime
    created_at: datetime
    request_id: str
    actor: str = "system"
    payment_method_id: str | None = None
    payment_intent_id: str | None = None
    checkout_session_id: str | None = None
    url: str | None = None
    error: str | None = None
    message: str | None = None
    receipt_url: str | None = None
    granted: bool = False
    closed_at: datetime | None = None


_DESCRIPTIONS = {PaymentKind.AUTO_TOPUP: "Auto top-up", PaymentKind.PURCHASE: "Purchase"}


def grant_order(payment: Payment, payment_intent_id: str) -> GrantOrder:
    """The order for the credits that the payment has bought, the same whenever it is asked for."""
    return GrantOrder(
        operation_id=payment.operation_id,
        account_id=payment.account_id,
        type=GrantType.PURCHASE,
        credits=payment.credits,
        description=_DESCRIPTIONS[payment.kind],
        actor=payment.actor,
        request_id=payment.request_id,
        payment_id=payment_intent_id,
    )


@dataclass(frozen=True)
class PaymentId:
    """A payment, named by its operation id."""

    operation_id: str


@dataclass(frozen=True)
class TopUpOrder:
    """The input of AutoTopupWorkflow: whose balance is to be topped up."""

    account_id: str


@dataclass(frozen=True)
class TopUpDemand:
    """Somebody wants a top-up: a balance has fallen below the threshold, or requests need credits that are not there:
    ``needed`` the first (0: no request waits), and so many each of the ``others`` that ask together with it."""

    needed: int = 0
    request_id: str = ""
    others: list[int] = field(default_factory=list)

    def needs(self) -> list[int]:
        """What each of the requests needs."""
        return [need for need in (self.needed, *self.others) if need]


@dataclass(frozen=True)
class TopUpQuestion:
    """Whether the account is to be topped up now. ``operation_id`` is the new attempt's, if there is to be one;
    ``needs`` are the credits that each of the waiting requests needs."""

    account_id: str
    operation_id: str
    needs: list[int]
    request_id: str


@dataclass(frozen=True)
class TopUpDecision:
    """The attempt that is to be carried on (an earlier one that is not settled, or a new one), or why there is none:
    ``error`` is set where the owner should know, once for each ``subject``. ``superseded`` are the payments at Stripe
    whose place the attempt takes: they are to be canceled before it is charged."""

    payment: Payment | None
    reason: str = ""
    error: str | None = None
    subject: str = ""
    superseded: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TopUpOutcome:
    """What a request that waited for a top-up is told: ``added`` credits are there, or ``error`` says why not."""

    added: int = 0
    error: str | None = None
    message: str = ""
    action_url: str | None = None


@dataclass(frozen=True)
class PurchaseOrder:
    """A request to buy credits with money. The input of PurchaseWorkflow; ``operation_id`` names the payment and the
    grant for ever. ``resume``: the payment exists, of whichever kind, and is carried on."""

    operation_id: str
    account_id: str
    credits: int
    actor: str = "system"
    request_id: str = ""
    resume: bool = False


def resumed_order(payment: Payment) -> PurchaseOrder:
    """The order by which PurchaseWorkflow carries on a payment that exists, of whichever kind."""
    return PurchaseOrder(
        operation_id=payment.operation_id,
        account_id=payment.account_id,
        credits=payment.credits,
        actor=payment.actor,
        request_id=payment.request_id,
        resume=True,
    )


@dataclass(frozen=True)
class PaymentNews:
    """What has become of a payment, to be written to its row; None leaves a field as it is."""

    operation_id: str
    state: PaymentState
    payment_method_id: str | None = None
    payment_intent_id: str | None = None
    checkout_session_id: str | None = None
    url: str | None = None
    error: str | None = None
    message: str | None = None
    decline: Decline | None = None
    receipt_url: str | None = None
    payment_method_fingerprint: str | None = None


@dataclass(frozen=True)
class SwitchOff:
    """Auto top-up of the account is switched off, because of ``error``; ``message`` tells the owner."""

    account_id: str
    error: str
    message: str


@dataclass(frozen=True)
class NoticeOrder:
    """Something that the account's owner is to be told once: one of a ``kind`` and ``subject`` exists once.

    ``message`` is its sentence. ``error`` (of PaymentError), ``action_url`` and ``credits`` (those that a top-up has
    added) go along where there are any.
    """

    account_id: str
    kind: str
    subject: str
    message: str
    error: str | None = None
    action_url: str | None = None
    credits: int | None = None


class NoticeKind(StrEnum):
    """What payments are told about, as notices."""

    AUTO_TOPUP_ADDED = "auto-topup-added"
    AUTO_TOPUP_FAILED = "auto-topup-failed"
    PAYMENT_REVERSED = "payment-reversed"
    PURCHASE_PAID = "purchase-paid"
    PURCHASE_FAILED = "purchase-failed"


class PaymentStatus(StrEnum):
    """How a payment stands at Stripe."""

    SUCCEEDED = "succeeded"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires-action"
    DECLINED = "declined"
    CANCELED = "canceled"
    UNTRIED = "untried"


@dataclass(frozen=True)
class StripePayment:
    """A PaymentIntent as Stripe has it. ``received_cents`` is what has been paid; ``redirect_url`` is where the
    cardholder authenticates (status ``requires-action``); ``decline`` is the last no.

    ``disputed_or_refunded`` says that PaymentReversalWorkflow should look at it.
    """

    payment_intent_id: str
    status: PaymentStatus
    operation_id: str | None
    amount_cents: int
    received_cents: int
    redirect_url: str | None = None
    decline: Decline | None = None
    receipt_url: str | None = None
    payment_method_id: str | None = None
    disputed_or_refunded: bool = False


@dataclass(frozen=True)
class MethodQuestion:
    """Which payment method of the customer can be charged. Those that the network rules forbid are named as in
    BlockedMethods."""

    stripe_customer_id: str
    blocked: list[str]
    blocked_fingerprints: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Cancellation:
    """A payment at Stripe that is to be canceled, under a key that comes of its id."""

    payment_intent_id: str
    idempotency_key: str


@dataclass(frozen=True)
class ChosenMethod:
    """The customer's default if it is usable, else a usable one, else None."""

    payment_method: PaymentMethod | None


@dataclass(frozen=True)
class ChargeRequest:
    """All that Stripe is told to charge a payment method, under the key that was stored before.

    ``off_session``: nobody is there to authenticate. Otherwise the cardholder comes back to ``return_url``, which
    workflows name as a path of our own pages.
    """

    operation_id: str
    account_id: str
    kind: PaymentKind
    credits: int
    amount_cents: int
    currency: str
    stripe_customer_id: str
    payment_method_id: str
    idempotency_key: str
    off_session: bool
    return_url: str | None = None


@dataclass(frozen=True)
class PaymentQuestion:
    """Where to look for a payment whose outcome is unknown: among the customer's, not older than ``since``."""

    operation_id: str
    stripe_customer_id: str
    since: datetime


@dataclass(frozen=True)
class FoundPayment:
    """What that look found: the payment with our operation id, or nothing."""

    payment: StripePayment | None


@dataclass(frozen=True)
class PaymentIntentId:
    """A payment at Stripe, named by its own id."""

    payment_intent_id: str


@dataclass(frozen=True)
class Authentication:
    """The same intent once more, with its owner there: under a key of its own. ``return_url`` is a path as above."""

    payment_intent_id: str
    payment_method_id: str
    idempotency_key: str
    return_url: str


@dataclass(frozen=True)
class PaymentEvent:
    """The signals ``payment_succeeded`` and ``payment_failed``: Stripe's webhook told of a payment.

    It is a reason to look, and no more: what has become of the payment is asked of Stripe.
    """

    event_id: str
    payment_intent_id: str | None = None


@dataclass(frozen=True)
class BlockedMethods:
    """The payment methods of an account that the network rules forbid to charge now, and the fingerprints of the cards
    that they are: who attaches such a card anew does not make it another one."""

    payment_method_ids: list[str]
    fingerprints: list[str] = field(default_factory=list)

    def include(self, method: PaymentMethod) -> bool:
        """Whether the method is one of them, or the same card."""
        return method.payment_method_id in self.payment_method_ids or method.fingerprint in self.fingerprints
