"""A ledger on a napkin: lists in memory, no database, no concurrency. Ours must answer and book as it does.

It is written from the contract, not from our rules, and has none of their cleverness: whatever time has done is done
first, one event after the other; then the call is judged, and done.
"""

from calendar import monthrange
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from messages.grants import GrantType
from tests.proof.calls import Answer, Call

TYPES = [str(grant_type) for grant_type in GrantType]
EXPIRING, PURCHASED = ("free", "referral"), ("purchase", "rollover")
LONGEST_HOLD = timedelta(hours=24)


@dataclass
class ModelGrant:
    """A grant: ``left`` is what nobody holds of it, ``held`` what holds keep."""

    grant_id: str
    operation_id: str
    type: str
    principal: int
    left: int
    expires_at: datetime | None
    created_at: datetime
    held: int = 0
    revoked: bool = False

    def is_over(self, at: datetime) -> bool:
        """Whether its credit can no longer be spent at that instant."""
        return self.revoked or (self.expires_at is not None and at >= self.expires_at)


@dataclass
class ModelHold:
    """A hold, with what it keeps of each grant (by the operation id), in burn order. A freeze is one without end."""

    operation_id: str
    credits: int
    made_by: str
    made_at: datetime
    until: datetime | None
    parts: list[tuple[str, int]]
    state: str = "open"


@dataclass
class ModelReversal:
    """What is booked for a payment, by the grant that it paid for."""

    reversed_cents: int = 0
    frozen_cents: int = 0
    credits: int = 0
    to_freeze: int = 0
    covered: int = 0
    freeze: str | None = None
    changes: int = 0


@dataclass(frozen=True)
class ModelEntry:
    """An entry of the journal, as far as it can be known before it is written; ``grant`` by its operation id."""

    seq: int
    operation_id: str
    kind: str
    grant: str | None
    credits: int
    effective_at: datetime


@dataclass
class ModelAccount:
    """An account. ``opened_at`` is the instant at which its months begin; ``seq`` counts its changes."""

    opened_at: datetime
    debt_cap: int
    debt: int = 0
    seq: int = 0
    usage: int = 0
    grants: dict[str, ModelGrant] = field(default_factory=dict)
    holds: dict[str, ModelHold] = field(default_factory=dict)
    reversals: dict[str, ModelReversal] = field(default_factory=dict)
    # Which purchase a grant came of that a reversal gave back.
    came_of: dict[str, str] = field(default_factory=dict)
    # The payload that took an operation id, and the first answer.
    taken: dict[str, tuple[Call, Answer]] = field(default_factory=dict)
    entries: list[ModelEntry] = field(default_factory=list)
    # What time has done and no change has booked yet: the entries, and how many events it was.
    unbooked: list[ModelEntry] = field(default_factory=list)
    events: int = 0

    def copy(self) -> "ModelAccount":
        """Another account that stands where this one stands."""
        other = copy(self)
        other.grants = {name: copy(grant) for name, grant in self.grants.items()}
        other.holds = {name: copy(hold) for name, hold in self.holds.items()}
        other.reversals = {name: copy(reversal) for name, reversal in self.reversals.items()}
        other.came_of = dict(self.came_of)
        other.taken, other.entries, other.unbooked = dict(self.taken), list(self.entries), list(self.unbooked)
        return other

    # What time does

    def catch_up(self, now: datetime) -> None:
        """Expiries and lapses up to now, in the order of their instants; at one instant the expiry comes first."""
        # One at a time: what a lapse gives back may expire next.
        while due := min(self._due(now), default=None):
            at, lapses, _, name = due
            self.events += 1
            if not lapses:
                grant = self.grants[name]
                self.leave(f"expire/{name}", "expired", name, grant.left, at, due=True)
                grant.left = 0
            else:
                hold = self.holds[name]
                self.give_back(hold.parts, f"lapse/{name}", at, due=True)
                hold.state = "lapsed"

    def _due(self, now: datetime) -> Iterator[tuple[datetime, bool, datetime, str]]:
        for grant in self.grants.values():
            if grant.left and grant.expires_at is not None and grant.expires_at <= now:
                yield grant.expires_at, False, grant.created_at, grant.operation_id
        for hold in self.holds.values():
            if hold.state == "open" and hold.until is not None and hold.until <= now:
                yield hold.until, True, hold.made_at, hold.operation_id

    # What is there

    def in_burn_order(self, at: datetime) -> list[ModelGrant]:
        """The grants that can pay at that instant."""
        return sorted((grant for grant in self.grants.values() if not grant.is_over(at)), key=turn)

    def spendable(self, at: datetime) -> int:
        """What can be spent at that instant."""
        return sum(grant.left for grant in self.in_burn_order(at))

    @property
    def held(self) -> int:
        """What open holds keep."""
        return sum(grant.held for grant in self.grants.values())

    def numbers(self, now: datetime) -> Answer:
        remaining = self.spendable(now)
        return {"debt": self.debt, "remaining": remaining, "net": remaining + self.held - self.debt}

    # What is written

    def change(self) -> None:
        """Every change begins with booking what time has done."""
        self.seq += 1
        self.entries += [replace(entry, seq=self.seq) for entry in self.unbooked]
        self.unbooked, self.events = [], 0

    def enter(
        self, operation_id: str, kind: str, grant: str | None, credits: int, at: datetime, *, due: bool = False
    ) -> None:
        if credits:
            entry = ModelEntry(self.seq, operation_id, kind, grant, credits, at)
            (self.unbooked if due else self.entries).append(entry)

    def leave(self, operation_id: str, kind: str, grant: str, credits: int, at: datetime, *, due: bool) -> None:
        self.enter(operation_id, kind, grant, -credits, at, due=due)

    def give_back(self, parts: list[tuple[str, int]], operation_id: str, at: datetime, *, due: bool = False) -> None:
        """What a hold does not keep any longer: gone with its grant, or to the debt, or spendable again."""
        for name, credits in parts:
            grant = self.grants[name]
            grant.held -= credits
            if grant.is_over(at):
                self.leave(operation_id, "revoked" if grant.revoked else "expired", name, credits, at, due=due)
                continue
            paid = min(self.debt, credits)
            self.debt -= paid
            grant.left += credits - paid
            self.enter(operation_id, "debt-paid", name, -paid, at, due=due)
            self.enter(operation_id, "debt-paid", None, paid, at, due=due)

    def burn(self, credits: int, now: datetime) -> tuple[list[tuple[str, int]], int]:
        """Takes from the grants in their order: what each gives, and what nobody gives."""
        drawn = []
        for grant in self.in_burn_order(now):
            part = min(grant.left, credits)
            if part:
                grant.left -= part
                credits -= part
                drawn.append((grant.operation_id, part))
        return drawn, credits

    def spent(self, call: Call, drawn: list[tuple[str, int]], owed: int, operation_id: str, now: datetime) -> Answer:
        """Books what was spent and gives the answer, but for the numbers after it."""
        for name, credits in drawn:
            self.enter(operation_id, "consumed", name, -credits, now)
        self.enter(operation_id, "debt-incurred", None, -owed, now)
        self.debt += owed
        self.usage += call.credits
        purchased = sum(credits for name, credits in drawn if self.grants[name].type in PURCHASED)
        return {
            "consumed": sum(credits for _, credits in drawn) + owed,
            "fromPurchased": purchased,
            "allocations": self.allocations(drawn),
            "debtIncurred": owed,
        }

    def allocations(self, drawn: list[tuple[str, int]]) -> list[list[object]]:
        """What each grant gave, as it is told."""
        return [[self.grants[name].grant_id, name, self.grants[name].type, credits] for name, credits in drawn]

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


def turn(grant: ModelGrant) -> tuple[int, bool, datetime | None, datetime, str]:
    """The grant's turn in the burn order."""
    return TYPES.index(grant.type), grant.expires_at is None, grant.expires_at, grant.created_at, grant.grant_id
