"""The payloads of hosted pages, on which somebody pays once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckoutRequest:
    """A hosted page on which the owner pays. ``success_url`` and ``cancel_url`` are where it leads back to; workflows
    name them as paths of our own pages."""

    operation_id: str
    account_id: str
    credits: int
    amount_cents: int
    currency: str
    stripe_customer_id: str
    idempotency_key: str
    success_url: str
    cancel_url: str


@dataclass(frozen=True)
class CheckoutId:
    """A hosted page, named by Stripe's id."""

    checkout_session_id: str


@dataclass(frozen=True)
class CheckoutPage:
    """A hosted page as Stripe has it: ``status`` is ``open``, ``complete`` or ``expired``."""

    checkout_session_id: str
    status: str
    url: str | None
    payment_intent_id: str | None
