"""A customer's payment methods: which of them to charge."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stripe import StripeClient

from gateways.stripe.errors import our_errors
from messages.customers import PaymentMethod
from messages.payments import BlockedMethods, ChosenMethod, MethodQuestion

_PAGE = 100
# Those that can be charged without their owner, the surest first. A bank account answers `processing` for days.
_KINDS = ("card", "link", "us_bank_account")
_DEFAULT = "invoice_settings.default_payment_method"


async def choose(client: StripeClient, question: MethodQuestion, *, now: datetime) -> ChosenMethod:
    """The customer's default if it is usable at ``now``; else the newest usable card, Link, bank account; else None."""
    blocked = BlockedMethods(question.blocked, question.blocked_fingerprints)
    async with our_errors():
        retrieved = await client.v1.customers.retrieve_async(question.stripe_customer_id, {"expand": [_DEFAULT]})
        customer = retrieved.to_dict()
        if customer.get("deleted"):
            return ChosenMethod(None)
        default = (customer.get("invoice_settings") or {}).get("default_payment_method")
        if isinstance(default, Mapping) and _is_usable(default, blocked, now):
            return ChosenMethod(as_method(default))
        page = await client.v1.payment_methods.list_async({"customer": question.stripe_customer_id, "limit": _PAGE})
        methods = [method.to_dict() async for method in page.auto_paging_iter()]
    usable = [method for method in methods if _is_usable(method, blocked, now)]
    if not usable:
        return ChosenMethod(None)
    return ChosenMethod(as_method(min(usable, key=_surest_and_newest_first)))


def as_method(method: Mapping[str, Any]) -> PaymentMethod:
    """A payment method of Stripe's in our words: only cards have a brand and an expiry."""
    card, bank = method.get("card") or {}, method.get("us_bank_account") or {}
    return PaymentMethod(
        payment_method_id=method["id"],
        kind=method["type"],
        brand=card.get("brand"),
        last4=card.get("last4") or bank.get("last4"),
        expiry_month=card.get("exp_month"),
        expiry_year=card.get("exp_year"),
        fingerprint=card.get("fingerprint") or bank.get("fingerprint"),
    )


def _is_usable(method: Mapping[str, Any], blocked: BlockedMethods, now: datetime) -> bool:
    ours = as_method(method)
    return ours.kind in _KINDS and ours.is_in_date(now) and not blocked.include(ours)


def _surest_and_newest_first(method: Mapping[str, Any]) -> tuple[int, int]:
    return _KINDS.index(method["type"]), -method["created"]
