"""Explanations of a balance on the wire."""

from datetime import datetime

from api.wire.base import Answer, Page
from api.wire.entries import EntryAnswer
from ledger.explaining import Explanation, GrantThen
from ledger.standing import Tally
from messages.grants import GrantType


class KindTotal(Answer):
    """Entries of one kind: how many, and their signed sum."""

    kind: str
    credits: int
    entries: int


class DueTotal(Answer):
    """What had fallen due and is not booked to this day, as what it will be booked: its signed sum."""

    kind: str
    credits: int


class TypeThen(Answer):
    """The grants of one type: signed sums by kind, what is due, and what was left, which is the sum of them all."""

    type: GrantType
    by_kind: dict[str, int]
    not_booked: dict[str, int]
    balance: int


class GrantThenAnswer(Answer):
    """A grant that had something left, of which open holds kept ``held``; ``balance`` is the sum of ``byKind`` and
    ``notBooked``."""

    grant_id: str
    operation_id: str
    type: GrantType
    principal: int
    created_at: datetime
    expires_at: datetime | None
    by_kind: dict[str, int]
    not_booked: dict[str, int]
    balance: int
    held: int

    @classmethod
    def of(cls, then: GrantThen) -> "GrantThenAnswer":
        """The grant on the wire."""
        grant = then.grant
        return cls(
            grant_id=str(grant.grant_id),
            operation_id=grant.operation_id,
            type=grant.type,
            principal=grant.principal,
            created_at=grant.created_at,
            expires_at=grant.expires_at,
            by_kind=dict(then.tally.by_kind),
            not_booked=dict(then.tally.not_booked),
            balance=then.tally.balance,
            held=then.held,
        )


class ExplanationAnswer(Answer):
    """An account at the instant ``at``, in credits, and what made it so.

    ``byKind`` and ``notBooked`` sum to ``netBalance``; the balances ``byType`` less ``debt`` do too. ``seq`` is the
    latest change that counts. ``grants`` are those with something left, in burn order, at most 200 of ``grantsLeft``.
    ``entries`` are the latest that count, the newest first; its ``nextCursor`` asks for the ones before.
    """

    account_id: str
    at: datetime
    seq: int
    remaining_balance: int
    net_balance: int
    debt: int
    held: int
    balance_breakdown: dict[GrantType, int]
    usage: int
    cycle_start: datetime
    by_kind: list[KindTotal]
    not_booked: list[DueTotal]
    by_type: list[TypeThen]
    debt_by_kind: dict[str, int]
    grants: list[GrantThenAnswer]
    grants_left: int
    entries: Page[EntryAnswer]

    @classmethod
    def of(cls, found: Explanation, *, next_cursor: str | None) -> "ExplanationAnswer":
        """The explanation on the wire."""
        return cls(
            account_id=found.account_id,
            at=found.at,
            seq=found.seq,
            remaining_balance=found.remaining,
            net_balance=found.net,
            debt=found.debt,
            held=found.held,
            balance_breakdown={kind: tally.balance for kind, tally in found.by_type.items()},
            usage=found.usage,
            cycle_start=found.cycle_start,
            by_kind=[
                KindTotal(kind=kind, credits=credits, entries=found.whole.entries[kind])
                for kind, credits in found.whole.by_kind.items()
            ],
            not_booked=[DueTotal(kind=kind, credits=credits) for kind, credits in found.whole.not_booked.items()],
            by_type=[_type(kind, tally) for kind, tally in found.by_type.items()],
            debt_by_kind=dict(found.debt_tally.by_kind),
            grants=[GrantThenAnswer.of(then) for then in found.grants],
            grants_left=found.grants_left,
            entries=Page[EntryAnswer](
                data=[EntryAnswer.of(entry) for entry in found.page.entries], next_cursor=next_cursor
            ),
        )


def _type(kind: GrantType, tally: Tally) -> TypeThen:
    return TypeThen(type=kind, by_kind=dict(tally.by_kind), not_booked=dict(tally.not_booked), balance=tally.balance)
