"""The books of accounts, added up anew from the journal: sums by grant and kind, in bounded statements.

What an account's row and its grants say is read beside them, to be explained by the sums, or compared with them.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, and_, any_, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.money import Price
from ledger.store.accounts import LEDGER_NOW
from ledger.store.tables import accounts, grants, journal
from messages.grants import GrantType

# A statement adds up as many entries of an account as this: well below a second.
ENTRIES_AT_ONCE = 200_000

# Accounts with more changes than this are added up by themselves, in spans.
MANY_CHANGES = 20_000

# Pages of accounts stop before this many changes, unless one account has more.
CHANGES_A_PAGE = 200_000

USAGE_KINDS = ("consumed", "debt-incurred")


@dataclass(frozen=True, slots=True)
class AccountBooks:
    """What an account's row says. ``now`` is the transaction's instant, by the product's clock."""

    account_id: UUID
    debt: int
    balance: int
    held: int
    usage: int
    next_expiry: datetime | None
    seq: int
    cycle_start: datetime
    reset_anchor_day: int
    currency: str
    created_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class GrantBooks:
    """What a grant's row says."""

    grant_id: UUID
    account_id: UUID
    operation_id: str
    type: GrantType
    priority: int
    principal: int
    balance: int
    held: int
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None
    price: Price


@dataclass(frozen=True, slots=True)
class EntrySum:
    """The entries of one grant (None: of the debt), kind and price, added up. ``credits`` is signed.

    ``spent_since`` is the part of it that was spent from an instant on, ``last_seq`` and ``last_entry`` are the latest
    among them. A price is None on entries of the debt.
    """

    account_id: UUID
    grant_id: UUID | None
    kind: str
    price: tuple[int, int, str] | None
    credits: int
    entries: int
    spent_since: int
    last_seq: int
    last_entry: int


async def read_books(tx: AsyncConnection, account_ids: Sequence[UUID]) -> list[AccountBooks]:
    """The rows of these accounts, in the order of their ids."""
    found = await tx.execute(
        select(
            accounts.c.account_id,
            accounts.c.debt,
            accounts.c.balance,
            accounts.c.held,
            accounts.c.usage,
            accounts.c.next_expiry,
            accounts.c.seq,
            accounts.c.cycle_start,
            accounts.c.reset_anchor_day,
            accounts.c.currency,
            accounts.c.created_at,
            LEDGER_NOW.label("now"),
        )
        .where(accounts.c.account_id == one_of(account_ids))
        .order_by(accounts.c.account_id)
    )
    return [AccountBooks(**row._mapping) for row in found]


async def next_accounts(tx: AsyncConnection, after: UUID, *, limit: int) -> tuple[list[AccountBooks], bool]:
    """At most ``limit`` accounts behind the id ``after``, in the order of their ids, and whether there are more.

    There are fewer where they would have more than CHANGES_A_PAGE changes together, but never none.
    """
    found = await tx.execute(
        select(accounts.c.account_id, accounts.c.seq)
        .where(accounts.c.account_id > after)
        .order_by(accounts.c.account_id)
        .limit(limit + 1)
    )
    rows: list[Any] = list(found)
    taken, changes = 0, 0
    for row in rows[:limit]:
        changes += row.seq
        if taken and changes > CHANGES_A_PAGE:
            break
        taken += 1
    return await read_books(tx, [row.account_id for row in rows[:taken]]), taken < len(rows)


async def read_grants(tx: AsyncConnection, account_ids: Sequence[UUID]) -> list[GrantBooks]:
    """The rows of all grants of these accounts."""
    found = await tx.execute(
        select(
            grants.c.grant_id,
            grants.c.account_id,
            grants.c.operation_id,
            grants.c.type,
            grants.c.priority,
            grants.c.principal,
            grants.c.balance,
            grants.c.held,
            grants.c.expires_at,
            grants.c.created_at,
            grants.c.revoked_at,
            grants.c.price_cents,
            grants.c.price_credits,
            grants.c.currency,
        ).where(grants.c.account_id == one_of(account_ids))
    )
    return [_grant(row) for row in found]


async def sum_entries(
    tx: AsyncConnection,
    account_ids: Sequence[UUID],
    *,
    span: tuple[int, int | None] = (0, None),
    at: datetime | None = None,
    spent_since: datetime | None = None,
) -> list[EntrySum]:
    """The sums of these accounts' entries that count at the instant ``at`` (None: all).

    ``span`` bounds them to those behind the first entry and up to the second (None: the end). What was spent counts
    extra from ``spent_since`` on (None: from each account's ``cycle_start``).
    """
    first, last = span
    conditions = [accounts.c.account_id == one_of(account_ids), journal.c.entry_id > first]
    if last is not None:
        conditions.append(journal.c.entry_id <= last)
    if at is not None:
        conditions.append(journal.c.effective_at <= at)
    groups = (
        journal.c.account_id,
        journal.c.grant_id,
        journal.c.kind,
        journal.c.price_cents,
        journal.c.price_credits,
        journal.c.currency,
    )
    began = accounts.c.cycle_start if spent_since is None else literal(spent_since)
    spent = and_(journal.c.kind.in_(USAGE_KINDS), journal.c.effective_at >= began)
    found = await tx.execute(
        select(
            *groups,
            func.sum(journal.c.credits).label("credits"),
            func.count().label("entries"),
            func.coalesce(-func.sum(journal.c.credits).filter(spent), 0).label("spent_since"),
            func.max(journal.c.seq).label("last_seq"),
            func.max(journal.c.entry_id).label("last_entry"),
        )
        .join_from(accounts, journal, journal.c.account_id == accounts.c.account_id)
        .where(*conditions)
        .group_by(*groups)
    )
    return [_sum(row) for row in found]


async def sum_all_entries(
    tx: AsyncConnection,
    books: Sequence[AccountBooks],
    *,
    at: datetime | None = None,
    spent_since: datetime | None = None,
) -> list[EntrySum]:
    """As :func:`sum_entries`, over all entries of these accounts, in statements that stay short."""
    sums: list[EntrySum] = []
    async for account_ids, span in short_spans(tx, books):
        sums += await sum_entries(tx, account_ids, span=span, at=at, spent_since=spent_since)
    return sums


async def short_spans(
    tx: AsyncConnection, books: Sequence[AccountBooks]
) -> AsyncGenerator[tuple[list[UUID], tuple[int, int | None]], None]:
    """Parts of these accounts' entries, each for one short statement: those of few changes together and whole, the
    others each by itself, in spans."""
    few = [each.account_id for each in books if each.seq <= MANY_CHANGES]
    if few:
        yield few, (0, None)
    for each in books:
        if each.seq > MANY_CHANGES:
            async for span in spans_of_entries(tx, each.account_id):
                yield [each.account_id], span


async def spans_of_entries(
    tx: AsyncConnection, account_id: UUID, *, at_once: int = ENTRIES_AT_ONCE
) -> AsyncGenerator[tuple[int, int | None], None]:
    """The account's entries in spans of ``at_once``, each behind the one before; the last one has no end."""
    first = 0
    while True:
        found = await tx.execute(
            select(journal.c.entry_id)
            .where(journal.c.account_id == account_id, journal.c.entry_id > first)
            .order_by(journal.c.entry_id)
            .offset(at_once - 1)
            .limit(1)
        )
        last: int | None = found.scalar_one_or_none()
        yield first, last
        if last is None:
            return
        first = last


def one_of(account_ids: Sequence[UUID]) -> Any:
    """What a column is compared with to be one of these ids: one array, so that the statement stays the same."""
    return any_(bindparam("accounts", list(account_ids), ARRAY(Uuid)))


def _grant(row: Any) -> GrantBooks:
    return GrantBooks(
        grant_id=row.grant_id,
        account_id=row.account_id,
        operation_id=row.operation_id,
        type=GrantType(row.type),
        priority=row.priority,
        principal=row.principal,
        balance=row.balance,
        held=row.held,
        expires_at=row.expires_at,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        price=Price(cents=row.price_cents, credits=row.price_credits, currency=row.currency),
    )


def _sum(row: Any) -> EntrySum:
    price = None if row.price_cents is None else (row.price_cents, row.price_credits, row.currency)
    return EntrySum(
        account_id=row.account_id,
        grant_id=row.grant_id,
        kind=row.kind,
        price=price,
        credits=int(row.credits),
        entries=row.entries,
        spent_since=int(row.spent_since),
        last_seq=row.last_seq,
        last_entry=row.last_entry,
    )
