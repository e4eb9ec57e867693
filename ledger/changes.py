"""Tells every process that an account has changed, by PostgreSQL's LISTEN/NOTIFY.

The notification is sent after the commit, by itself: inside the transaction NOTIFY would take a lock on the whole
database while the commit is flushed. It carries the account and its change number only. A lost one delays: readers
look again by themselves from time to time.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

CHANNEL = "account_changes"
# The same for what accounts are to be told (``ledger/noticing.py``), by the notice's id.
NOTICE_CHANNEL = "account_notices"
# Who changes accounts all the time announces the first change at once, and what follows together.
ANNOUNCE_PAUSE_SECONDS = 0.025

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AccountChange:
    """The account's latest change, by number."""

    account_id: UUID
    seq: int


async def announce(engine: AsyncEngine, change: AccountChange) -> None:
    """Sends the change to whoever listens. Never raises: what it announces is committed."""
    await _send(engine, CHANNEL, f"{change.account_id}:{change.seq}")


async def announce_notice(engine: AsyncEngine, account_id: UUID, notice_id: int) -> None:
    """Sends word of a notice to whoever listens. Never raises: the notice waits until it is told."""
    await _send(engine, NOTICE_CHANNEL, f"{account_id}:{notice_id}")


async def _send(engine: AsyncEngine, channel: str, payload: str) -> None:
    try:
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(
                text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload}
            )
    except (SQLAlchemyError, OSError):
        _log.warning("%s was not announced on %s.", payload, channel, exc_info=True)


async def announce_all(engine: AsyncEngine, changes: Sequence[AccountChange]) -> None:
    """Sends all the changes to whoever listens, in one statement. Never raises."""
    if not changes:
        return
    try:
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.exec_driver_sql(
                "SELECT count(pg_notify($1, payload)) FROM unnest($2::text[]) AS payload",
                (CHANNEL, [f"{change.account_id}:{change.seq}" for change in changes]),
            )
    except (SQLAlchemyError, OSError):
        _log.warning("%s changes of accounts were not announced.", len(changes), exc_info=True)


def parse_announcement(payload: str) -> AccountChange:
    """The change that a notification's payload names."""
    account_id, _, seq = payload.rpartition(":")
    return AccountChange(account_id=UUID(account_id), seq=int(seq))
