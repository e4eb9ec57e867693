"""A session of one's own, past SQLAlchemy and its pool, for the batch: each of its statements is a transaction.

A statement that commits itself needs one round trip where BEGIN, statement and COMMIT need three, and the driver's own
calls cost a third of what they cost through SQLAlchemy. Nothing else may use it: transactions of several statements
are :mod:`ledger.transaction`'s.
"""

from enum import StrEnum
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.transaction import CONNECT_SECONDS, SESSION_SETTINGS, WeakerIsolation

# The statements are few and always look rows up by the same indexes, one by one: planning them anew for every batch
# took longer than running them, and on small tables the planner preferred to walk through a whole index.
SETTINGS = SESSION_SETTINGS | {
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
_CLOSE_SECONDS = 2


class Isolation(StrEnum):
    """How a session's statements are isolated."""

    SERIALIZABLE = "serializable"
    READ_COMMITTED = "read committed"


class Session:
    """One connection to the engine's database, opened when it is needed and anew when it was lost."""

    def __init__(self, engine: AsyncEngine, isolation: Isolation) -> None:
        self._engine = engine
        self._isolation = isolation
        self._connection: asyncpg.Connection | None = None

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Runs the statement as a transaction; answers with its rows.

        Raises asyncpg's PostgresError, OSError where there is no connection, or WeakerIsolation.
        """
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = self._connection = await self._open()
        try:
            rows: list[Any] = await connection.fetch(statement, *arguments)
        except asyncpg.InterfaceError as error:
            if not connection.is_closed():
                raise
            raise ConnectionError(str(error)) from error
        return rows

    async def close(self) -> None:
        """Closes the connection; it is opened anew if a statement follows."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=_CLOSE_SECONDS)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                connection.terminate()

    async def _open(self) -> asyncpg.Connection:
        _, options = self._engine.dialect.create_connect_args(self._engine.url)
        settings = SETTINGS | {"default_transaction_isolation": str(self._isolation)}
        connection = await asyncpg.connect(**options, server_settings=settings, timeout=CONNECT_SECONDS)
        isolation = await connection.fetchval("SHOW transaction_isolation")
        if isolation != self._isolation:
            connection.terminate()
            raise WeakerIsolation(
                f"The database session runs {isolation!r} where {self._isolation} was asked for. Check any connection "
                "pooler between here and PostgreSQL."
            )
        return connection
