"""Reads the journal of one account, in the order in which it was written: by change number, then by entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.tables import accounts, grants, journal

# Where an entry stands in its account's journal: the number of the change, and the entry.
EntryKey = tuple[int, int]

# How many entries a page looks at for those that its filter wants. The request stays short on a journal of millions.
ENTRIES_LOOKED_AT = 20_000

_place = tuple_(journal.c.seq, journal.c.entry_id)
_COLUMNS = (
    journal.c.entry_id,
    journal.c.seq,
    journal.c.kind,
    journal.c.operation_id,
    journal.c.grant_id,
    journal.c.credits,
    journal.c.balance_after,
    journal.c.actor,
    journal.c.effective_at,
    journal.c.recorded_at,
)


@dataclass(frozen=True)
class EntryFilter:
    """Which entries are wanted: those that count from ``since`` on and before ``until``, of these kinds (none: all),
    written up to the change ``upto_seq``."""

    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[str, ...] = ()
    upto_seq: int | None = None

    @property
    def leaves_out(self) -> bool:
        """Whether entries in the middle may be left out."""
        return bool(self.since or self.until or self.kinds)


@dataclass(frozen=True)
class RecordedEntry:
    """An entry of the journal. ``credits`` is signed, ``balance_after`` the net balance after it, as booked.

    ``effective_at`` is when it counts, by the product's clock; ``recorded_at`` when it was written, by the wall's.
    """

    entry_id: int
    seq: int
    kind: str
    operation_id: str
    grant_id: UUID | None
    grant_type: str | None
    credits: int
    balance_after: int
    actor: str
    effective_at: datetime
    recorded_at: datetime

    @property
    def key(self) -> EntryKey:
        """Where it stands in the account's journal."""
        return self.seq, self.entry_id


async def latest_seq(tx: AsyncConnection, account_id: UUID) -> int | None:
    """The number of the account's latest change, or None where there is no such account."""
    found = await tx.execute(select(accounts.c.seq).where(accounts.c.account_id == account_id))
    seq: int | None = found.scalar_one_or_none()
    return seq


async def read_entries(
    tx: AsyncConnection,
    account_id: UUID,
    wanted: EntryFilter,
    *,
    after: EntryKey | None,
    newest_first: bool,
    limit: int,
    look_at: int = ENTRIES_LOOKED_AT,
) -> tuple[list[RecordedEntry], EntryKey | None]:
    """At most ``limit`` entries behind the key ``after``, and the key behind which there may be more (None: the end).

    A filter looks at no more than ``look_at`` entries: then there may be few on the page, or none, and more
    behind it.
    """
    behind = [journal.c.account_id == account_id]
    if wanted.upto_seq is not None:
        behind.append(journal.c.seq <= wanted.upto_seq)
    if after is not None:
        behind.append(_place < after if newest_first else _place > after)
    last = None
    if wanted.leaves_out:
        last = await _last_to_look_at(tx, behind, newest_first=newest_first, look_at=look_at)
    if last is not None:
        behind.append(_place >= last if newest_first else _place <= last)
    found = await tx.execute(
        select(*_COLUMNS, grants.c.type.label("grant_type"))
        .outerjoin(grants, and_(grants.c.account_id == account_id, grants.c.grant_id == journal.c.grant_id))
        .where(*behind, *_conditions(wanted))
        .order_by(*_order(newest_first=newest_first))
        .limit(limit + 1)
    )
    entries = [_entry(row) for row in found]
    return entries[:limit], entries[limit - 1].key if len(entries) > limit else last


async def _last_to_look_at(
    tx: AsyncConnection, behind: Sequence[ColumnElement[bool]], *, newest_first: bool, look_at: int
) -> EntryKey | None:
    """The last entry that a page may look at; None where the journal ends before."""
    found = await tx.execute(
        select(journal.c.seq, journal.c.entry_id)
        .where(*behind)
        .order_by(*_order(newest_first=newest_first))
        .offset(look_at - 1)
        .limit(1)
    )
    row = found.one_or_none()
    return None if row is None else (row.seq, row.entry_id)


def _order(*, newest_first: bool) -> Sequence[ColumnElement[Any]]:
    columns = (journal.c.seq, journal.c.entry_id)
    return [column.desc() for column in columns] if newest_first else columns


def _conditions(wanted: EntryFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.since is not None:
        conditions.append(journal.c.effective_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(journal.c.effective_at < wanted.until)
    if wanted.kinds:
        conditions.append(journal.c.kind.in_(wanted.kinds))
    return conditions


def _entry(row: Any) -> RecordedEntry:
    return RecordedEntry(
        entry_id=row.entry_id,
        seq=row.seq,
        kind=row.kind,
        operation_id=row.operation_id,
        grant_id=row.grant_id,
        grant_type=row.grant_type,
        credits=row.credits,
        balance_after=row.balance_after,
        actor=row.actor,
        effective_at=row.effective_at,
        recorded_at=row.recorded_at,
    )
