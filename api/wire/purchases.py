"""Purchases and other payments on the wire."""

from datetime import datetime
from typing import Literal

from api.wire.auto_topups import action_url
from api.wire.base import Answer, Request, WholeNumber
from api.wire.grants import GrantAnswer
from ledger.paying import PurchaseOptions
from messages.grants import Grant
from messages.payments import Payment, PaymentKind, PaymentState, PurchaseOrder

Status = Literal["paid", "processing", "requires-action", "failed"]


class PurchaseRequest(Request):
    """Credits to buy with money. ``operationId`` names the payment, and the grant that it pays for."""

    operation_id: str
    credits: WholeNumber

    def order(self, account_id: str, *, actor: str, request_id: str) -> PurchaseOrder:
        """The request as the purchase flow takes it."""
        return PurchaseOrder(
            operation_id=self.operation_id,
            account_id=account_id,
            credits=self.credits,
            actor=actor,
            request_id=request_id,
        )


class PaymentFields(Answer):
    """A payment. ``status`` is ``paid`` once the credits are there. What says nothing is left out.

    ``checkoutUrl`` is where the owner pays or authenticates, while it requires action; ``error`` and ``message`` say
    why it failed.
    """

    operation_id: str
    account_id: str
    kind: PaymentKind
    credits: int
    amount_cents: int
    currency: str
    status: Status
    checkout_url: str | None = None
    error: str | None = None
    message: str | None = None
    receipt_url: str | None = None
    created_at: datetime

    @classmethod
    def of(cls, payment: Payment, *, public_url: str) -> "PaymentFields":
        """The payment in a list."""
        return cls.model_validate(payment_fields(payment, public_url=public_url))


class PaymentAnswer(PaymentFields):
    """A payment, and the grant that it has paid for, once that is there."""

    grant: GrantAnswer | None = None


class PurchaseAnswer(PaymentAnswer):
    """The answer to a purchase; ``replayed`` says that an earlier request has made it."""

    replayed: bool


class PurchaseOption(Answer):
    """A number of credits that people choose, and what it costs."""

    credits: int
    amount_cents: int


class PurchaseOptionsAnswer(Answer):
    """What an account can buy: any number of credits from ``minCredits`` to ``maxCredits``, or one of ``options``."""

    account_id: str
    min_credits: int
    max_credits: int
    currency: str
    options: list[PurchaseOption]

    @classmethod
    def of(cls, found: PurchaseOptions) -> "PurchaseOptionsAnswer":
        """The options on the wire."""
        return cls(
            account_id=found.account_id,
            min_credits=found.least,
            max_credits=found.most,
            currency=found.currency,
            options=[PurchaseOption(credits=credits, amount_cents=cents) for credits, cents in found.presets],
        )


def payment_fields(payment: Payment, *, public_url: str, grant: Grant | None = None) -> dict[str, object]:
    """The fields of a payment that say something, by their Python names."""
    fields = {
        "operation_id": payment.operation_id,
        "account_id": payment.account_id,
        "kind": payment.kind,
        "credits": payment.credits,
        "amount_cents": payment.amount_cents,
        "currency": payment.currency,
        "status": status_of(payment),
        "checkout_url": action_url(payment, public_url),
        "error": payment.error,
        "message": payment.message,
        "receipt_url": payment.receipt_url,
        "created_at": payment.created_at,
        "grant": None if grant is None else GrantAnswer.of(grant),
    }
    return {name: value for name, value in fields.items() if value is not None}


def status_of(payment: Payment) -> Status:
    """How the payment stands, in the contract's words: nobody is told that it is paid before the credits are there, and
    whoever has bought them is told as soon as they are."""
    if payment.granted and payment.kind is PaymentKind.PURCHASE and payment.state is not PaymentState.FAILED:
        return "paid"
    match payment.state:
        case PaymentState.REQUIRES_ACTION:
            return "requires-action"
        case PaymentState.FAILED:
            return "failed"
        case PaymentState.SUCCEEDED | PaymentState.PAID:
            return "paid" if payment.granted else "processing"
        case PaymentState.OPEN | PaymentState.PROCESSING:
            return "processing"


def payment_key(at: str, operation_id: object) -> tuple[datetime, str]:
    """The key in a cursor; raises ValueError for what is none."""
    instant = datetime.fromisoformat(at)
    if instant.tzinfo is None or not isinstance(operation_id, str) or not is_payment_id(operation_id):
        raise ValueError("not the key of a payment")
    return instant, operation_id


def is_payment_id(operation_id: str) -> bool:
    """Whether a payment can have this id at all: others the database could not even be asked for."""
    return operation_id.isascii() and operation_id.isprintable()
