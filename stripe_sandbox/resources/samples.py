"""Stripe's test payment methods by their ids (https://docs.stripe.com/testing), and some of our own.

Cards whose check declines cannot be attached to a customer at all; those that only charges decline can.
"""

from dataclasses import dataclass, replace

from stripe_sandbox.resources.declines import (
    EXPIRED,
    GENERIC,
    INSUFFICIENT_FUNDS,
    LOST,
    PROCESSING_ERROR,
    STOLEN,
    WRONG_CVC,
    Decline,
)

CARD, BANK, LINK = "card", "us_bank_account", "link"
TYPES = (CARD, LINK, BANK)


@dataclass(frozen=True)
class Sample:
    """How a test payment method looks and behaves.

    Attributes:
        brand: a card's; of the other types only a name.
        last4: the last digits of its number.
        funding: `credit` or `debit`.
        type: one of `TYPES`.
        expires_in_months: how far from the month of its making a card's last month is; None is far away.
        attaching: why it cannot be attached.
        charging: why it cannot be charged.
        authenticates: its owner has to be there.
        refunding: what becomes of a refund: `succeeded` or `pending`.
        disputed: a charge is disputed at once: `needs_response` or `warning_needs_response`.
    """

    brand: str
    last4: str
    funding: str = "credit"
    type: str = CARD
    expires_in_months: int | None = None
    attaching: Decline | None = None
    charging: Decline | None = None
    authenticates: bool = False
    refunding: str = "succeeded"
    disputed: str | None = None

    @property
    def delayed(self) -> bool:
        """Whether days pass until a charge has succeeded or failed."""
        return self.type == BANK


def _declining(last4: str, decline: Decline) -> Sample:
    return Sample("visa", last4, attaching=decline, charging=decline)


VISA = Sample("visa", "4242")
STRIPES = {
    "pm_card_visa": VISA,
    "pm_card_visa_debit": Sample("visa", "5556", "debit"),
    "pm_card_mastercard": Sample("mastercard", "4444"),
    "pm_card_mastercard_debit": Sample("mastercard", "8210", "debit"),
    "pm_card_amex": Sample("amex", "8431"),
    "pm_card_discover": Sample("discover", "1117"),
    "pm_card_us": VISA,
    "pm_card_chargeCustomerFail": Sample("visa", "0341", charging=GENERIC),
    "pm_card_authenticationRequired": Sample("visa", "3184", authenticates=True),
    "pm_card_threeDSecure2Required": Sample("visa", "3220", authenticates=True),
    "pm_card_createDispute": Sample("visa", "0259", disputed="needs_response"),
    "pm_card_createDisputeInquiry": Sample("visa", "1976", disputed="warning_needs_response"),
    "pm_card_pendingRefund": Sample("visa", "7726", refunding="pending"),
    "pm_card_refundFail": Sample("visa", "5116"),
    "pm_card_visa_chargeDeclined": _declining("0002", GENERIC),
    "pm_card_chargeDeclined": _declining("0002", GENERIC),
    "pm_card_visa_chargeDeclinedInsufficientFunds": _declining("9995", INSUFFICIENT_FUNDS),
    "pm_card_chargeDeclinedInsufficientFunds": _declining("9995", INSUFFICIENT_FUNDS),
    "pm_card_visa_chargeDeclinedLostCard": _declining("9987", LOST),
    "pm_card_visa_chargeDeclinedStolenCard": _declining("9979", STOLEN),
    "pm_card_chargeDeclinedExpiredCard": _declining("0069", EXPIRED),
    "pm_card_chargeDeclinedIncorrectCvc": _declining("0127", WRONG_CVC),
    "pm_card_chargeDeclinedProcessingError": _declining("0119", PROCESSING_ERROR),
    "pm_usBankAccount_success": Sample("test bank", "6789", "debit", BANK),
}
OURS = {
    "pm_link": Sample("link", "", type=LINK),
    "pm_card_chargeCustomerFailLostCard": Sample("visa", "9987", charging=LOST),
    "pm_card_chargeCustomerFailInsufficientFunds": Sample("visa", "9995", charging=INSUFFICIENT_FUNDS),
    "pm_card_expiresThisMonth": replace(VISA, last4="1881", expires_in_months=0),
    "pm_card_expired": replace(VISA, last4="1111", expires_in_months=-1),
}
SAMPLES = {**STRIPES, **OURS}
