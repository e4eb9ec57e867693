"""Notices: what accounts are to be told, each once. READ COMMITTED; the unique constraint keeps a second one out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Select, Uuid, bindparam, column, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.rules.grant_types import LONG_LIVED_DAYS
from ledger.store.accounts import LEDGER_NOW
from ledger.store.notice_tables import notices

EXPIRY = "expiry"


@dataclass(frozen=True)
class Notice:
    """Something that an account is to be told, or was. ``payload`` is of its kind; instants by the product's clock."""

    notice_id: int
    account_id: str
    kind: str
    payload: dict[str, Any]
    created_at: datetime
    told_at: datetime | None


@dataclass(frozen=True)
class GrantKey:
    """A place in the list of grants by their expiry."""

    expires_at: datetime
    grant_id: UUID


FIRST_GRANT = GrantKey(datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True)
class NoticedPage:
    """How many notices a page of grants has brought; ``last`` is where the next page goes on, None at the end."""

    written: int
    last: GrantKey | None


# Of all notices whose time has come only the nearest is given: a sweep that was away does not pour out three. Whether
# it was given is asked first, because every grant that ends soon comes by with every sweep; ON CONFLICT is for sweeps
# that meet.
_NOTICE_EXPIRY = f"""
WITH page AS MATERIALIZED (
    SELECT grant_id, account_id, operation_id, type, balance, expires_at FROM grants
    WHERE live AND expires_at - created_at > interval '{LONG_LIVED_DAYS} days' AND revoked_at IS NULL
        AND expires_at > ledger_now() AND expires_at <= ledger_now() + make_interval(days => $1)
        AND (expires_at, grant_id) > ($2, $3)
    ORDER BY expires_at, grant_id LIMIT $4
), nearest AS (
    SELECT page.*, operation_id || '/' || days AS subject, days FROM page CROSS JOIN LATERAL (
        SELECT min(days) AS days FROM unnest($5::int[]) AS days
        WHERE expires_at <= ledger_now() + make_interval(days => days)
    ) AS due
), written AS (
    INSERT INTO notices (account_id, kind, subject, payload)
    SELECT account_id, '{EXPIRY}', subject, jsonb_build_object('grantId', grant_id, 'operationId', operation_id,
        'type', type, 'credits', balance, 'expiresAt', expires_at, 'daysBefore', days)
    FROM nearest WHERE NOT EXISTS (
        SELECT FROM notices AS given
        WHERE given.account_id = nearest.account_id AND given.kind = '{EXPIRY}' AND given.subject = nearest.subject
    )
    ON CONFLICT (account_id, kind, subject) DO NOTHING RETURNING 1
)
SELECT expires_at, grant_id, (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM written) AS written
FROM page ORDER BY expires_at DESC, grant_id DESC LIMIT 1
"""  # noqa: S608 - our own words


async def write_expiry_notices(tx: AsyncConnection, *, days: Sequence[int], after: GrantKey, limit: int) -> NoticedPage:
    """Writes the notices that are due for the next ``limit`` long-lived grants that end, in the order of their ends.

    ``days`` says how long before the end a notice is due. Only grants with something unspent get one.
    """
    found = await tx.exec_driver_sql(_NOTICE_EXPIRY, (max(days), after.expires_at, after.grant_id, limit, list(days)))
    row = found.one_or_none()
    if row is None:
        return NoticedPage(written=0, last=None)
    is_full = row.seen == limit
    return NoticedPage(written=row.written, last=GrantKey(row.expires_at, row.grant_id) if is_full else None)


async def insert_notice(
    tx: AsyncConnection, account_id: UUID, *, kind: str, subject: str, payload: dict[str, Any]
) -> Notice | None:
    """Writes the notice, and answers with it; None where the account has one of this kind and subject."""
    written = await tx.execute(
        insert(notices)
        .values(account_id=account_id, kind=kind, subject=subject, payload=payload)
        .on_conflict_do_nothing(index_elements=[notices.c.account_id, notices.c.kind, notices.c.subject])
        .returning(notices)
    )
    row = written.one_or_none()
    return None if row is None else _notice(row)


async def notices_since(tx: AsyncConnection, known: Mapping[UUID, int], kinds: Sequence[str]) -> list[Notice]:
    """The notices of these accounts and kinds whose ids are past the one in ``known``, oldest first.

    They are put in order here: for an order, sessions that plan without sorts would walk through everybody's.
    """
    then = (
        func.unnest(
            bindparam("accounts", list(known), ARRAY(Uuid)), bindparam("ids", list(known.values()), ARRAY(BigInteger))
        )
        .table_valued(column("account_id", Uuid), column("notice_id", BigInteger))
        .render_derived()
    )
    found = await tx.execute(
        select(notices)
        .join(then, then.c.account_id == notices.c.account_id)
        .where(notices.c.notice_id > then.c.notice_id, notices.c.kind.in_(kinds))
    )
    return sorted((_notice(row) for row in found), key=lambda notice: notice.notice_id)


async def latest_notice(tx: AsyncConnection, account_id: UUID) -> int:
    """The id of the account's latest notice; 0 where it has none."""
    found = await tx.execute(
        select(func.coalesce(func.max(notices.c.notice_id), 0)).where(notices.c.account_id == account_id)
    )
    return int(found.scalar_one())


async def untold_notices(tx: AsyncConnection, account_id: UUID, *, limit: int) -> list[Notice]:
    """What the account was not told yet, oldest first."""
    query = _notices_of(account_id).where(notices.c.told_at.is_(None))
    found = await tx.execute(query.order_by(notices.c.notice_id).limit(limit))
    return [_notice(row) for row in found]


async def notices_of_account(tx: AsyncConnection, account_id: UUID, *, before: int | None, limit: int) -> list[Notice]:
    """A page of all notices of the account, newest first, beginning before the id ``before``."""
    query = _notices_of(account_id)
    if before is not None:
        query = query.where(notices.c.notice_id < before)
    found = await tx.execute(query.order_by(notices.c.notice_id.desc()).limit(limit))
    return [_notice(row) for row in found]


async def mark_told(tx: AsyncConnection, notice_ids: Sequence[int]) -> None:
    """Notes that these have been told; the first time counts."""
    await tx.execute(
        update(notices)
        .where(notices.c.notice_id.in_(notice_ids), notices.c.told_at.is_(None))
        .values(told_at=LEDGER_NOW)
    )


def _notices_of(account_id: UUID) -> Select[Any]:
    return select(notices).where(notices.c.account_id == account_id)


def _notice(row: Any) -> Notice:
    return Notice(
        notice_id=row.notice_id,
        account_id=str(row.account_id),
        kind=row.kind,
        payload=row.payload,
        created_at=row.created_at,
        told_at=row.told_at,
    )
