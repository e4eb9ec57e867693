"""Stripe's test cards, by the ids of their payment methods: https://docs.stripe.com/testing.

Cards whose check declines cannot be attached to a customer at all; those that only charges decline can.
"""

from dataclasses import dataclass

from stripe_sandbox.errors import Json, error_fields


@dataclass(frozen=True)
class Decline:
    """Why a card says no."""

    code: str
    decline_code: str | None
    message: str
    advice_code: str = "try_again_later"

    def error(self) -> Json:
        """Return the inside of the 402's body."""
        fields = error_fields("card_error", self.message, code=self.code)
        if self.decline_code is not None:
            fields["decline_code"] = self.decline_code
            fields["advice_code"] = self.advice_code
        return fields


GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
INSUFFICIENT_FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
LOST = Decline("card_declined", "lost_card", "Your card was declined.", "do_not_try_again")
STOLEN = Decline("card_declined", "stolen_card", "Your card was declined.", "do_not_try_again")
EXPIRED = Decline("expired_card", None, "Your card has expired.")
WRONG_CVC = Decline("incorrect_cvc", None, "Your card's security code is incorrect.")
PROCESSING_ERROR = Decline("processing_error", None, "An error occurred while processing your card. Try again later.")
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "confirm_card_data",
)
DECLINES = (GENERIC, INSUFFICIENT_FUNDS, LOST, STOLEN, EXPIRED, WRONG_CVC, PROCESSING_ERROR, AUTHENTICATION_REQUIRED)


def decline_called(code: str | None) -> Decline:
    """Return the decline with that code or decline code; an unknown one becomes a decline code of its own."""
    if code is None or code == "card_declined":
        return GENERIC
    for decline in DECLINES:
        if code in (decline.code, decline.decline_code):
            return decline
    return Decline("card_declined", code, "Your card was declined.")


@dataclass(frozen=True)
class Card:
    """How a test card looks and behaves."""

    brand: str
    last4: str
    funding: str = "credit"
    attaching: Decline | None = None
    charging: Decline | None = None
    authenticates: bool = False


CARDS = {
    "pm_card_visa": Card("visa", "4242"),
    "pm_card_visa_debit": Card("visa", "5556", "debit"),
    "pm_card_mastercard": Card("mastercard", "4444"),
    "pm_card_mastercard_debit": Card("mastercard", "8210", "debit"),
    "pm_card_amex": Card("amex", "8431"),
    "pm_card_discover": Card("discover", "1117"),
    "pm_card_us": Card("visa", "4242"),
    "pm_card_chargeCustomerFail": Card("visa", "0341", charging=GENERIC),
    "pm_card_authenticationRequired": Card("visa", "3184", authenticates=True),
    "pm_card_threeDSecure2Required": Card("visa", "3220", authenticates=True),
    "pm_card_createDispute": Card("visa", "0259"),
    "pm_card_createDisputeInquiry": Card("visa", "1976"),
    "pm_card_pendingRefund": Card("visa", "7726"),
    "pm_card_refundFail": Card("visa", "5116"),
    "pm_card_visa_chargeDeclined": Card("visa", "0002", attaching=GENERIC, charging=GENERIC),
    "pm_card_chargeDeclined": Card("visa", "0002", attaching=GENERIC, charging=GENERIC),
    "pm_card_visa_chargeDeclinedInsufficientFunds": Card(
        "visa", "9995", attaching=INSUFFICIENT_FUNDS, charging=INSUFFICIENT_FUNDS
    ),
    "pm_card_chargeDeclinedInsufficientFunds": Card(
        "visa", "9995", attaching=INSUFFICIENT_FUNDS, charging=INSUFFICIENT_FUNDS
    ),
    "pm_card_visa_chargeDeclinedLostCard": Card("visa", "9987", attaching=LOST, charging=LOST),
    "pm_card_visa_chargeDeclinedStolenCard": Card("visa", "9979", attaching=STOLEN, charging=STOLEN),
    "pm_card_chargeDeclinedExpiredCard": Card("visa", "0069", attaching=EXPIRED, charging=EXPIRED),
    "pm_card_chargeDeclinedIncorrectCvc": Card("visa", "0127", attaching=WRONG_CVC, charging=WRONG_CVC),
    "pm_card_chargeDeclinedProcessingError": Card(
        "visa", "0119", attaching=PROCESSING_ERROR, charging=PROCESSING_ERROR
    ),
}
