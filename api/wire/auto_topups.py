"""Auto top-up's settings on the wire: the same fields over HTTP and over the WebSocket."""

from datetime import datetime

from pydantic import StrictBool

from api.wire.base import Answer, Request, WholeNumber
from ledger.topping_up import AutoTopup
from messages.payments import Payment, PaymentKind, PaymentState


class AutoTopupRequest(Request):
    """What the owner chooses: below ``threshold`` the balance is topped up to ``target``, both in credits.

    Both may be left out to switch off, also where nothing was ever chosen. ``monthlyLimitCents`` bounds what a cycle's
    top-ups cost: left out it stays as it is, null is no limit.
    """

    enabled: StrictBool
    threshold: WholeNumber | None = None
    target: WholeNumber | None = None
    monthly_limit_cents: WholeNumber | None = None


class TopUpResult(Answer):
    """The latest auto top-up. ``state`` is a payment's; ``actionUrl`` is where the owner authenticates it, while that
    is possible."""

    operation_id: str
    state: PaymentState
    credits: int
    amount_cents: int
    currency: str
    at: datetime
    error: str | None
    message: str | None
    action_url: str | None


class AutoTopupFields(Answer):
    """An account's auto top-up. ``threshold`` and ``target`` are null where none was ever chosen.

    ``monthlySpentCents`` is what auto top-ups have cost since ``cycleStart``. ``disabledReason`` says why it was
    switched off by itself; none begins before ``notBefore``. ``sentence`` says what will happen, and ``warning``, if
    there is one, what is charged at once.
    """

    account_id: str
    enabled: bool
    threshold: int | None
    target: int | None
    monthly_limit_cents: int | None
    monthly_spent_cents: int
    currency: str
    cycle_start: datetime
    disabled_reason: str | None
    disabled_message: str | None
    disabled_at: datetime | None
    not_before: datetime | None
    sentence: str
    warning: str | None
    last_result: TopUpResult | None


def auto_topup_fields(settings: AutoTopup, *, warning: str | None, public_url: str) -> dict[str, object]:
    """The fields of an account's auto top-up, by their Python names."""
    rule, last = settings.rule, settings.last
    return {
        "account_id": settings.account_id,
        "enabled": settings.enabled,
        "threshold": None if rule is None else rule.threshold,
        "target": None if rule is None else rule.target,
        "monthly_limit_cents": None if rule is None else rule.monthly_limit_cents,
        "monthly_spent_cents": settings.spent_cents,
        "currency": settings.currency,
        "cycle_start": settings.cycle_start,
        "disabled_reason": settings.disabled_reason,
        "disabled_message": settings.disabled_message,
        "disabled_at": settings.disabled_at,
        "not_before": settings.not_before,
        "sentence": settings.sentence,
        "warning": warning,
        "last_result": None if last is None else _result(last, public_url),
    }


def _result(last: Payment, public_url: str) -> dict[str, object]:
    return {
        "operation_id": last.operation_id,
        "state": last.state,
        "credits": last.credits,
        "amount_cents": last.amount_cents,
        "currency": last.currency,
        "at": last.closed_at or last.created_at,
        "error": last.error,
        "message": last.message,
        "action_url": action_url(last, public_url),
    }


def action_url(payment: Payment, public_url: str) -> str | None:
    """Where the owner does what the payment waits for: our page, which leads on to Stripe, or Stripe's page itself."""
    if payment.state is not PaymentState.REQUIRES_ACTION:
        return None
    if payment.kind is PaymentKind.AUTO_TOPUP:
        return f"{public_url}/payments/{payment.operation_id}/authenticate"
    return payment.url
