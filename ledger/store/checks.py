"""What no constraint can see, looked for in some accounts: entries out of step, or of something that is not there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.books import one_of
from ledger.store.hold_tables import hold_parts, holds
from ledger.store.tables import accounts, grants, journal, operations

# A look-up by its key is a scalar subquery here, one probe of the index for each row: as a join, a planner without
# statistics has compared every entry of an account with every operation.

# What is wrong with thousands of entries is told of the first.
EXAMPLES = 100


@dataclass(frozen=True, slots=True)
class OutOfStep:
    """An entry that does not follow the one before it: by the balance that it leaves, or by its change."""

    account_id: UUID
    entry_id: int
    seq: int
    seq_before: int
    balance_after: int
    should_be: int


@dataclass(frozen=True, slots=True)
class OpenPart:
    """A part of an open hold; a hold without parts has one of nothing."""

    account_id: UUID
    operation_id: str
    credits: int
    held_until: datetime | None
    grant_id: UUID | None
    part: int


async def entries_out_of_step(
    tx: AsyncConnection, account_ids: Sequence[UUID], *, span: tuple[int, int | None] = (0, None)
) -> list[OutOfStep]:
    """Entries of these accounts, behind the first of ``span`` and up to the second, that do not follow the one before.

    At most EXAMPLES of them.
    """
    first, last = span
    # The last entry of the span before is looked at too: the first one of this span follows it.
    conditions = [journal.c.account_id == one_of(account_ids), journal.c.entry_id >= first]
    if last is not None:
        conditions.append(journal.c.entry_id <= last)
    each, number = journal.c.account_id, journal.c.entry_id
    balance_before = func.lag(journal.c.balance_after, 1, 0).over(partition_by=each, order_by=number)
    steps = (
        select(
            journal.c.account_id,
            journal.c.entry_id,
            journal.c.seq,
            func.lag(journal.c.seq, 1, 0).over(partition_by=each, order_by=number).label("seq_before"),
            journal.c.balance_after,
            (balance_before + journal.c.credits).label("should_be"),
        )
        .where(*conditions)
        .subquery("steps")
    )
    found = await tx.execute(
        select(steps)
        .where(
            steps.c.entry_id > first,
            or_(steps.c.balance_after != steps.c.should_be, steps.c.seq < steps.c.seq_before),
        )
        .limit(EXAMPLES)
    )
    return [OutOfStep(**row._mapping) for row in found]


async def entries_of_no_operation(
    tx: AsyncConnection, account_ids: Sequence[UUID], *, span: tuple[int, int | None] = (0, None)
) -> list[tuple[UUID, int, str]]:
    """Account, entry and operation id of entries whose operation was never claimed; at most EXAMPLES of them."""
    first, last = span
    conditions = [journal.c.account_id == one_of(account_ids), journal.c.entry_id > first]
    if last is not None:
        conditions.append(journal.c.entry_id <= last)
    claimed = (
        select(1)
        .where(
            operations.c.account_id == journal.c.account_id,
            operations.c.operation_id == journal.c.operation_id,
        )
        .scalar_subquery()
    )
    found = await tx.execute(
        select(journal.c.account_id, journal.c.entry_id, journal.c.operation_id)
        .where(*conditions, claimed.is_(None))
        .limit(EXAMPLES)
    )
    return [(row.account_id, row.entry_id, row.operation_id) for row in found]


async def grants_of_no_operation(tx: AsyncConnection, account_ids: Sequence[UUID]) -> list[tuple[UUID, UUID, str]]:
    """Account, grant and operation id of grants whose operation was never claimed, or for something else."""
    claimed = (
        select(1)
        .where(
            operations.c.account_id == grants.c.account_id,
            operations.c.operation_id == grants.c.operation_id,
            operations.c.kind == "grant",
        )
        .scalar_subquery()
    )
    found = await tx.execute(
        select(grants.c.account_id, grants.c.grant_id, grants.c.operation_id)
        .where(grants.c.account_id == one_of(account_ids), claimed.is_(None))
        .limit(EXAMPLES)
    )
    return [(row.account_id, row.grant_id, row.operation_id) for row in found]


async def open_parts(tx: AsyncConnection, account_ids: Sequence[UUID]) -> list[OpenPart]:
    """The parts of all open holds of these accounts."""
    found = await tx.execute(
        select(
            holds.c.account_id,
            holds.c.operation_id,
            holds.c.credits,
            holds.c.held_until,
            hold_parts.c.grant_id,
            func.coalesce(hold_parts.c.credits, 0).label("part"),
        )
        .outerjoin(
            hold_parts,
            and_(
                hold_parts.c.account_id == holds.c.account_id,
                hold_parts.c.account_id == one_of(account_ids),
                hold_parts.c.operation_id == holds.c.operation_id,
            ),
        )
        .where(holds.c.account_id == one_of(account_ids), holds.c.state == "open")
    )
    return [OpenPart(**row._mapping) for row in found]


@dataclass(frozen=True, slots=True)
class BrokenHold:
    """A hold, open or closed, whose parts sum to something else, or whose operation was not claimed for it."""

    account_id: UUID
    operation_id: str
    credits: int
    parts: int
    claimed: bool


async def broken_holds(tx: AsyncConnection, account_ids: Sequence[UUID]) -> list[BrokenHold]:
    """The broken holds of these accounts; at most EXAMPLES of them."""
    mine = and_(hold_parts.c.account_id == holds.c.account_id, hold_parts.c.operation_id == holds.c.operation_id)
    parts = select(func.coalesce(func.sum(hold_parts.c.credits), 0)).where(mine).scalar_subquery()
    claim = (
        select(1)
        .where(
            operations.c.account_id == holds.c.account_id,
            operations.c.operation_id == holds.c.operation_id,
            operations.c.kind == "hold",
        )
        .scalar_subquery()
    )
    found = await tx.execute(
        select(holds.c.account_id, holds.c.operation_id, holds.c.credits, parts.label("parts"), claim.label("claim"))
        .where(holds.c.account_id == one_of(account_ids), or_(parts != holds.c.credits, claim.is_(None)))
        .limit(EXAMPLES)
    )
    return [
        BrokenHold(row.account_id, row.operation_id, row.credits, int(row.parts), row.claim is not None)
        for row in found
    ]


async def parts_of_nothing(tx: AsyncConnection, account_ids: Sequence[UUID]) -> list[tuple[UUID, UUID, str]]:
    """Account, grant and hold of parts of which there is no such grant or hold in the account; at most EXAMPLES."""
    grant = (
        select(1)
        .where(grants.c.account_id == hold_parts.c.account_id, grants.c.grant_id == hold_parts.c.grant_id)
        .scalar_subquery()
    )
    hold = (
        select(1)
        .where(holds.c.account_id == hold_parts.c.account_id, holds.c.operation_id == hold_parts.c.operation_id)
        .scalar_subquery()
    )
    found = await tx.execute(
        select(hold_parts.c.account_id, hold_parts.c.grant_id, hold_parts.c.operation_id)
        .where(hold_parts.c.account_id == one_of(account_ids), or_(grant.is_(None), hold.is_(None)))
        .limit(EXAMPLES)
    )
    return [(row.account_id, row.grant_id, row.operation_id) for row in found]


async def accounts_with_entries_alone(tx: AsyncConnection, after: UUID, upto: UUID) -> list[UUID]:
    """Ids behind ``after`` and up to ``upto`` of which the journal has entries, and which are of no account.

    At most EXAMPLES of them. It leaps from one account of the journal to the next, however many entries they have.
    """
    bounds = (journal.c.account_id > after, journal.c.account_id <= upto)
    first = select(journal.c.account_id).where(*bounds).order_by(journal.c.account_id).limit(1)
    leaps = select(first.scalar_subquery().label("account_id")).cte("leaps", recursive=True)
    following = (
        select(journal.c.account_id)
        .where(journal.c.account_id > leaps.c.account_id, journal.c.account_id <= upto)
        .order_by(journal.c.account_id)
        .limit(1)
        .scalar_subquery()
    )
    leaps = leaps.union_all(select(following).where(leaps.c.account_id.is_not(None)))
    known = select(1).where(accounts.c.account_id == leaps.c.account_id).scalar_subquery()
    found: Any = await tx.execute(
        select(leaps.c.account_id).where(leaps.c.account_id.is_not(None), known.is_(None)).limit(literal(EXAMPLES))
    )
    return [row.account_id for row in found]
