"""Holds as they were at a past instant: which kept what, by the time at which they began and ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.limits import MAX_HOLD_SECONDS
from ledger.store.books import one_of
from ledger.store.hold_tables import hold_parts, holds

_LONGEST = timedelta(seconds=MAX_HOLD_SECONDS)


@dataclass(frozen=True, slots=True)
class KeptPart:
    """What a hold kept of a grant at the instant, as far as its end had been booked."""

    account_id: UUID
    operation_id: str
    credits: int
    made_by: str
    held_until: datetime | None
    created_at: datetime
    grant_id: UUID
    part: int


async def kept_at(tx: AsyncConnection, account_ids: Sequence[UUID], at: datetime) -> list[KeptPart]:
    """The parts of these accounts' holds that had begun by the instant ``at``, and of which no end by then is booked.

    No hold lives longer than MAX_HOLD_SECONDS but those without an end: what ended since did so within that time,
    and nothing that ended later is looked at.
    """
    begun = and_(holds.c.account_id == one_of(account_ids), holds.c.created_at <= at)
    columns = (
        holds.c.account_id,
        holds.c.operation_id,
        holds.c.credits,
        holds.c.made_by,
        holds.c.held_until,
        holds.c.created_at,
    )
    past = union_all(
        select(*columns).where(begun, holds.c.state == "open"),
        select(*columns).where(
            begun, holds.c.closed_at > at, holds.c.closed_at <= at + _LONGEST, holds.c.held_until.is_not(None)
        ),
        select(*columns).where(begun, holds.c.closed_at > at, holds.c.held_until.is_(None)),
    ).subquery("past")
    found = await tx.execute(
        select(past, hold_parts.c.grant_id, hold_parts.c.credits.label("part"))
        .join(
            hold_parts,
            and_(
                hold_parts.c.account_id == past.c.account_id,
                hold_parts.c.account_id == one_of(account_ids),
                hold_parts.c.operation_id == past.c.operation_id,
            ),
        )
        .order_by(past.c.created_at, past.c.operation_id)
    )
    return [_part(row) for row in found]


def _part(row: Any) -> KeptPart:
    return KeptPart(
        account_id=row.account_id,
        operation_id=row.operation_id,
        credits=row.credits,
        made_by=row.made_by,
        held_until=row.held_until,
        created_at=row.created_at,
        grant_id=row.grant_id,
        part=row.part,
    )
