"""`python -m local.migrate upgrade | check | revision MESSAGE`: the migrations, on a database that needs no set-up."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from local.environment import read_environment
from local.errors import LocalError
from local.folders import default_data_dir, project_dir
from local.postgres import EmbeddedPostgres
from local.records import Kept
from local.state import DataDir, find_running

_USAGE = 'usage: python -m local.migrate upgrade | check | revision "what it changes"'
_LEFT_BEHIND = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'S')
    AND relname <> 'alembic_version'
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""


async def upgrade() -> None:
    """Apply the migrations to `GRANTFLOW_DATABASE_URL`, or to the embedded database, which is started if need be."""
    chosen = read_environment(os.environ)
    if chosen.database_url is not None:
        await migrate(chosen.migrations_database_url or chosen.database_url)
        return
    data_dir = DataDir(default_data_dir())
    if find_running(data_dir.path) is not None:
        await migrate(_embedded(data_dir, data_dir.kept()).owner_url)
        return
    data_dir.make()
    data_dir.lock.take()
    postgres = _embedded(data_dir, data_dir.keep(None))
    await postgres.start()
    try:
        await migrate(postgres.owner_url)
    finally:
        await postgres.stop()
        data_dir.lock.release()


async def check() -> None:
    """Check on a fresh database that the migrations make the schema that the code names, go down, and come up again.

    Raises:
        LocalError: if one of them fails, or if the way down leaves something behind.
    """
    async with _fresh_database() as owner_url:
        await migrate(owner_url)
        await _alembic(owner_url, "check")
        await _alembic(owner_url, "downgrade", "base")
        left = await _names(owner_url)
        if left:
            raise LocalError(f"the down-migrations leave behind: {', '.join(left)}")
        await migrate(owner_url)
        await _alembic(owner_url, "check")


async def revision(message: str) -> None:
    """Write a new migration from the difference between the newest one and the schema that the code names.

    Args:
        message: what it changes; becomes part of the file's name.
    """
    async with _fresh_database() as owner_url:
        await migrate(owner_url)
        await _alembic(owner_url, "revision", "--autogenerate", "-m", message)


@asynccontextmanager
async def _fresh_database() -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(prefix="grantflow-") as folder:
        postgres = EmbeddedPostgres(Path(folder))
        await postgres.start()
        try:
            yield postgres.owner_url
        finally:
            await postgres.stop(delete=True)


def _embedded(data_dir: DataDir, kept: Kept) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir.path, port=kept.ports.postgres)


async def _names(owner_url: str) -> list[str]:
    session = await asyncpg.connect(owner_url)
    try:
        return [str(row[0]) for row in await session.fetch(_LEFT_BEHIND)]
    finally:
        await session.close()


async def migrate(owner_url: str) -> None:
    """Bring a database to the newest revision.

    Args:
        owner_url: a `postgresql://` URL of the schema's owner.

    Raises:
        LocalError: if a migration fails; what it says stands on the screen.
    """
    await _run(owner_url, "migrations")


async def _alembic(owner_url: str, *arguments: str) -> None:
    await _run(owner_url, "alembic", *arguments)


async def _run(owner_url: str, module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "GRANTFLOW_MIGRATIONS_DATABASE_URL": owner_url}
    done = await asyncio.to_thread(subprocess.run, command, cwd=project_dir(), env=environment, check=False)
    if done.returncode != 0:
        raise LocalError(f"{' '.join((module, *arguments))} ended with exit code {done.returncode}")


def main(arguments: Sequence[str]) -> int:
    """Run one command; gives the exit code.

    Args:
        arguments: the command line's, without the program.
    """
    match list(arguments):
        case ["upgrade"]:
            work = upgrade()
        case ["check"]:
            work = check()
        case ["revision", message] if message.strip():
            work = revision(message)
        case _:
            print(_USAGE, file=sys.stderr)
            return 2
    try:
        asyncio.run(work)
    except LocalError as no:
        print(no, file=sys.stderr)
        return no.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
