"""Listens for announced changes and notices on a database connection of its own, and comes back when that is lost."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from api.metrics import LISTENING
from ledger.changes import CHANNEL, NOTICE_CHANNEL, AccountChange, parse_announcement

_log = logging.getLogger(__name__)

APPLICATION_NAME = "grantflow-live"
HEARTBEAT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0


class ChangeListener:
    """One LISTEN connection. A connection can die without a word, so it is asked for a sign of life regularly."""

    def __init__(
        self,
        database_url: str,
        *,
        on_change: Callable[[AccountChange], None],
        on_notice: Callable[[UUID, int], None],
        on_connected: Callable[[], None],
    ) -> None:
        """``database_url`` begins with ``postgresql://`` and goes to the server itself: a transaction pooler would
        drop the LISTEN. ``on_notice`` hears the account and the notice's id. ``on_connected`` is called each time,
        since what was announced in between went unheard."""
        self._database_url = database_url
        self._on_change = on_change
        self._on_notice = on_notice
        self._on_connected = on_connected
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self.is_listening = False

    async def run(self) -> None:
        """Listens until it is cancelled."""
        while True:
            try:
                async with self._connected() as (connection, lost):
                    await _watch(connection, lost)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                _log.warning("Changes are not heard at the moment: %s: %s", type(error).__name__, error)
            await asyncio.sleep(self._pause_seconds * random.uniform(0.5, 1))  # noqa: S311 - not a secret
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncpg.Connection, asyncio.Event]]:
        lost = asyncio.Event()
        connection = await asyncpg.connect(
            self._database_url, timeout=ANSWER_SECONDS, server_settings={"application_name": APPLICATION_NAME}
        )
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._heard)
            await connection.add_listener(NOTICE_CHANNEL, self._heard)
            self._pause_seconds = FIRST_PAUSE_SECONDS
            self.is_listening = True
            LISTENING.set(1)
            self._on_connected()
            yield connection, lost
        finally:
            self.is_listening = False
            LISTENING.set(0)
            connection.terminate()

    def _heard(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        try:
            # Both channels carry an account and a number.
            change = parse_announcement(str(payload))
        except ValueError:
            _log.warning("An announcement that is none of ours: %r", payload)
            return
        if channel == NOTICE_CHANNEL:
            self._on_notice(change.account_id, change.seq)
        else:
            self._on_change(change)


async def _watch(connection: asyncpg.Connection, lost: asyncio.Event) -> None:
    """Returns when the connection is lost; raises TimeoutError when it only seems to be there."""
    while not lost.is_set():
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await lost.wait()
        except TimeoutError:
            # An empty transaction is a round trip to the server.
            async with asyncio.timeout(ANSWER_SECONDS), connection.transaction():
                pass
    _log.warning("The connection that hears of changes was lost.")
