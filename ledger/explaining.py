"""Explains a balance: what an account had at any past instant, added up anew from the entries that make it.

Time is that of effect. An entry counts from its ``effective_at``, however late it was booked; what had fallen due at
the instant and is not booked to this day is shown as what it will be booked as.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.history import EntryPage
from ledger.rules.errors import InvalidOrder, UnknownAccount
from ledger.rules.reset_dates import cycle_start_at
from ledger.standing import Tally, standings, total
from ledger.store import books
from ledger.store.accounts import parse_account_id
from ledger.store.books import AccountBooks, GrantBooks
from ledger.store.history import EntryFilter, read_entries
from ledger.transaction import with_snapshot
from messages.grants import GrantType

# An account may have had any number of grants. Those with something left are named, up to so many.
GRANTS_NAMED = 200

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class GrantThen:
    """A grant as it was at the instant: what it had left, the part of it that open holds kept, and how it came so."""

    grant: GrantBooks
    tally: Tally
    held: int


@dataclass(frozen=True)
class Explanation:
    """An account at the instant ``at`` (UTC), in credits.

    ``whole`` sums to ``net``; ``by_type`` (all five) and ``debt_tally`` sum to the same. ``seq`` is the latest change
    that counts. ``grants`` names those with something left, in burn order, at most GRANTS_NAMED of the ``grants_left``.
    ``page`` has the latest entries that count, the newest first.
    """

    account_id: str
    at: datetime
    seq: int
    usage: int
    cycle_start: datetime
    held: int
    whole: Tally
    debt_tally: Tally
    by_type: dict[GrantType, Tally]
    grants: list[GrantThen]
    grants_left: int
    page: EntryPage

    @property
    def debt(self) -> int:
        """What was owed."""
        return -self.debt_tally.balance

    @property
    def net(self) -> int:
        """Live credits less debt."""
        return self.whole.balance

    @property
    def remaining(self) -> int:
        """What could be spent."""
        return self.net + self.debt - self.held


async def explain(
    engine: AsyncEngine, account_id: str, *, at: datetime | None = None, after: int | None = None, limit: int
) -> Explanation:
    """The account at the instant ``at`` (None: now), with at most ``limit`` of the latest entries behind ``after``.

    Raises UnknownAccount, and InvalidOrder for an instant that has not come.
    """
    parsed = parse_account_id(account_id)

    async def work(tx: AsyncConnection) -> Explanation:
        found = await books.read_books(tx, [parsed])
        if not found:
            raise UnknownAccount(account_id)
        account = found[0]
        instant = at or account.now
        if instant > account.now:
            raise InvalidOrder("at", f"has not come: it is {account.now.isoformat()}")
        return await _explained(tx, account, instant, after=after, limit=limit)

    return await with_snapshot(engine, work, what="explain")


async def _explained(
    tx: AsyncConnection, account: AccountBooks, at: datetime, *, after: int | None, limit: int
) -> Explanation:
    cycle_start = cycle_start_at(
        at, cycle_start=account.cycle_start, anchor_day=account.reset_anchor_day, opened_at=account.created_at
    )
    [standing] = await standings(tx, [account], at, spent_since=cycle_start)
    tallies, held = standing.tallies, standing.held
    wanted = EntryFilter(until=at + _INSTANT, upto=standing.last_entry)
    latest = await read_entries(tx, account.account_id, wanted, after=after, newest_first=True, limit=limit)
    left = [each for each in standing.grants if tallies[each.grant_id].balance]
    return Explanation(
        account_id=str(account.account_id),
        at=at,
        seq=standing.last_seq,
        usage=standing.usage,
        cycle_start=cycle_start,
        held=sum(held.values()),
        whole=total(tallies.values()),
        debt_tally=tallies[None],
        by_type={
            kind: total(tallies[each.grant_id] for each in standing.grants if each.type is kind) for kind in GrantType
        },
        grants=[GrantThen(each, tallies[each.grant_id], held[each.grant_id]) for each in left[:GRANTS_NAMED]],
        grants_left=len(left),
        page=EntryPage(*latest),
    )
