"""Why payments are declined: https://docs.stripe.com/declines/codes.

A decline says in `advice_code` what may help: never this card again, the same card later, or other card data.
"""

from dataclasses import dataclass

from stripe_sandbox.errors import Json, error_fields

NEVER_AGAIN = "do_not_try_again"
LATER = "try_again_later"
OTHER_DATA = "confirm_card_data"


@dataclass(frozen=True)
class Decline:
    """One reason to say no; `kind` is the error's type."""

    code: str
    decline_code: str | None
    message: str
    advice_code: str | None = LATER
    kind: str = "card_error"

    def error(self) -> Json:
        """Return the inside of the 402's body."""
        fields = error_fields(self.kind, self.message, code=self.code)
        if self.decline_code is not None:
            fields["decline_code"] = self.decline_code
        if self.advice_code is not None:
            fields["advice_code"] = self.advice_code
        return fields


def _declined(decline_code: str, advice_code: str = LATER, message: str = "Your card was declined.") -> Decline:
    return Decline("card_declined", decline_code, message, advice_code)


GENERIC = _declined("generic_decline")
INSUFFICIENT_FUNDS = _declined("insufficient_funds", message="Your card has insufficient funds.")
LOST = _declined("lost_card", NEVER_AGAIN)
STOLEN = _declined("stolen_card", NEVER_AGAIN)
EXPIRED = Decline("expired_card", None, "Your card has expired.", OTHER_DATA)
WRONG_CVC = Decline("incorrect_cvc", None, "Your card's security code is incorrect.", OTHER_DATA)
WRONG_NUMBER = Decline("incorrect_number", None, "Your card number is incorrect.", OTHER_DATA)
PROCESSING_ERROR = Decline("processing_error", None, "An error occurred while processing your card. Try again later.")
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    OTHER_DATA,
)
AUTHENTICATION_FAILED = Decline(
    "payment_intent_authentication_failure",
    None,
    "The provided PaymentMethod has failed authentication. "
    "You can provide payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
    None,
    "invalid_request_error",
)
DECLINES = (
    *(GENERIC, INSUFFICIENT_FUNDS, LOST, STOLEN),
    *(EXPIRED, WRONG_CVC, WRONG_NUMBER, PROCESSING_ERROR, AUTHENTICATION_REQUIRED, AUTHENTICATION_FAILED),
    *(_declined(code, NEVER_AGAIN) for code in ("pickup_card", "restricted_card", "fraudulent", "do_not_try_again")),
    *(_declined(code, NEVER_AGAIN) for code in ("revocation_of_authorization", "stop_payment_order")),
    *(_declined(code, OTHER_DATA) for code in ("invalid_account", "invalid_number", "invalid_expiry_year")),
)


def decline_called(code: str | None) -> Decline:
    """Return the decline with that code or decline code; an unknown one becomes a decline code of its own."""
    if code is None or code == "card_declined":
        return GENERIC
    for decline in DECLINES:
        if code in (decline.code, decline.decline_code):
            return decline
    return _declined(code)
