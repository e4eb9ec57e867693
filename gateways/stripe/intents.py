"""How a PaymentIntent reads in our words, and what we write on every payment.

https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from collections.abc import Mapping
from typing import Any

from gateways.stripe.declines import as_decline
from gateways.stripe.errors import StripeOutcomeUnknown
from messages.payments import PaymentKind, PaymentStatus, StripePayment

_STATUSES = {
    "succeeded": PaymentStatus.SUCCEEDED,
    "processing": PaymentStatus.PROCESSING,
    "requires_action": PaymentStatus.REQUIRES_ACTION,
    "canceled": PaymentStatus.CANCELED,
    "requires_confirmation": PaymentStatus.UNTRIED,
}
_REQUIRES_METHOD = "requires_payment_method"
_HAS_FAILED = frozenset({PaymentStatus.DECLINED, PaymentStatus.CANCELED})


def metadata_of(*, operation_id: str, account_id: str, kind: PaymentKind, credits: int) -> dict[str, str]:
    """What a payment carries, so that it can be found by what it is for."""
    return {
        "operationId": operation_id,
        "accountId": account_id,
        "credits": str(credits),
        "kind": str(kind),
        "grantType": "purchase",
    }


def operation_of(intent: Mapping[str, Any]) -> str | None:
    """Our operation id on a payment; others' payments have none."""
    operation_id: str | None = (intent.get("metadata") or {}).get("operationId")
    return operation_id


def charge_of(intent: Mapping[str, Any]) -> Mapping[str, Any]:
    """The latest attempt, where it came along expanded."""
    charge = intent.get("latest_charge")
    return charge if isinstance(charge, Mapping) else {}


def as_payment(intent: Mapping[str, Any]) -> StripePayment:
    """The PaymentIntent (with ``latest_charge`` expanded) in our words.

    Raises StripeOutcomeUnknown for a status that we do not know: none of ours gets there, and a wrong guess would
    charge twice or give credits for nothing.
    """
    status = _status_of(intent)
    error, charge = intent.get("last_payment_error"), charge_of(intent)
    tried = id_of(intent.get("payment_method")) or id_of((error or {}).get("payment_method"))
    return StripePayment(
        payment_intent_id=intent["id"],
        status=status,
        operation_id=operation_of(intent),
        amount_cents=intent["amount"],
        received_cents=intent.get("amount_received") or 0,
        redirect_url=_redirect_url(intent) if status is PaymentStatus.REQUIRES_ACTION else None,
        decline=as_decline(error) if error and status in _HAS_FAILED else None,
        receipt_url=charge.get("receipt_url"),
        payment_method_id=tried,
        disputed_or_refunded=bool(charge.get("amount_refunded") or charge.get("refunded") or charge.get("disputed")),
    )


def id_of(reference: Any) -> str | None:
    """The id in a reference, be it expanded or not."""
    if isinstance(reference, Mapping):
        reference = reference.get("id")
    return reference if isinstance(reference, str) else None


def _status_of(intent: Mapping[str, Any]) -> PaymentStatus:
    told = intent["status"]
    if told == _REQUIRES_METHOD:
        # Off-session there is no other sign: a declined payment waits for another payment method.
        return PaymentStatus.DECLINED if intent.get("last_payment_error") else PaymentStatus.UNTRIED
    status = _STATUSES.get(told)
    if status is None:
        raise StripeOutcomeUnknown(f"Stripe's payment {intent['id']} is at {told}, where none of ours should be.")
    return status


def _redirect_url(intent: Mapping[str, Any]) -> str | None:
    """Where its owner goes: to the bank's page, or for a bank account to Stripe's that asks for two small amounts."""
    action = intent.get("next_action") or {}
    url: str | None = (action.get("redirect_to_url") or {}).get("url") or (
        action.get("verify_with_microdeposits") or {}
    ).get("hosted_verification_url")
    return url
