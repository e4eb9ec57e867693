"""A ledger on a napkin: lists in memory, no database, no concurrency. Ours must equal it."""

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import datetime

from messages.grants import GrantOrder, GrantType


@dataclass
class ModelGrant:
    """A grant, with what is left of it."""

    order: GrantOrder
    expires_at: datetime | None
    left: int
    revoked: int | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether its credit can no longer be spent."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass
class ModelAccount:
    """An account: grants, and what it owes. ``opened_at`` is the instant at which its months begin."""

    opened_at: datetime
    debt: int = 0
    grants: list[ModelGrant] = field(default_factory=list)

    def give(self, order: GrantOrder, now: datetime) -> ModelGrant:
        """A new grant, of which the debt gets its part first."""
        self.forget_expired(now)
        paid = min(self.debt, order.credits)
        self.debt -= paid
        expires = order.type in (GrantType.FREE, GrantType.REFERRAL)
        made = ModelGrant(order, (order.expires_at or self.reset_after(now)) if expires else None, order.credits - paid)
        self.grants.append(made)
        return made

    def take_back(self, grant: ModelGrant, now: datetime) -> int:
        """Revokes a grant; once."""
        if grant.revoked is None:
            grant.revoked = 0 if grant.is_over(now) else grant.left
            self.forget_expired(now)
            grant.left = 0
        return grant.revoked

    def spend(self, credits: int, *, into_debt: bool, debt_cap: int, now: datetime) -> bool:
        """Spends, the cheapest type first; False if it can't, and then nothing happens."""
        if credits > sum(self.spendable(now).values()) + (max(0, debt_cap - self.debt) if into_debt else 0):
            return False
        self.forget_expired(now)
        for grant in sorted(self.grants, key=_turn):
            part = min(grant.left, credits)
            grant.left -= part
            credits -= part
        self.debt += credits
        return True

    def forget_expired(self, now: datetime) -> None:
        """What every change of an account begins with."""
        for grant in self.grants:
            if grant.is_over(now):
                grant.left = 0

    def spendable(self, now: datetime) -> dict[GrantType, int]:
        """What can be spent now, by type."""
        live = [grant for grant in self.grants if not grant.is_over(now)]
        return {kind: sum(each.left for each in live if each.order.type is kind) for kind in GrantType}

    def reset_after(self, now: datetime) -> datetime:
        """The first of the account's monthly dates after ``now``, counted from its opening each time."""
        months = 0
        while True:
            months += 1
            year, month = divmod(self.opened_at.month - 1 + months, 12)
            year, month = self.opened_at.year + year, month + 1
            day = min(self.opened_at.day, monthrange(year, month)[1])
            date = self.opened_at.replace(year=year, month=month, day=day)
            if date > now:
                return date


def _turn(grant: ModelGrant) -> tuple[int, bool, datetime | None]:
    # Sorting keeps the order of those that are equal, and the grants are listed as they came.
    return list(GrantType).index(grant.order.type), grant.expires_at is None, grant.expires_at
