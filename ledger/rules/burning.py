"""Burning: which grants pay for a demand, how much of it is debt, or why it is refused.

Whatever is left is kept here, running, from one demand to the next: nothing is ever computed from a balance that an
earlier demand has changed.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from ledger.rules.errors import InsufficientCredits
from ledger.rules.grant_types import PAID_TYPES
from messages.grants import GrantType


class OnInsufficient(StrEnum):
    """What becomes of a demand that the live grants do not cover."""

    REFUSE = "refuse"
    DEBT = "debt"


@dataclass(slots=True)
class SpendableGrant:
    """A grant with credits left; ``balance`` is what is left now, and runs."""

    grant_id: UUID
    operation_id: str
    type: GrantType
    balance: int
    expires_at: datetime | None
    price_cents: int
    price_credits: int
    currency: str


@dataclass(slots=True)
class Purse:
    """What an account can spend: its live grants in burn order, and what it owes and may owe. All of it runs.

    ``remaining`` is the sum of its live grants' balances. ``grants`` may end where no demand will reach.
    """

    grants: list[SpendableGrant]
    remaining: int
    debt: int
    debt_cap: int
    # The grants before this one are empty.
    _first: int = field(init=False, default=0)

    @property
    def net(self) -> int:
        """Live credits less debt."""
        return self.remaining - self.debt

    def burn(self, credits: int, on_insufficient: OnInsufficient) -> "Burned":
        """Takes ``credits`` from the grants in their order, and the rest as debt if that is allowed.

        All or nothing: raises InsufficientCredits, with nothing taken.
        """
        shortfall = max(0, credits - self.remaining)
        if shortfall:
            room = max(0, self.debt_cap - self.debt) if on_insufficient is OnInsufficient.DEBT else 0
            if shortfall > room:
                raise InsufficientCredits(
                    needed=credits, available=self.remaining + room, remaining_balance=self.remaining
                )
        drawn, first = self._draw(credits - shortfall)
        # From here on nothing can fail, so that a demand is taken whole or not at all.
        for grant, part in drawn:
            grant.balance -= part
        self._first = first
        self.remaining -= credits - shortfall
        self.debt += shortfall
        return Burned(drawn, shortfall)

    def _draw(self, wanted: int) -> tuple[list[tuple[SpendableGrant, int]], int]:
        """Which grants give how much of ``wanted``, and the first grant that has something left then."""
        drawn = []
        place = self._first
        while wanted:
            grant = self.grants[place]
            part = min(wanted, grant.balance)
            if part:
                drawn.append((grant, part))
                wanted -= part
            if part == grant.balance:
                place += 1
        return drawn, place


@dataclass(frozen=True, slots=True)
class Burned:
    """What a demand took: from each grant, in burn order, and as debt."""

    drawn: list[tuple[SpendableGrant, int]]
    debt_incurred: int

    @property
    def from_purchased(self) -> int:
        """How much of it somebody had paid for: purchases, and what was rolled over from them."""
        return sum(credits for grant, credits in self.drawn if grant.type in PAID_TYPES)
