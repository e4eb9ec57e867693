"""Transactions. This module opens them, and nothing else does.

Money runs through :func:`with_serializable_transaction`; profiles, mirrors and the inbox, which live in tables
of their own, through :func:`with_transaction`. Both repeat the whole of ``work`` where PostgreSQL asks for it
(https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html) or where the connection was lost:
the outcome is unknown then, and every ``work`` has one effect per operation id, however often it runs.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from prometheus_client import Counter, Histogram
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ledger.rules.errors import LedgerUnavailable

T = TypeVar("T")

MAX_ATTEMPTS = 12
FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.5
# A database that restarts is back within seconds; a caller should not hear of it.
LOST_CONNECTION_PAUSE_SECONDS = 0.4

_SERIALIZATION_FAILURES = frozenset({"40001", "40P01"})
# Class 08, server shutting down or starting, and what the driver says when the socket is gone.
_LOST_CONNECTION = frozenset({"57P01", "57P02", "57P03", "53300"})

RETRIES = Counter("grantflow_transaction_retries", "Transactions that were repeated, by reason", ["what", "reason"])
ATTEMPTS = Histogram(
    "grantflow_transaction_attempts", "Attempts that a transaction took", ["what"], buckets=(1, 2, 3, 5, 8, 12)
)

_SESSION_SETTINGS = {
    "application_name": "grantflow",
    "timezone": "UTC",
    "statement_timeout": "10000",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "15000",
    # A sequential scan predicate-locks its whole table, and strangers then conflict (PostgreSQL's README-SSI).
    "enable_seqscan": "off",
}


def open_engine(database_url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine on the ledger's database, with the timeouts and planner settings that the ledger relies on."""
    return create_async_engine(
        database_url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        connect_args={"server_settings": _SESSION_SETTINGS, "timeout": 5},
    )


async def refuse_weaker_isolation(engine: AsyncEngine) -> None:
    """Raises RuntimeError unless a transaction that asks for SERIALIZABLE really gets it.

    Drivers and poolers have been seen to drop the request silently (SQLAlchemy before 2.0.38 with asyncpg).
    """
    async with engine.execution_options(isolation_level="SERIALIZABLE").connect() as connection:
        isolation = (await connection.execute(text("SHOW transaction_isolation"))).scalar_one()
    if isolation != "serializable":
        raise RuntimeError(
            f"The database session runs {isolation!r} where SERIALIZABLE was asked for. The ledger does not start: "
            "check the driver's version and any connection pooler between here and PostgreSQL."
        )


async def with_serializable_transaction(
    engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]], *, what: str
) -> T:
    """Runs ``work`` in a SERIALIZABLE transaction and commits it, repeating the whole where PostgreSQL asks for it.

    ``work`` may run several times; nothing it did before stays. ``what`` names it in metrics and errors.
    Raises LedgerUnavailable after MAX_ATTEMPTS; whatever ``work`` raises otherwise passes through.
    """
    return await _repeat(engine.execution_options(isolation_level="SERIALIZABLE"), work, what=what)


async def with_transaction(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]], *, what: str) -> T:
    """Runs ``work`` in a READ COMMITTED transaction: for reads, and for tables that no money runs over."""
    return await _repeat(engine, work, what=what)


async def _repeat(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]], *, what: str) -> T:
    reason = "never tried"
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            async with engine.begin() as connection:
                result = await work(connection)
        except (DBAPIError, OSError, PoolTimeout) as error:
            retryable = _reason_to_repeat(error)
            if retryable is None:
                raise
            reason = retryable
            RETRIES.labels(what, reason).inc()
            await asyncio.sleep(_pause_seconds(attempt, reason))
        else:
            ATTEMPTS.labels(what).observe(attempt)
            return result
    raise LedgerUnavailable(what, attempts=MAX_ATTEMPTS, reason=reason)


def _reason_to_repeat(error: Exception) -> str | None:
    if isinstance(error, PoolTimeout):
        return "pool exhausted"
    if isinstance(error, OSError | InterfaceError):
        return "connection lost"
    sqlstate: Any = getattr(getattr(error, "orig", None), "sqlstate", None)
    if sqlstate in _SERIALIZATION_FAILURES:
        return "serialization failure"
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or sqlstate in _LOST_CONNECTION or (isinstance(sqlstate, str) and sqlstate.startswith("08")):
        return "connection lost"
    return None


def _pause_seconds(attempt: int, reason: str) -> float:
    if reason == "connection lost":
        return LOST_CONNECTION_PAUSE_SECONDS
    # Full jitter: those that collided once must not collide again in step.
    return random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311 - not a secret
