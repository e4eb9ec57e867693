"""Debt: explicit per account, paid first by whatever comes in, and only up to what comes in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DebtPayment:
    """How a new grant is split: ``paid`` credits go to the debt, ``left`` stay on the grant."""

    paid: int
    left: int


def pay_debt_first(credits: int, debt: int) -> DebtPayment:
    """Splits ``credits`` new credits between the account's ``debt`` and the grant."""
    paid = min(credits, debt)
    return DebtPayment(paid=paid, left=credits - paid)
