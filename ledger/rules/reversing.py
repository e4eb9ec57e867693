"""Reversals: what a payment gave is taken back, frozen, or given again, as far as the money went.

All is computed from a target (``messages/reversals.py``), never from steps: only the difference to what is booked
moves. What is taken or frozen comes of the payment's own grant first, then of the rollovers that came of it, then of
the others in burn order. What holds keep is passed by.

What a revocation of the grant had taken before counts as taken (it is *covered*): nobody pays twice for the same
credits.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from ledger.rules.burning import Drawn, Purse, SpendableGrant
from ledger.rules.errors import InvalidOrder, LimitExceeded
from ledger.rules.holding import Movement
from ledger.rules.limits import MAX_CREDITS_PER_ACCOUNT, MAX_PAYMENT_ID_LENGTH, MAX_REASON_LENGTH
from ledger.rules.orders import check_text
from messages.reversals import ReversalTarget

# It goes into operation ids.
_PAYMENT_ID = re.compile(rf"[!-.0-~]{{1,{MAX_PAYMENT_ID_LENGTH}}}")


def check_target(target: ReversalTarget) -> None:
    """Raises InvalidOrder for amounts that no payment can have."""
    if not _PAYMENT_ID.fullmatch(target.payment_id):
        raise InvalidOrder("paymentId", "must be the id of a payment")
    if target.paid_cents < 1:
        raise InvalidOrder("paidCents", f"must be above 0, not {target.paid_cents}")
    if not 0 <= target.reversed_cents <= target.paid_cents:
        raise InvalidOrder("reversedCents", f"must be from 0 to {target.paid_cents}, not {target.reversed_cents}")
    if not 0 <= target.frozen_cents <= target.paid_cents - target.reversed_cents:
        raise InvalidOrder("frozenCents", f"must be what is paid and not reversed at most, not {target.frozen_cents}")
    check_text("reason", target.reason, longest=MAX_REASON_LENGTH)


def moves_against(target: ReversalTarget, *, reversed_cents: int, frozen_cents: int) -> bool:
    """Whether money moves against the account, of which so much was reversed and frozen before: more is gone for good,
    or more is out of reach. Credits don't matter: they may have been spent, or revoked, before."""
    before, now = reversed_cents + frozen_cents, target.reversed_cents + target.frozen_cents
    return target.reversed_cents > reversed_cents or now > before


def credits_reversed(principal: int, *, paid_cents: int, reversed_cents: int) -> int:
    """How many of a grant's ``principal`` credits go back with so much of the money: rounded down, all with all."""
    return principal * reversed_cents // paid_cents


def credits_frozen(principal: int, *, paid_cents: int, reversed_cents: int, frozen_cents: int) -> int:
    """How many of them are frozen with so much of the money: rounded down, and all the rest with all the rest."""
    if reversed_cents + frozen_cents == paid_cents:
        return principal - credits_reversed(principal, paid_cents=paid_cents, reversed_cents=reversed_cents)
    return principal * frozen_cents // paid_cents


def in_turn(
    purchase: SpendableGrant, rollovers: Collection[UUID], grants: Iterable[SpendableGrant]
) -> list[SpendableGrant]:
    """The grants in the order in which they give: the purchase, the ``rollovers`` that came of it, the others.

    ``grants`` are those with something left, in burn order.
    """
    rest = [grant for grant in grants if grant.grant_id != purchase.grant_id]
    came_of_it = [grant for grant in rest if grant.grant_id in rollovers]
    return [purchase, *came_of_it, *(grant for grant in rest if grant.grant_id not in rollovers)]


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken: ``credits`` from grants, ``debt_incurred`` for what nobody could pay."""

    movements: list[Movement]
    credits: int
    debt_incurred: int


def take(purse: Purse, sources: Sequence[SpendableGrant], credits: int) -> Taken:
    """Takes ``credits`` out of the account, from the sources in their order; the rest is owed, beyond the debt cap.

    Raises LimitExceeded, with nothing taken, for a debt that no account may have.
    """
    drawn = list(_drawn(sources, credits))
    found = sum(part for _, part in drawn)
    owed = credits - found
    if purse.debt + owed > MAX_CREDITS_PER_ACCOUNT:
        raise LimitExceeded("The debt of the account", limit=MAX_CREDITS_PER_ACCOUNT, would_be=purse.debt + owed)
    movements = []
    for grant, part in drawn:
        grant.balance -= part
        movements.append(Movement("reversed", grant, -part))
    purse.remaining -= found
    if owed:
        purse.debt += owed
        movements.append(Movement("reversed", None, -owed))
    return Taken(movements, found, owed)


def give_back(
    purse: Purse, purchase: SpendableGrant, credits: int, *, principal: int, restored: SpendableGrant
) -> list[Movement]:
    """Gives ``credits`` back to the purchase; of them, the debt takes its part first.

    No grant has more than its principal, and a revoked one nothing: what is beyond that goes to ``restored``, a grant
    that is still to be made and has nothing yet. Raises LimitExceeded for more than an account may have.
    """
    paid = min(credits, purse.debt)
    room = 0 if purchase.revoked else principal - purchase.balance
    kept = min(credits - paid, room)
    beyond = credits - paid - kept
    balance = purse.remaining + purse.held + kept + beyond
    if balance > MAX_CREDITS_PER_ACCOUNT:
        raise LimitExceeded("The credits of the account", limit=MAX_CREDITS_PER_ACCOUNT, would_be=balance)
    purse.debt -= paid
    purse.remaining += kept + beyond
    purchase.balance += kept
    restored.balance += beyond
    moved = (
        Movement("reinstated", purchase, paid + kept),
        Movement("debt-paid", purchase, -paid),
        Movement("debt-paid", None, paid),
        Movement("reinstated", restored, beyond),
    )
    return [movement for movement in moved if movement.credits]


def set_aside(purse: Purse, sources: Sequence[SpendableGrant], credits: int) -> Drawn:
    """Holds ``credits`` of the sources in their order, at most what is there: a freeze makes no debt."""
    drawn = list(_drawn(sources, credits))
    for grant, part in drawn:
        grant.held += part
        purse.remaining -= part
        purse.held += part
    return drawn


@dataclass(slots=True)
class Cover:
    """How much of what a revocation took of the grant (``revoked``) is counted as reversed (``covered``)."""

    covered: int
    revoked: int

    def take(self, credits: int) -> int:
        """How much of ``credits`` is still to be taken: what the revocation took needs not be taken again."""
        found = self.would_cover(credits)
        self.covered += found
        return credits - found

    def give_back(self, credits: int, *, booked: int) -> int:
        """How much of ``credits`` is really given back, of the ``booked`` ones: what was covered comes last, and is
        nothing."""
        real = min(credits, booked - self.covered)
        self.covered -= credits - real
        return real

    def would_cover(self, credits: int) -> int:
        """How much of ``credits`` the revocation took that is not counted yet."""
        return max(0, min(credits, self.revoked - self.covered))


def _drawn(sources: Sequence[SpendableGrant], wanted: int) -> Iterator[tuple[SpendableGrant, int]]:
    """What each gives, of what no hold keeps. Expired and revoked grants have nothing but what is held."""
    for grant in sources:
        part = min(wanted, grant.balance - grant.held)
        if part:
            wanted -= part
            yield grant, part
