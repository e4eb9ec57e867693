"""When a transaction is repeated: where PostgreSQL asks for it, and where the connection was lost.

https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html: the whole is repeated, decisions
included. After a lost connection the outcome is unknown; every transaction of ours has one effect per operation id,
however often it runs.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
from asyncpg.exceptions import InvalidCachedStatementError
from prometheus_client import Counter, Histogram
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ledger.rules.errors import LedgerUnavailable

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

LOCK_TIMEOUT = "lock timeout"
SERIALIZATION_FAILURE = "serialization failure"


@dataclass(frozen=True)
class _Trouble:
    """Why a transaction failed through no fault of its own, and whether it is of use to repeat it at once."""

    reason: str
    repeat: bool = True


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
_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(frozen=True)
class Persistence:
    """How often a transaction is repeated at most, and the longest pause before it is, in seconds."""

    attempts: int
    longest_pause_seconds: float


PERSISTENCE = Persistence(MAX_ATTEMPTS, LONGEST_PAUSE_SECONDS)
# A batch speaks for many, and meets the batches of other processes on a hot account: whoever paused for long would
# always come too late.
PERSISTENCE_OF_BATCHES = Persistence(attempts=200, longest_pause_seconds=0.01)


async def repeat(work: Callable[[], Awaitable[T]], *, what: str, persistence: Persistence = PERSISTENCE) -> T:
    """Runs ``work``, one whole transaction, until it has gone through.

    ``what`` names it in metrics and errors. Raises LedgerUnavailable when the ``persistence`` or PATIENCE_SECONDS are
    used up, and where a repeat is of no use; whatever ``work`` raises otherwise passes through.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + PATIENCE_SECONDS
    attempt = 0
    while True:
        attempt += 1
        try:
            result = await work()
        except (DBAPIError, *_DRIVER_ERRORS, OSError, PoolTimeout) as error:
            trouble = _trouble(error)
            if trouble is None:
                raise
            pause = _pause_seconds(attempt, trouble, persistence.longest_pause_seconds)
            if not trouble.repeat or attempt == persistence.attempts or clock() + pause > deadline:
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
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return _LOST
        if isinstance(getattr(error.orig, "__cause__", None), InvalidCachedStatementError):
            return _Trouble("schema changed")
        sqlstate: Any = getattr(error.orig, "sqlstate", None)
    elif isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate
    else:
        return _LOST
    if not isinstance(sqlstate, str):
        return None
    return _TROUBLES.get(sqlstate) or _TROUBLE_CLASSES.get(sqlstate[:2])


def _pause_seconds(attempt: int, trouble: _Trouble, longest: float) -> float:
    if trouble is _LOST:
        return LOST_CONNECTION_PAUSE_SECONDS
    # Full jitter: those that collided once must not collide again in step.
    return random.uniform(0, min(longest, FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10)))  # noqa: S311 - not a secret
