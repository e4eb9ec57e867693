"""The payloads by which an account becomes a customer at Stripe and gets a payment method."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class AccountId:
    """An account, named by its id."""

    account_id: str


@dataclass(frozen=True)
class CustomerRequest:
    """All that Stripe is told about an account, with the stored idempotency key.

    ``stripe_customer_id`` is set when Stripe already has it; then nothing is to be created.
    """

    account_id: str
    name: str
    email: str | None
    kind: str
    stripe_customer_id: str | None
    idempotency_key: str


@dataclass(frozen=True)
class Customer:
    """An account and the customer that it is at Stripe."""

    account_id: str
    stripe_customer_id: str


@dataclass(frozen=True)
class PaymentMethodOrder:
    """A request to attach a payment method and to make it the default.

    ``attempt_id`` is our own id of the request; the idempotency keys of its calls to Stripe come from it.
    """

    attempt_id: str
    account_id: str
    payment_method_id: str


@dataclass(frozen=True)
class PaymentMethodCall:
    """One call to Stripe about a payment method, with its idempotency key."""

    stripe_customer_id: str
    payment_method_id: str
    idempotency_key: str


@dataclass(frozen=True)
class PaymentMethod:
    """A payment method as Stripe has it. The id is Stripe's own: attaching a card anew gives a new one, and only its
    ``fingerprint`` says that it is the same card."""

    payment_method_id: str
    kind: str
    brand: str | None = None
    last4: str | None = None
    expiry_month: int | None = None
    expiry_year: int | None = None
    fingerprint: str | None = None

    def is_in_date(self, now: datetime) -> bool:
        """Whether it has not expired at ``now`` (UTC): a card is good through the end of its month, others always."""
        if self.expiry_year is None or self.expiry_month is None:
            return True
        return (now.year, now.month) <= (self.expiry_year, self.expiry_month)


@dataclass(frozen=True)
class DefaultPaymentMethod:
    """An account and the payment method that is charged by default, None where it has none."""

    account_id: str
    payment_method: PaymentMethod | None
