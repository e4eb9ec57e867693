"""How accounts stood at an instant, by the time of effect: their grants, tallied from the journal, what holds kept, and
what had happened by itself and is not booked to this day."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.history import ENTRY_KINDS
from ledger.rules.burn_order import burn_order
from ledger.rules.burning import Purse, SpendableGrant
from ledger.rules.catching_up import catch_up
from ledger.rules.holding import Hold
from ledger.store import books
from ledger.store.books import AccountBooks, GrantBooks
from ledger.store.past_holds import KeptPart, kept_at


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


@dataclass
class Standing:
    """An account at an instant. ``tallies`` are those of its grants, and (None) of its debt, which is below zero.

    ``grants``, in burn order, are those with an entry that counts, and ``held`` is what open holds kept of each.
    ``usage`` is what was spent since the instant that was asked for; ``last_seq`` and ``last_entry`` are the latest
    that count.
    """

    account: AccountBooks
    grants: list[GrantBooks] = field(default_factory=list)
    tallies: defaultdict[UUID | None, Tally] = field(default_factory=lambda: defaultdict(Tally))
    held: dict[UUID, int] = field(default_factory=dict)
    usage: int = 0
    last_seq: int = 0
    last_entry: int = 0


async def standings(
    tx: AsyncConnection, accounts: Sequence[AccountBooks], at: datetime, *, spent_since: datetime | None = None
) -> list[Standing]:
    """How these accounts stood at the instant ``at``, each. ``spent_since`` is as in :func:`books.sum_entries`."""
    found = {account.account_id: Standing(account) for account in accounts}
    sums = await books.sum_all_entries(tx, accounts, at=at, spent_since=spent_since)
    sums.sort(key=lambda each: ENTRY_KINDS.index(each.kind))
    for each in sums:
        standing = found[each.account_id]
        standing.tallies[each.grant_id].add(each.kind, each.credits, each.entries)
        standing.usage += each.spent_since
        standing.last_seq = max(standing.last_seq, each.last_seq)
        standing.last_entry = max(standing.last_entry, each.last_entry)
    for grant in sorted(await books.read_grants(tx, list(found)), key=burn_order):
        if grant.grant_id in found[grant.account_id].tallies:
            found[grant.account_id].grants.append(grant)
    kept: defaultdict[UUID, list[KeptPart]] = defaultdict(list)
    for part in await kept_at(tx, list(found), at):
        kept[part.account_id].append(part)
    for standing in found.values():
        standing.held = _take_in_what_is_due(standing.grants, kept[standing.account.account_id], standing.tallies, at)
    return list(found.values())


def _take_in_what_is_due(
    grants: Sequence[GrantBooks], kept: Iterable[KeptPart], tallies: dict[UUID | None, Tally], at: datetime
) -> dict[UUID, int]:
    """Adds to the tallies what had happened by itself and is not booked; answers what open holds keep of each grant."""
    left = {each.grant_id: _left(each, tallies[each.grant_id].balance) for each in grants}
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


def _left(grant: GrantBooks, balance: int) -> SpendableGrant:
    price = grant.price
    return SpendableGrant(
        grant.grant_id,
        grant.operation_id,
        grant.type,
        balance,
        grant.expires_at,
        price.cents,
        price.credits,
        price.currency,
        # It is asked for lapses that are not booked; a revocation books those that came before it.
        revoked=grant.revoked_at is not None,
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


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    whole = Tally()
    for each in tallies:
        whole.take_in(each)
    return whole
