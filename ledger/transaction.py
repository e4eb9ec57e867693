"""Transactions. This module opens them, and nothing else does.

Money runs through :func:`with_serializable_transaction`; profiles, mirrors and the inbox, which live in tables
of their own, through :func:`with_transaction`. Both repeat the whole of ``work`` where PostgreSQL asks for it
(https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html) or where the connection was lost:
the outcome is unknown then, and every ``work`` has one effect per operation id, however often it runs.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from asyncpg.exceptions import InvalidCachedStatementError
from prometheus_client import Counter, Histogram
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ledger.rules.errors import LedgerUnavailable
from ledger.turns import turn_of

T = TypeVar("T")

MAX_ATTEMPTS = 12
# Nobody who called us waits longer than this; the repeat of the request finds what became of it.
PATIENCE_SECONDS = 20.0
FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.5
# A database that restarts is back within seconds; a caller should not hear of it.
LOST_CONNECTION_PAUSE_SECONDS = 0.4

RETRIES = Counter("grantflow_transaction_retries", "Transactions that were repeated, by reason", ["what", "reason"])
GIVEN_UP = Counter("grantflow_transaction_given_up", "Transactions that were given up, by reason", ["what", "reason"])
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
    # With few grants an account, the planner collected them by another index and sorted them; the index of the live
    # grants has them in order, and without the exhausted ones.
    "enable_bitmapscan": "off",
    "enable_sort": "off",
}


class WeakerIsolation(RuntimeError):
    """A session runs a weaker isolation than it was asked for. The ledger must not start on it."""


@dataclass(frozen=True)
class _Trouble:
    """Why a transaction failed through no fault of its own, and whether it is of use to repeat it at once."""

    reason: str
    repeat: bool = True


LOCK_TIMEOUT = "lock timeout"
SERIALIZATION_FAILURE = "serialization failure"

_LOST = _Trouble("connection lost")
_TROUBLES = {
    "40001": _Trouble(SERIALIZATION_FAILURE),
    "40P01": _Trouble("deadlock"),
    # The server shuts down, crashed, starts up, or has no session left for us.
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": _LOST,
    "53300": _LOST,
    # Nothing was written, and whoever waited once should not wait twelve times.
    "55P03": _Trouble(LOCK_TIMEOUT, repeat=False),
    "57014": _Trouble("statement timeout", repeat=False),
    "25006": _Trouble("database is read-only", repeat=False),
}
_TROUBLE_CLASSES = {"08": _LOST, "53": _Trouble("database is out of resources", repeat=False)}


def open_engine(database_url: str, *, pool_size: int = 10, pool_timeout_seconds: float = 5) -> AsyncEngine:
    """An engine on the ledger's database, with the timeouts and planner settings that the ledger relies on."""
    return create_async_engine(
        database_url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_seconds,
        connect_args={"server_settings": _SESSION_SETTINGS, "timeout": 5},
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
    clock = asyncio.get_running_loop().time
    deadline = clock() + PATIENCE_SECONDS
    attempt = 0
    while True:
        attempt += 1
        try:
            async with engine.begin() as connection:
                result = await work(connection)
        except (DBAPIError, OSError, PoolTimeout) as error:
            trouble = _trouble(error)
            if trouble is None:
                raise
            pause = _pause_seconds(attempt, trouble)
            if not trouble.repeat or attempt == MAX_ATTEMPTS or clock() + pause > deadline:
                GIVEN_UP.labels(what, trouble.reason).inc()
                raise LedgerUnavailable(what, attempts=attempt, reason=trouble.reason) from error
            RETRIES.labels(what, trouble.reason).inc()
            await asyncio.sleep(pause)
        else:
            ATTEMPTS.labels(what).observe(attempt)
            return result


def _trouble(error: Exception) -> _Trouble | None:
    if isinstance(error, PoolTimeout):
        return _Trouble("pool exhausted", repeat=False)
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return _LOST
    if isinstance(getattr(error.orig, "__cause__", None), InvalidCachedStatementError):
        return _Trouble("schema changed")
    sqlstate: Any = getattr(error.orig, "sqlstate", None)
    if not isinstance(sqlstate, str):
        return None
    return _TROUBLES.get(sqlstate) or _TROUBLE_CLASSES.get(sqlstate[:2])


def _pause_seconds(attempt: int, trouble: _Trouble) -> float:
    if trouble is _LOST:
        return LOST_CONNECTION_PAUSE_SECONDS
    # Full jitter: those that collided once must not collide again in step.
    return random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311 - not a secret
