"""What a payment method looks like, by itself and on the charges made with it."""

import hashlib
from datetime import UTC, datetime

from stripe_sandbox.errors import Json
from stripe_sandbox.ids import new_id
from stripe_sandbox.resources.samples import BANK, CARD, LINK, Sample

EXPIRY_YEAR = 2040
CHECKS = {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"}
ON_CARD_CHARGES = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "wallet")
ON_BANK_CHARGES = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
NOBODY = {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}


def new_body(sample: Sample, now: int) -> Json:
    """Return a new payment method of nobody's."""
    make = {CARD: _card, BANK: _bank_account, LINK: _link}[sample.type]
    return {
        "id": new_id("pm_1"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": NOBODY,
        "created": now,
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": sample.type,
        sample.type: make(sample, now),
    }


def details(method: Json) -> Json:
    """Return a charge's `payment_method_details`."""
    inside = method[method["type"]]
    if method["type"] == CARD:
        shown = {name: inside[name] for name in ON_CARD_CHARGES}
        shown |= {"installments": None, "mandate": None, "network": inside["brand"], "three_d_secure": None}
    elif method["type"] == BANK:
        shown = {name: inside[name] for name in ON_BANK_CHARGES}
    else:
        shown = {"country": "US"}
    return {"type": method["type"], method["type"]: shown}


def has_expired(method: Json, now: int) -> bool:
    """Say whether a card's last month is over at an instant (Unix seconds)."""
    if method["type"] != CARD:
        return False
    present = datetime.fromtimestamp(now, UTC)
    return (method["card"]["exp_year"], method["card"]["exp_month"]) < (present.year, present.month)


def _card(sample: Sample, now: int) -> Json:
    year, month = _expiry(sample, now)
    return {
        "brand": sample.brand,
        "checks": CHECKS,
        "country": "US",
        "display_brand": sample.brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": _fingerprint(sample),
        "funding": sample.funding,
        "generated_from": None,
        "last4": sample.last4,
        "networks": {"available": [sample.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _bank_account(sample: Sample, _: int) -> Json:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": _fingerprint(sample),
        "last4": sample.last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }


def _link(_: Sample, __: int) -> Json:
    return {"email": "jenny@example.com"}


def _expiry(sample: Sample, now: int) -> tuple[int, int]:
    if sample.expires_in_months is None:
        return EXPIRY_YEAR, 12
    present = datetime.fromtimestamp(now, UTC)
    months = present.year * 12 + present.month - 1 + sample.expires_in_months
    return months // 12, months % 12 + 1


def _fingerprint(sample: Sample) -> str:
    """The same number has the same fingerprint, whoever attaches it and how often."""
    return hashlib.sha256(f"{sample.brand} {sample.funding} {sample.last4}".encode()).hexdigest()[:16]
