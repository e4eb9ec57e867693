"""What payments and their reversals say of themselves, in plain words for their owners."""

from messages.payments import Decline, Payment, StripePayment
from messages.reversals import Reversal


def money(cents: int, currency: str) -> str:
    """An amount for people: ``12.50 USD``."""
    return f"{cents // 100:,}.{cents % 100:02} {currency.upper()}"


def _price(payment: Payment) -> str:
    return f"{payment.credits:,} credits for {money(payment.amount_cents, payment.currency)}"


def added(payment: Payment) -> str:
    """A top-up has come."""
    return f"Auto top-up added {_price(payment)}."


def bought(payment: Payment) -> str:
    """A purchase has come."""
    return f"You bought {_price(payment)}."


def declined(payment: Payment, decline: Decline) -> str:
    """A card said no."""
    what = f"The payment of {_price(payment)} was declined: {decline.message}"
    return f"{what} {_mend(payment)}"


def no_method(payment: Payment) -> str:
    """There is nothing to charge."""
    return f"There is no payment method that could be charged for {_price(payment)}. {_mend(payment)}"


def authentication(payment: Payment) -> str:
    """The bank wants to see the cardholder."""
    return (
        f"Your bank asks you to authenticate the payment of {_price(payment)}. Authenticate it to get its credits. "
        "Auto top-up is off until you switch it on again."
    )


def limit_reached() -> str:
    """The monthly limit is used up."""
    return (
        "Auto top-up has reached its monthly limit and buys nothing more until the next cycle. Raise the limit, or buy "
        "credits."
    )


def outage(payment: Payment) -> str:
    """A person's purchase met an outage."""
    return f"Stripe could not be reached, and nothing was charged for {_price(payment)}. Buy again under a new id."


def abandoned(payment: Payment) -> str:
    """A hosted page was left."""
    return f"The payment of {_price(payment)} was not completed in time, and nothing was charged."


def wrong_amount(payment: Payment, seen: StripePayment) -> str:
    """Somebody changed the payment at Stripe."""
    return (
        f"The payment brought {money(seen.received_cents, payment.currency)} and not "
        f"{money(payment.amount_cents, payment.currency)}. No credits were given; write to support."
    )


def reversed_late(payment: Payment, reversal: Reversal) -> str:
    """A payment failed after its credits were given."""
    return f"The payment of {_price(payment)} has failed after all. {taken_back(reversal)} Auto top-up is off."


def taken_back(reversal: Reversal) -> str:
    """What a reversal has done. One that was booked before its answer was lost can't say how much of it is owed."""
    if not reversal.changed:
        return f"{reversal.reversed_credits:,} credits were taken back."
    owed = f", and {reversal.debt_incurred:,} that were spent are owed" if reversal.debt_incurred else ""
    return f"{reversal.taken:,} credits were taken back{owed}."


def reversed_words(reversal: Reversal, reason: str) -> str:
    """What has become of the credits of a payment that was refunded or disputed."""
    if reversal.given_back:
        return f"A payment has been restored ({reason}): {reversal.given_back:,} credits were given back."
    if not reversal.reversed_credits and not reversal.frozen_credits:
        return f"A payment has been restored ({reason})."
    parts = [f"A payment has been reversed ({reason})."]
    if reversal.taken or reversal.debt_incurred or (reversal.reversed_credits and not reversal.changed):
        parts.append(taken_back(reversal))
    if reversal.frozen_credits:
        parts.append(f"{reversal.frozen_credits:,} credits are frozen while the dispute is open.")
    return " ".join(parts)


def _mend(payment: Payment) -> str:
    if payment.kind == "purchase":
        return "Nothing was charged; use another card."
    return "Auto top-up is off. Add another card and switch it on again."
