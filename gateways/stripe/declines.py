"""A payment method's no: which refusals are one, what it means, and how people are told of it."""

from collections.abc import Mapping
from typing import Any

import stripe

from gateways.stripe.errors import MESSAGE_LONGEST, StripeRefused, family_of, told_by
from messages.payments import Decline

_CARD_ERROR_STATUS = 402

# What Stripe makes of the networks' "the issuer will never approve" (Visa's category 1, Mastercard's advice codes 03
# and 21): https://docs.stripe.com/declines/codes has the decline codes, https://docs.stripe.com/declines/card says
# that `advice_code` is the better word where there is one. `do_not_try_again` was a decline code before it was advice.
# Not here, though hard as well: what the cardholder can mend (`expired_card`, `restricted_card`), and what only Stripe
# or we suspect (`fraudulent`).
_ADVICE_NEVER_AGAIN = "do_not_try_again"
_NEVER_AGAIN = frozenset(
    {
        "do_not_try_again",
        "invalid_account",
        "lost_card",
        "pickup_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stolen_card",
        "stop_payment_order",
    }
)
# Stripe asks to show these as any other decline: whoever holds the card may not be its owner.
_DISCREET = frozenset({"fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "stolen_card"})
_NEEDS_ITS_OWNER = frozenset({"authentication_required", "payment_intent_action_required"})

# Refusals with a 4xx that is no card's, and still are about the payment method: https://docs.stripe.com/error-codes.
_OF_METHODS = frozenset(
    {
        "account_closed",
        "bank_account_declined",
        "bank_account_restricted",
        "bank_account_unusable",
        "bank_account_unverified",
        "debit_not_authorized",
        "expired_payment_method",
        "india_recurring_payment_mandate_canceled",
        "insufficient_funds",
        "payment_intent_action_required",
        "payment_intent_authentication_failure",
        "payment_intent_incompatible_payment_method",
        "payment_intent_mandate_invalid",
        "payment_intent_payment_attempt_expired",
        "payment_intent_payment_attempt_failed",
    }
)
_OF_METHODS_PREFIX = "payment_method_"
# These look like it, and are about how our account at Stripe is set up.
_OF_OUR_ACCOUNT = frozenset(
    {"payment_method_configuration_failures", "payment_method_unactivated", "payment_method_unsupported_type"}
)
_METHOD_PARAMETERS = frozenset({"mandate", "mandate_data", "payment_method"})

_GENERIC = "Your card was declined."
_UNUSABLE = "This payment method can't be charged. Please use another one."


def decline_in(error: stripe.StripeError) -> Decline | None:
    """The payment method's no in an error of the library's; None where it is anything else."""
    if not isinstance(family_of(error), StripeRefused):
        return None
    told = told_by(error)
    is_decline = error.http_status == _CARD_ERROR_STATUS or _is_about_the_method(told)
    return as_decline(told) if is_decline else None


def as_decline(told: Mapping[str, Any]) -> Decline:
    """What Stripe says of a payment that failed, in an error or as a payment's last one.

    The message may be shown to people. The codes may not: they can say that a card was stolen.
    """
    code, decline_code, advice_code = told.get("code"), told.get("decline_code"), told.get("advice_code")
    return Decline(
        message=_for_people(told),
        code=code,
        decline_code=decline_code,
        advice_code=advice_code,
        authentication_required=not _NEEDS_ITS_OWNER.isdisjoint({code, decline_code}),
        never_again=advice_code == _ADVICE_NEVER_AGAIN or not _NEVER_AGAIN.isdisjoint({code, decline_code}),
    )


def _is_about_the_method(told: Mapping[str, Any]) -> bool:
    code = told.get("code") or ""
    if code in _OF_OUR_ACCOUNT:
        return False
    parameter = (told.get("param") or "").partition("[")[0]
    return (
        told.get("type") == "card_error"
        or code in _OF_METHODS
        or code.startswith(_OF_METHODS_PREFIX)
        or parameter in _METHOD_PARAMETERS
    )


def _for_people(told: Mapping[str, Any]) -> str:
    """Only of card errors does Stripe say that their messages can be shown: https://docs.stripe.com/api/errors."""
    if told.get("decline_code") in _DISCREET:
        return _GENERIC
    if told.get("type") == "card_error":
        return str(told.get("message") or _GENERIC)[:MESSAGE_LONGEST]
    return _UNUSABLE
