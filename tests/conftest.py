"""What all tests share: one real PostgreSQL for the run, and a fresh database from a template for each test."""

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.transaction import open_engine
from local.postgres import APPLICATION, OWNER, SUPERUSER, EmbeddedPostgres
from local.test_clock import install_test_clock
from settings import asyncpg_url

pytest_plugins = ("tests.stripe_servers", "tests.temporal_servers")

ROOT = Path(__file__).resolve().parent.parent

# A process may be killed here, never the machine: the tests need no flush to the disk. Tests of durability start
# a server of their own, with its defaults.
_FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}

# Minutes each: where several processes share the suite, nobody should begin with one of these when the others are done.
_LONG = (
    "proof/test_mutants.py",
    "faults/test_crash_at_every_step.py",
    "faults/test_top_up_crashes.py",
    "faults/test_webhook_storm.py",
    "faults/test_killed_under_load.py",
    "faults/test_parts_away.py",
    "local/test_image.py",
)

MIGRATED = "template_migrated"
_WITH_CLOCK = "template_with_clock"


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis plays the same examples in every run; `--hypothesis-seed=N` explores others."""
    if config.getoption("--hypothesis-profile"):
        return
    seeded = config.getoption("--hypothesis-seed") is not None
    hypothesis.settings.register_profile(
        "grantflow", deadline=None, derandomize=not seeded, database=None, print_blob=True
    )
    hypothesis.settings.load_profile("grantflow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process that shares the suite with others, the longest files come first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not str(item.path).endswith(_LONG))


@dataclass(frozen=True)
class Database:
    """One test's database; every URL begins with ``postgresql://``."""

    name: str
    app_url: str
    owner_url: str
    superuser_url: str

    def open_engine(self, *, pool_size: int = 10) -> AsyncEngine:
        """The application's engine, as its processes open it; whoever opens it disposes of it."""
        return open_engine(asyncpg_url(self.app_url), pool_size=pool_size)


MakeDatabase = Callable[[], AbstractAsyncContextManager[Database]]


async def run_migrations(owner_url: str, *arguments: str) -> str:
    """Runs Alembic against a database as the project does, in a process of its own; gives what it printed.

    Without arguments it brings the database to the newest revision; else they go to ``alembic``.
    """
    command = ("-m", "alembic", *arguments) if arguments else ("-m", "migrations")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        env={**os.environ, "GRANTFLOW_MIGRATIONS_DATABASE_URL": owner_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output.decode()}")
    return output.decode()


@asynccontextmanager
async def running_postgres(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL with the two templates: the migrated schema, and the same with the test clock."""
    server = EmbeddedPostgres(folder, settings=_FAST)
    await server.start()
    try:
        await server.create_database(MIGRATED)
        await run_migrations(server.url(OWNER, MIGRATED))
        await server.create_database(_WITH_CLOCK, template=MIGRATED)
        await install_test_clock(server.url(OWNER, _WITH_CLOCK))
        yield server
    finally:
        await server.stop(delete=True)


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """The run's PostgreSQL."""
    async with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


_numbers = itertools.count(1)


@asynccontextmanager
async def fresh_database(server: EmbeddedPostgres, template: str) -> AsyncIterator[Database]:
    """A database of one's own, made from a template."""
    name = f"test_{next(_numbers)}"
    await server.create_database(name, template=template)
    try:
        yield Database(name, server.url(APPLICATION, name), server.url(OWNER, name), server.url(SUPERUSER, name))
    finally:
        await server.drop_database(name)


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    """A fresh database with the schema and the test clock."""
    async with fresh_database(postgres, _WITH_CLOCK) as fresh:
        yield fresh


@pytest.fixture
async def plain_database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    """A fresh database as the migrations alone make it, as in production: its clock can't be moved."""
    async with fresh_database(postgres, MIGRATED) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def make_database(postgres: EmbeddedPostgres) -> MakeDatabase:
    """Makes more databases with the test clock, for tests that need one after another."""
    return lambda: fresh_database(postgres, _WITH_CLOCK)


@pytest.fixture(scope="session")
def make_plain_database(postgres: EmbeddedPostgres) -> MakeDatabase:
    """Makes more databases as the migrations alone make them."""
    return lambda: fresh_database(postgres, MIGRATED)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """The application's engine on the test's database."""
    opened = database.open_engine()
    yield opened
    await opened.dispose()
