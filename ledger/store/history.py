"""Reads the journal of one account, in the order in which it was written.

An entry takes its number when it is written, and the next change of the account begins when that is committed: numbers
only grow within an account, and whoever has seen one will never find a smaller one later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.tables import accounts, grants, journal

# How many entries a page looks at for those that its filter wants. The request stays short on a journal of millions.
ENTRIES_LOOKED_AT = 20_000

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
    and up to the entry ``upto``."""

    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[str, ...] = ()
    upto: int | None = None

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


async def latest_entry(tx: AsyncConnection, account_id: UUID) -> int | None:
    """The account's latest entry, 0 where it has none; None where there is no such account."""
    latest = select(func.coalesce(func.max(journal.c.entry_id), 0)).where(journal.c.account_id == account_id)
    found = await tx.execute(select(latest.scalar_subquery()).where(accounts.c.account_id == account_id))
    entry_id: int | None = found.scalar_one_or_none()
    return entry_id


async def read_entries(
    tx: AsyncConnection,
    account_id: UUID,
    wanted: EntryFilter,
    *,
    after: int | None,
    newest_first: bool,
    limit: int,
    look_at: int = ENTRIES_LOOKED_AT,
) -> tuple[list[RecordedEntry], int | None]:
    """At most ``limit`` entries behind the one ``after``, and the one behind which there may be more (None: the end).

    A filter looks at no more than ``look_at`` entries: then there may be few on the page, or none, and more
    behind it.
    """
    behind = [journal.c.account_id == account_id]
    if wanted.upto is not None:
        behind.append(journal.c.entry_id <= wanted.upto)
    if after is not None:
        behind.append(journal.c.entry_id < after if newest_first else journal.c.entry_id > after)
    last = None
    if wanted.leaves_out:
        last = await _last_to_look_at(tx, behind, newest_first=newest_first, look_at=look_at)
    if last is not None:
        behind.append(journal.c.entry_id >= last if newest_first else journal.c.entry_id <= last)
    found = await tx.execute(
        select(*_COLUMNS, grants.c.type.label("grant_type"))
        .outerjoin(grants, and_(grants.c.account_id == account_id, grants.c.grant_id == journal.c.grant_id))
        .where(*behind, *_conditions(wanted))
        .order_by(_order(newest_first=newest_first))
        .limit(limit + 1)
    )
    entries = [_entry(row) for row in found]
    return entries[:limit], entries[limit - 1].entry_id if len(entries) > limit else last


async def _last_to_look_at(
    tx: AsyncConnection, behind: Sequence[ColumnElement[bool]], *, newest_first: bool, look_at: int
) -> int | None:
    """The last entry that a page may look at; None where the journal ends before."""
    found = await tx.execute(
        select(journal.c.entry_id)
        .where(*behind)
        .order_by(_order(newest_first=newest_first))
        .offset(look_at - 1)
        .limit(1)
    )
    entry_id: int | None = found.scalar_one_or_none()
    return entry_id


def _order(*, newest_first: bool) -> ColumnElement[Any]:
    return journal.c.entry_id.desc() if newest_first else journal.c.entry_id.asc()


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
