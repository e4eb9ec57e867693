"""Explains a balance: what an account had at any past instant, added up anew from the entries that make it.

Time is that of effect. An entry counts from its ``effective_at``, however late it was booked; what had fallen due at
the instant and is not booked to this day is shown as what it will be booked as.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.history import ENTRY_KINDS, EntryPage
from ledger.rules.burn_order import burn_order, is_live
from ledger.rules.errors import InvalidOrder, UnknownAccount
from ledger.rules.reset_dates import cycle_start_at
from ledger.store import books
from ledger.store.accounts import parse_account_id
from ledger.store.books import AccountBooks, EntrySum, GrantBooks
from ledger.store.history import EntryFilter, EntryKey, read_entries
from ledger.transaction import with_snapshot
from messages.grants import GrantType

# An account may have had any number of grants. Those with something left are named, up to so many.
GRANTS_NAMED = 200

_INSTANT = timedelta(microseconds=1)


@dataclass
class Tally:
    """What entries come to: credits (signed) and entries by kind; ``not_booked`` is what is due, by kind."""

    by_kind: Counter[str] = field(default_factory=Counter)
    entries: Counter[str] = field(default_factory=Counter)
    not_booked: Counter[str] = field(default_factory=Counter)

    @property
    def balance(self) -> int:
        """The sum of it all."""
        return self.by_kind.total() + self.not_booked.total()

    def add(self, kind: str, credits: int, entries: int) -> None:
        """Adds entries."""
        self.by_kind[kind] += credits
        self.entries[kind] += entries

    def take_in(self, other: "Tally") -> None:
        """Adds all of another tally."""
        for mine, its in (
            (self.by_kind, other.by_kind),
            (self.entries, other.entries),
            (self.not_booked, other.not_booked),
        ):
            for kind, number in its.items():
                mine[kind] += number


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
    engine: AsyncEngine, account_id: str, *, at: datetime | None = None, after: EntryKey | None = None, limit: int
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
    tx: AsyncConnection, account: AccountBooks, at: datetime, *, after: EntryKey | None, limit: int
) -> Explanation:
    sums: list[EntrySum] = []
    for changes in books.spans_of_changes(account.seq):
        sums += await books.sum_entries(tx, [account.account_id], changes=changes, at=at)
    sums.sort(key=lambda each: ENTRY_KINDS.index(each.kind))
    seq = max((each.latest_seq for each in sums), default=0)
    tallies: defaultdict[UUID | None, Tally] = defaultdict(Tally)
    for each in sums:
        tallies[each.grant_id].add(each.kind, each.credits, each.entries)
    grants = [each for each in await books.read_grants(tx, [account.account_id]) if each.grant_id in tallies]
    _take_in_what_is_due(grants, tallies, at)
    cycle_start = cycle_start_at(
        at, cycle_start=account.cycle_start, anchor_day=account.reset_anchor_day, opened_at=account.created_at
    )
    wanted = EntryFilter(until=at + _INSTANT, upto_seq=seq)
    latest = await read_entries(tx, account.account_id, wanted, after=after, newest_first=True, limit=limit)
    left = [each for each in grants if tallies[each.grant_id].balance]
    return Explanation(
        account_id=str(account.account_id),
        at=at,
        seq=seq,
        usage=await books.sum_usage(tx, account.account_id, since=cycle_start, at=at),
        cycle_start=cycle_start,
        held=0,
        whole=_total(tallies.values()),
        debt_tally=tallies[None],
        by_type={kind: _total(tallies[each.grant_id] for each in grants if each.type is kind) for kind in GrantType},
        grants=[
            GrantThen(each, tallies[each.grant_id], held=0) for each in sorted(left, key=burn_order)[:GRANTS_NAMED]
        ],
        grants_left=len(left),
        page=EntryPage(*latest),
    )


def _take_in_what_is_due(grants: Iterable[GrantBooks], tallies: dict[UUID | None, Tally], at: datetime) -> None:
    for each in grants:
        tally = tallies[each.grant_id]
        if not is_live(each.expires_at, at) and tally.balance:
            tally.not_booked["expired"] -= tally.balance


def _total(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for each in tallies:
        total.take_in(each)
    return total
