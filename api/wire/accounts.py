"""Accounts, tokens, tickets and payment methods on the wire."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.wire.base import Answer, CreditsOrNone, Email, Name, Request
from ledger.opening import Opening
from ledger.store.accounts import Account
from messages.customers import PaymentMethod


class AccountRequest(Request):
    """A request for an account; a repeated ``externalId`` answers with the account that has it."""

    kind: Literal["user", "organization"]
    name: Name
    email: Email | None = None
    external_id: Name | None = None
    free_credits: CreditsOrNone | None = None

    def opening(self, *, actor: str, request_id: str) -> Opening:
        """The request as the ledger takes it."""
        return Opening(
            kind=self.kind,
            name=self.name,
            email=self.email,
            external_id=self.external_id,
            free_credits=self.free_credits,
            actor=actor,
            request_id=request_id,
        )


class PaymentMethodAnswer(Answer):
    """The account's default payment method, as far as Stripe tells us about it."""

    payment_method_id: str
    kind: str
    brand: str | None = None
    last4: str | None = None
    expiry_month: int | None = None
    expiry_year: int | None = None

    @classmethod
    def of(cls, method: PaymentMethod) -> "PaymentMethodAnswer":
        """The payment method on the wire."""
        return cls(
            payment_method_id=method.payment_method_id,
            kind=method.kind,
            brand=method.brand,
            last4=method.last4,
            expiry_month=method.expiry_month,
            expiry_year=method.expiry_year,
        )


class AccountAnswer(Answer):
    """An account. ``stripeCustomerId`` is null until Stripe knows the account."""

    account_id: str
    kind: str
    name: str
    email: str | None
    external_id: str | None
    stripe_customer_id: str | None
    next_quota_reset: datetime
    referral_code: str
    created_at: datetime
    payment_method: PaymentMethodAnswer | None

    @classmethod
    def of(cls, account: Account) -> "AccountAnswer":
        """The account on the wire."""
        stored = account.default_payment_method
        return cls(
            account_id=account.account_id,
            kind=account.kind,
            name=account.name,
            email=account.email,
            external_id=account.external_id,
            stripe_customer_id=account.stripe_customer_id,
            next_quota_reset=account.next_reset,
            referral_code=account.referral_code,
            created_at=account.created_at,
            payment_method=None if stored is None else PaymentMethodAnswer.of(PaymentMethod(**stored)),
        )


class TokenAnswer(Answer):
    """A token, told this once."""

    token: str


class TicketAnswer(Answer):
    """A ticket that opens one WebSocket."""

    ticket: str
    expires_in_seconds: int


class PaymentMethodRequest(Request):
    """The payment method to attach and to make the default: an id that Stripe gave to the client."""

    payment_method_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,255}$")]
