"""The PostgreSQL that everything is measured on: the embedded one, durable, with our migrations and our roles."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from local.folders import default_data_dir
from local.migrate import migrate
from local.postgres import APPLICATION, OWNER, SUPERUSER, EmbeddedPostgres

# The same for all that is measured. Checkpoints are far apart, so that none falls into one side's seconds by chance.
SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "max_connections": "300",
}

_TEMPLATE = "bench_template"
_REAPED_SECONDS = 0.2
_YARDSTICK = Path(__file__).with_name("one_call.sql")


@dataclass(frozen=True)
class Database:
    """A database of the benchmarks; every URL begins with ``postgresql://``."""

    name: str
    app_url: str
    owner_url: str
    superuser_url: str
    pgbench: str


async def install_yardstick(owner_url: str) -> None:
    """Makes the schema ``bench`` with the function ``consume_one``; safe to repeat."""
    session = await asyncpg.connect(owner_url, timeout=10)
    try:
        await session.execute(_YARDSTICK.read_text())
    finally:
        await session.close()


class BenchServer:
    """The server of one run, in a folder of its own that is deleted afterwards."""

    def __init__(self, postgres: EmbeddedPostgres, folder: Path) -> None:
        """Holds a server that has started; use :func:`running_server`."""
        self._postgres = postgres
        self.folder = folder

    @property
    def app_url(self) -> str:
        """A URL of the application's role in the empty, migrated database."""
        return self._postgres.url(APPLICATION, _TEMPLATE)

    @asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[Database]:
        """A fresh database with our schema and the yardstick; dropped at the end."""
        server = self._postgres
        # A run that was killed has left it behind.
        await server.drop_database(name)
        await server.create_database(name, template=_TEMPLATE)
        try:
            yield Database(
                name,
                server.url(APPLICATION, name),
                server.url(OWNER, name),
                server.url(SUPERUSER, name),
                server.program("pgbench"),
            )
        finally:
            await server.drop_database(name)

    async def checkpoint(self) -> None:
        """Writes everything out, so that the next measurements begin from the same state."""
        session = await asyncpg.connect(self._postgres.superuser_url, timeout=10)
        try:
            await session.execute("CHECKPOINT", timeout=300)
        finally:
            await session.close()

    async def cpu_of_ended_sessions(self) -> float:
        """The seconds of a core that all sessions have taken that have ended so far."""
        # The postmaster reaps them a moment after their clients have gone.
        await asyncio.sleep(_REAPED_SECONDS)
        spent = psutil.Process(self._postgres.pid).cpu_times()
        return float(spent.children_user + spent.children_system)

    async def _make_template(self) -> None:
        await self._postgres.drop_database(_TEMPLATE)
        await self._postgres.create_database(_TEMPLATE)
        owner_url = self._postgres.url(OWNER, _TEMPLATE)
        await migrate(owner_url)
        await install_yardstick(owner_url)


@asynccontextmanager
async def running_server(folder: Path | None = None) -> AsyncIterator[BenchServer]:
    """Starts the server and stops it; its data is deleted.

    Args:
        folder: where it keeps its data; on a disk, not in memory. Beside the local stack's data unless told.
    """
    folder = folder or default_data_dir().with_name("bench")
    postgres = EmbeddedPostgres(folder, settings=SETTINGS)
    await postgres.start()
    try:
        server = BenchServer(postgres, folder)
        await server._make_template()
        yield server
    finally:
        await postgres.stop(delete=True)
