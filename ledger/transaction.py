"""Transactions. This module opens them, and nothing else does.

Money runs through :func:`with_serializable_transaction`; profiles, mirrors and the inbox, which live in tables
of their own, through :func:`with_transaction`. Both repeat the whole of ``work`` where PostgreSQL asks for it
(https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html) or where the connection was lost:
the outcome is unknown then, and every ``work`` has one effect per operation id, however often it runs.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ledger.repeating import PATIENCE_SECONDS, repeat
from ledger.turns import turn_of

T = TypeVar("T")

CONNECT_SECONDS = 5

SESSION_SETTINGS = {
    "application_name": "grantflow",
    "timezone": "UTC",
    "statement_timeout": "10000",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "15000",
    # A sequential scan predicate-locks its whole table, and strangers then conflict (PostgreSQL's README-SSI).
    "enable_seqscan": "off",
    # With few grants an account, the planner collected them by another index and sorted them; the index of the live
    # grants has them in order, and without the exhausted ones.
    "enable_bitmapscan": "off",
    "enable_sort": "off",
}


class WeakerIsolation(RuntimeError):
    """A session runs a weaker isolation than it was asked for. The ledger must not start on it."""


def open_engine(database_url: str, *, pool_size: int = 10, pool_timeout_seconds: float = 5) -> AsyncEngine:
    """An engine on the ledger's database, with the timeouts and planner settings that the ledger relies on."""
    return create_async_engine(
        database_url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_seconds,
        connect_args={"server_settings": SESSION_SETTINGS, "timeout": CONNECT_SECONDS},
    )


async def refuse_weaker_isolation(engine: AsyncEngine) -> None:
    """Raises WeakerIsolation unless a transaction that asks for SERIALIZABLE really gets it.

    It looks from inside a transaction such as money runs through. Drivers and poolers have been seen to drop the
    request silently (SQLAlchemy before 2.0.38 with asyncpg). Raises LedgerUnavailable when there is no answer.
    """

    async def work(tx: AsyncConnection) -> str:
        return str((await tx.execute(text("SHOW transaction_isolation"))).scalar_one())

    isolation = await with_serializable_transaction(engine, work, what="check isolation")
    if isolation != "serializable":
        raise WeakerIsolation(
            f"The database session runs {isolation!r} where SERIALIZABLE was asked for. The ledger does not start: "
            "check the driver's version and any connection pooler between here and PostgreSQL."
        )


async def with_serializable_transaction(
    engine: AsyncEngine,
    work: Callable[[AsyncConnection], Awaitable[T]],
    *,
    what: str,
    account_id: UUID | None = None,
) -> T:
    """Runs ``work`` in a SERIALIZABLE transaction and commits it, repeating the whole where PostgreSQL asks for it.

    ``work`` may run several times; nothing it did before stays. ``what`` names it in metrics and errors. Those of
    this process that name the same ``account_id`` take turns. Raises LedgerUnavailable after MAX_ATTEMPTS or
    PATIENCE_SECONDS; whatever ``work`` raises otherwise passes through.
    """
    serializable = engine.execution_options(isolation_level="SERIALIZABLE")
    if account_id is None:
        return await _repeat(serializable, work, what=what)
    async with turn_of(account_id, what=what, patience_seconds=PATIENCE_SECONDS):
        return await _repeat(serializable, work, what=what)


async def with_transaction(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]], *, what: str) -> T:
    """Runs ``work`` in a READ COMMITTED transaction: for reads, and for tables that no money runs over."""
    return await _repeat(engine, work, what=what)


async def with_snapshot(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]], *, what: str) -> T:
    """Runs ``work`` in a READ ONLY transaction in which all statements see one snapshot (REPEATABLE READ): for sums
    that are compared with one another. It locks nothing, not even predicates, and hinders nobody."""
    snapshot = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return await _repeat(snapshot, work, what=what)


async def _repeat(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]], *, what: str) -> T:
    async def transaction() -> T:
        async with engine.begin() as connection:
            return await work(connection)

    return await repeat(transaction, what=what)
