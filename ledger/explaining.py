"""Explains a balance: what an account had at any past instant, added up anew from the entries that make it.

Time is that of effect. An entry counts from its ``effective_at``, however late it was booked; what had fallen due at
the instant and is not booked to this day is shown as what it will be booked as.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.history import ENTRY_KINDS, EntryPage
from ledger.rules.burn_order import burn_order
from ledger.rules.burning import Purse, SpendableGrant
from ledger.rules.catching_up import catch_up
from ledger.rules.errors import InvalidOrder, UnknownAccount
from ledger.rules.holding import Hold
from ledger.rules.reset_dates import cycle_start_at
from ledger.store import books
from ledger.store.accounts import parse_account_id
from ledger.store.books import AccountBooks, EntrySum, GrantBooks
from ledger.store.history import EntryFilter, read_entries
from ledger.store.past_holds import KeptPart, kept_at
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
    sums: list[EntrySum] = []
    async for span in books.spans_of_entries(tx, account.account_id):
        sums += await books.sum_entries(tx, [account.account_id], span=span, at=at, spent_since=cycle_start)
    sums.sort(key=lambda each: ENTRY_KINDS.index(each.kind))
    tallies: defaultdict[UUID | None, Tally] = defaultdict(Tally)
    for each in sums:
        tallies[each.grant_id].add(each.kind, each.credits, each.entries)
    grants = [each for each in await books.read_grants(tx, [account.account_id]) if each.grant_id in tallies]
    kept = await kept_at(tx, account.account_id, at)
    held = _take_in_what_is_due(sorted(grants, key=burn_order), kept, tallies, at)
    wanted = EntryFilter(until=at + _INSTANT, upto=max((each.last_entry for each in sums), default=0))
    latest = await read_entries(tx, account.account_id, wanted, after=after, newest_first=True, limit=limit)
    left = sorted((each for each in grants if tallies[each.grant_id].balance), key=burn_order)
    return Explanation(
        account_id=str(account.account_id),
        at=at,
        seq=max((each.last_seq for each in sums), default=0),
        usage=sum(each.spent_since for each in sums),
        cycle_start=cycle_start,
        held=sum(held.values()),
        whole=_total(tallies.values()),
        debt_tally=tallies[None],
        by_type={kind: _total(tallies[each.grant_id] for each in grants if each.type is kind) for kind in GrantType},
        grants=[GrantThen(each, tallies[each.grant_id], held[each.grant_id]) for each in left[:GRANTS_NAMED]],
        grants_left=len(left),
        page=EntryPage(*latest),
    )


def _take_in_what_is_due(
    grants: Sequence[GrantBooks], kept: Iterable[KeptPart], tallies: dict[UUID | None, Tally], at: datetime
) -> dict[UUID, int]:
    """Adds to the tallies what had happened by itself and is not booked; answers what open holds keep of each grant."""
    left = {each.grant_id: _left(each, tallies[each.grant_id].balance, at) for each in grants}
    holds = _holds(kept, left)
    for hold in holds:
        for grant, part in hold.parts:
            grant.held += part
    held = sum(grant.held for grant in left.values())
    spendable = sum(grant.balance for grant in left.values()) - held
    purse = Purse(list(left.values()), spendable, -tallies[None].balance, 0, held=held)
    for event in catch_up(purse, holds, at):
        for movement in event.movements:
            whose = None if movement.grant is None else movement.grant.grant_id
            tallies[whose].not_booked[movement.kind] += movement.credits
    return {grant_id: grant.held for grant_id, grant in left.items()}


def _left(grant: GrantBooks, balance: int, at: datetime) -> SpendableGrant:
    price = grant.price
    revoked = grant.revoked_at is not None and grant.revoked_at <= at
    return SpendableGrant(
        grant.grant_id,
        grant.operation_id,
        grant.type,
        balance,
        grant.expires_at,
        price.cents,
        price.credits,
        price.currency,
        revoked=revoked,
    )


def _holds(kept: Iterable[KeptPart], grants: Mapping[UUID, SpendableGrant]) -> list[Hold]:
    """The holds that the parts make up, each with its parts in burn order, which is that of ``grants``."""
    holds: dict[str, Hold] = {}
    parts: defaultdict[str, dict[UUID, int]] = defaultdict(dict)
    for each in kept:
        holds.setdefault(
            each.operation_id, Hold(each.operation_id, each.credits, each.made_by, each.held_until, each.created_at)
        )
        parts[each.operation_id][each.grant_id] = each.part
    for name, hold in holds.items():
        hold.parts = [(grant, parts[name][grant_id]) for grant_id, grant in grants.items() if grant_id in parts[name]]
    return list(holds.values())


def _total(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for each in tallies:
        total.take_in(each)
    return total
