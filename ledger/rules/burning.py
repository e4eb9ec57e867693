"""Burning: which grants pay for a demand, how much of it is debt, or why it is refused.

What a hold keeps (``held``) is part of a grant's balance and no demand reaches it.

Whatever is left is kept here, running, from one demand to the next: nothing is ever computed from a balance that an
earlier demand has changed.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from ledger.rules.errors import InsufficientCredits, LimitExceeded
from ledger.rules.grant_types import PAID_TYPES
from ledger.rules.limits import MAX_CREDITS_PER_ACCOUNT
from messages.grants import GrantType


class OnInsufficient(StrEnum):
    """What becomes of a demand that the live grants do not cover."""

    REFUSE = "refuse"
    DEBT = "debt"


@dataclass(slots=True)
class SpendableGrant:
    """A grant with credits left. ``balance`` is what is left now, ``held`` the part of it that open holds keep; both
    run. ``revoked`` is known where holds are closed: what they give back of such a grant is taken."""

    grant_id: UUID
    operation_id: str
    type: GrantType
    balance: int
    expires_at: datetime | None
    price_cents: int
    price_credits: int
    currency: str
    held: int = 0
    revoked: bool = False


# What each of some grants gives, in their order.
Drawn = list[tuple[SpendableGrant, int]]


@dataclass(slots=True)
class Purse:
    """What an account can spend: its grants in burn order, and what it owes and may owe. All of it runs.

    ``remaining`` is what can be spent: what the live grants have and no hold keeps. ``held`` is what open holds keep.
    ``grants`` may end where no demand will reach; of expired ones nothing is left but what is held.
    """

    grants: list[SpendableGrant]
    remaining: int
    debt: int
    debt_cap: int
    held: int = 0
    # The grants before this one have nothing to give.
    _first: int = field(init=False, default=0)

    @property
    def net(self) -> int:
        """What the grants have, held or not, less debt."""
        return self.remaining + self.held - self.debt

    def rest(self) -> list[SpendableGrant]:
        """The grants that have something to give still, and those behind them."""
        return self.grants[self._first :]

    def burn(self, credits: int, on_insufficient: OnInsufficient) -> "Burned":
        """Takes ``credits`` from the grants in their order, and the rest as debt if that is allowed.

        All or nothing: raises InsufficientCredits, with nothing taken.
        """
        shortfall = credits - self.remaining
        if shortfall > 0:
            room = max(0, self.debt_cap - self.debt) if on_insufficient is OnInsufficient.DEBT else 0
            if shortfall > room:
                raise InsufficientCredits(
                    needed=credits, available=self.remaining + room, remaining_balance=self.remaining
                )
        return self.burn_in_full(credits)

    def burn_in_full(self, credits: int) -> "Burned":
        """Takes ``credits`` from the grants in their order, and the rest as debt, however much that is.

        Raises LimitExceeded, with nothing taken, for a debt that no account may have.
        """
        shortfall = max(0, credits - self.remaining)
        if self.debt + shortfall > MAX_CREDITS_PER_ACCOUNT:
            raise LimitExceeded(
                "The debt of the account", limit=MAX_CREDITS_PER_ACCOUNT, would_be=self.debt + shortfall
            )
        drawn, first = self._draw(credits - shortfall)
        # From here on nothing can fail, so that a demand is taken whole or not at all.
        for grant, part in drawn:
            grant.balance -= part
        self._first = first
        self.remaining -= credits - shortfall
        self.debt += shortfall
        return Burned(drawn, shortfall)

    def set_aside(self, credits: int) -> Drawn:
        """Holds ``credits`` of the grants in their order: they stay there, and nobody else can spend them.

        All or nothing: raises InsufficientCredits, with nothing held.
        """
        if credits > self.remaining:
            raise InsufficientCredits(needed=credits, available=self.remaining, remaining_balance=self.remaining)
        drawn, self._first = self._draw(credits)
        for grant, part in drawn:
            grant.held += part
        self.remaining -= credits
        self.held += credits
        return drawn

    def spend_held(self, parts: Drawn) -> None:
        """Spends these parts of what is held."""
        for grant, part in parts:
            grant.balance -= part
            grant.held -= part
            self.held -= part

    def set_free(self, grant: SpendableGrant, credits: int) -> int:
        """Gives ``credits`` of what is held back to their live grant; the debt takes its part first. Answers how much
        it took."""
        paid = min(credits, self.debt)
        grant.held -= credits
        grant.balance -= paid
        self.held -= credits
        self.debt -= paid
        self.remaining += credits - paid
        # The grant may stand before those that are empty.
        self._first = 0
        return paid

    def take_held(self, grant: SpendableGrant, credits: int) -> None:
        """Takes ``credits`` of what is held out of the account: their grant has expired, or was revoked."""
        grant.held -= credits
        grant.balance -= credits
        self.held -= credits

    def expire(self, grant: SpendableGrant) -> int:
        """Takes out of the account what no hold keeps of the grant, and answers how much that was."""
        expired = grant.balance - grant.held
        grant.balance = grant.held
        self.remaining -= expired
        return expired

    def _draw(self, wanted: int) -> tuple[Drawn, int]:
        """Which grants give how much of ``wanted``, and the first grant that has something to give then."""
        drawn: Drawn = []
        place = self._first
        while wanted:
            grant = self.grants[place]
            free = grant.balance - grant.held
            part = min(wanted, free)
            if part:
                drawn.append((grant, part))
                wanted -= part
            if part == free:
                place += 1
        return drawn, place


@dataclass(frozen=True, slots=True)
class Burned:
    """What a demand took: from each grant, in burn order, and as debt."""

    drawn: Drawn
    debt_incurred: int

    @property
    def from_purchased(self) -> int:
        """How much of it somebody had paid for: purchases, and what was rolled over from them."""
        return purchased_part(self.drawn)


def purchased_part(drawn: Drawn) -> int:
    """How much of what was drawn somebody had paid for: purchases, and what was rolled over from them."""
    return sum(credits for grant, credits in drawn if grant.type in PAID_TYPES)
