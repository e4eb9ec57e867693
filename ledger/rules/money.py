"""Money and credits: exact rationals, rounded once, at the edge, in the house's favour and never twice."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Price:
    """What credits cost: ``cents`` minor units of ``currency`` for ``credits`` credits. The default is 1 for 1."""

    cents: int = 1
    credits: int = 1
    currency: str = "usd"

    def __post_init__(self) -> None:
        if self.cents <= 0 or self.credits <= 0:
            raise ValueError(f"a price is positive on both sides, not {self.cents} cents for {self.credits} credits")

    @property
    def cents_per_credit(self) -> Fraction:
        """The exact price of one credit, in minor units."""
        return Fraction(self.cents, self.credits)


def credits_to_cents(credits: int, price: Price) -> int:
    """What ``credits`` are worth in minor units, rounded up."""
    return -(-credits * price.cents // price.credits)


def cents_to_credits(cents: int, price: Price) -> int:
    """How many whole credits ``cents`` minor units buy, rounded down."""
    return cents * price.credits // price.cents
