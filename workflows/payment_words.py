"""What payments and their reversals say of themselves, in plain words for their owners."""

from messages.payments import Decline, Payment, StripePayment
from messages.reversals import Reversal, ReversalTarget


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
    return f"The payment of {_price(payment)} has failed after all. {taken_back(reversal)}"


def taken_back(reversal: Reversal, *, frozen_cents: int = 0) -> str:
    """What a reversal has done, and what there is to do. One that was booked before its answer was lost can't say how
    much of it is owed, nor whether it has switched auto top-up off."""
    parts = []
    if reversal.given_back:
        parts.append(f"{reversal.given_back:,} credits were given back.")
    if reversal.taken:
        owed = f", and {reversal.debt_incurred:,} that were spent are owed" if reversal.debt_incurred else ""
        parts.append(f"{reversal.taken:,} credits were taken back{owed}.")
    elif reversal.debt_incurred:
        parts.append(f"{reversal.debt_incurred:,} credits that were spent are owed.")
    elif reversal.reversed_credits and not reversal.changed:
        parts.append(f"{reversal.reversed_credits:,} credits were taken back.")
    if reversal.frozen_credits:
        parts.append(f"{reversal.frozen_credits:,} credits are frozen while the dispute is open.")
    elif frozen_cents:
        parts.append("No credits were left to freeze.")
    if not parts:
        parts.append("No credits were taken back: they had been revoked before, or it was less than a credit.")
    if reversal.switched_off:
        parts.append("Auto top-up is off; switch it on again when that is settled.")
    elif not reversal.changed:
        parts.append("Auto top-up may have been switched off; switch it on again when that is settled.")
    else:
        parts.append("Write to support if you did not expect that.")
    return " ".join(parts)


def reversed_words(reversal: Reversal, target: ReversalTarget, *, against: bool) -> str:
    """What has become of the credits of a payment that was refunded or disputed: ``against`` the account, or for it."""
    if against:
        what = f"reversed ({target.reason})" if target.reversed_cents else "disputed"
        return f"A payment has been {what}. {taken_back(reversal, frozen_cents=target.frozen_cents)}"
    given_back = f": {reversal.given_back:,} credits were given back" if reversal.given_back else ""
    frozen = f" {reversal.frozen_credits:,} are frozen while the dispute is open." if reversal.frozen_credits else ""
    return (
        f"A payment has been restored{given_back}.{frozen} If auto top-up was switched off for it, switch it on again."
    )


def _mend(payment: Payment) -> str:
    if payment.kind == "purchase":
        return "Nothing was charged; use another card."
    return "Auto top-up is off. Add another card and switch it on again."
