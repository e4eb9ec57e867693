"""What must be equal in the books, of one currency or in all.

Of the grants: issued + reinstated = consumed + debt paid + expired + revoked + reversed + live.
Of the debt: incurred + reversed = paid + owed.
Hence, with spent = consumed + debt incurred, and reversed in all less what was reinstated:
issued = spent + expired + revoked + reversed + live - owed.

The left sides come from the journal; ``live`` and ``debt`` from the rows that are spent from.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Totals:
    """Sums in credits. ``grants`` and ``debts`` are signed sums by kind of the entries of grants, and of the debt.

    ``live`` is what the grants' rows say that is left, of which holds keep ``held``, and ``due`` has expired and is not
    booked; ``debt`` is what the accounts' rows say that is owed.
    """

    grants: Counter[str] = field(default_factory=Counter)
    debts: Counter[str] = field(default_factory=Counter)
    live: int = 0
    held: int = 0
    due: int = 0
    debt: int = 0

    @property
    def issued(self) -> int:
        """What grants brought in."""
        return self.grants["granted"]

    @property
    def debt_paid(self) -> int:
        """What of it went to debts."""
        return -self.grants["debt-paid"]

    @property
    def spent(self) -> int:
        """What was consumed, from grants and on credit."""
        return -self.grants["consumed"] - self.debts["debt-incurred"]

    @property
    def expired(self) -> int:
        """What nobody spent in time, as far as it is booked."""
        return -self.grants["expired"]

    @property
    def revoked(self) -> int:
        """What was taken back."""
        return -self.grants["revoked"]

    @property
    def reversed(self) -> int:
        """What went back with its payment, from grants and on credit, less what was given back."""
        return -self.grants["reversed"] - self.debts["reversed"] - self.grants["reinstated"]

    @property
    def grants_difference(self) -> int:
        """What the grants' entries leave, less what is live: nothing, if the books are right."""
        return self.grants.total() - self.live

    @property
    def debts_difference(self) -> int:
        """What the debt's entries leave, and what is owed: nothing, if the books are right."""
        return self.debts.total() + self.debt

    @property
    def adds_up(self) -> bool:
        """Whether both are nothing, and what grants paid is what debts lost."""
        return not (self.grants_difference or self.debts_difference)

    def take_in(self, other: "Totals") -> None:
        """Adds all of another's."""
        for mine, its in ((self.grants, other.grants), (self.debts, other.debts)):
            for kind, credits in its.items():
                mine[kind] += credits
        self.live += other.live
        self.held += other.held
        self.due += other.due
        self.debt += other.debt
