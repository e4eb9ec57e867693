"""Deferred revenue: what was paid for and is not spent, at the price that it was bought at.

It counts by the time of effect, as :mod:`ledger.explaining` does, so that a report for a past instant is the same
whenever it is made. Each grant's unspent credits are worth their price in whole minor units, rounded up, once; every
sum is a sum of these, so that all sums agree.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.rules.errors import InvalidOrder
from ledger.rules.grant_types import PAID_TYPES
from ledger.rules.money import Price, credits_to_cents
from ledger.standing import Standing, standings
from ledger.store import books
from ledger.store.accounts import read_clock
from ledger.transaction import with_snapshot
from messages.grants import GrantType

FIRST = UUID(int=0)


@dataclass(frozen=True, order=True)
class CostBasis:
    """What is reported together: grants of a currency and type, made in one month (``2027-01``, UTC) at one price."""

    currency: str
    type: GrantType
    month: str
    price_cents: int
    price_credits: int


@dataclass
class Deferred:
    """How many grants have something left, how many credits, and what these cost in minor units."""

    grants: int = 0
    credits: int = 0
    cents: int = 0

    def take_in(self, other: "Deferred") -> None:
        """Adds another's."""
        self.grants += other.grants
        self.credits += other.credits
        self.cents += other.cents


Report = dict[CostBasis, Deferred]


@dataclass(frozen=True)
class DeferredPage:
    """A part of the report as of ``at``, for some accounts; ``next_after`` is the last of them, None at the end."""

    at: datetime
    report: Report
    next_after: UUID | None


async def deferred_revenue_page(
    engine: AsyncEngine, *, at: datetime | None = None, after: UUID = FIRST, limit: int
) -> DeferredPage:
    """The deferred revenue of at most ``limit`` accounts behind the id ``after``, as of ``at`` (None: now).

    Pages are added up with :func:`add_to`; from the second on they must be asked for with the first one's ``at``.
    Raises InvalidOrder for an instant that has not come.
    """

    async def work(tx: AsyncConnection) -> DeferredPage:
        now = await read_clock(tx)
        instant = at or now
        if instant > now:
            raise InvalidOrder("at", f"has not come: it is {now.isoformat()}")
        accounts, more = await books.next_accounts(tx, after, limit=limit)
        report: Report = {}
        if accounts:
            for standing in await standings(tx, accounts, instant):
                add_to(report, _unspent(standing))
        return DeferredPage(instant, report, accounts[-1].account_id if more else None)

    return await with_snapshot(engine, work, what="deferred revenue")


def add_to(report: Report, lines: Iterable[tuple[CostBasis, Deferred]]) -> None:
    """Adds lines to a report."""
    for basis, deferred in lines:
        report.setdefault(basis, Deferred()).take_in(deferred)


def _unspent(standing: Standing) -> Iterable[tuple[CostBasis, Deferred]]:
    for grant in standing.grants:
        credits = standing.tallies[grant.grant_id].balance
        if grant.type in PAID_TYPES and credits > 0:
            cents = credits_to_cents(credits, grant.price)
            yield _basis(grant.type, grant.created_at, grant.price), Deferred(1, credits, cents)


def _basis(grant_type: GrantType, created_at: datetime, price: Price) -> CostBasis:
    month = created_at.astimezone(UTC).strftime("%Y-%m")
    return CostBasis(price.currency, grant_type, month, price.cents, price.credits)
