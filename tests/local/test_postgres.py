"""The embedded PostgreSQL: a real server, with what production has."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from local.errors import AlreadyInUse
from local.postgres import APPLICATION, OWNER, EmbeddedPostgres
from local.process_ids import ProcessId


@asynccontextmanager
async def session(url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(url)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def server_on(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(delete=True)


async def test_nothing_that_makes_commits_durable_is_switched_off(embedded: EmbeddedPostgres) -> None:
    async with session(embedded.app_url) as opened:
        names = ("fsync", "synchronous_commit", "full_page_writes", "password_encryption", "TimeZone")
        values = [await opened.fetchval("SELECT current_setting($1)", name) for name in names]
        assert values == ["on", "on", "on", "scram-sha-256", "UTC"]
        assert await opened.fetchval("SHOW listen_addresses") == "127.0.0.1"


async def test_the_application_role_owns_nothing_and_may_make_nothing(embedded: EmbeddedPostgres) -> None:
    async with session(embedded.app_url) as opened:
        assert await opened.fetchval("SELECT current_user") == APPLICATION
        owned = "SELECT count(*) FROM pg_class WHERE relowner = to_regrole('grantflow_app')"
        assert await opened.fetchval(owned) == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await opened.execute("CREATE TABLE mine (id int)")
        rights = "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = ANY($1)"
        assert {row[0] for row in await opened.fetch(rights, [APPLICATION, OWNER])} == {False}


async def test_nobody_gets_in_without_the_password(embedded: EmbeddedPostgres) -> None:
    parts = urlsplit(embedded.app_url)
    guessed = urlunsplit(parts._replace(netloc=f"{APPLICATION}:guess@127.0.0.1:{embedded.port}"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(guessed)


async def test_a_database_is_copied_from_a_template_and_its_owner_may_use_it(embedded: EmbeddedPostgres) -> None:
    await embedded.create_database("template_of_test")
    async with session(embedded.url(OWNER, "template_of_test")) as opened:
        await opened.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
    await embedded.create_database("copy_of_test", template="template_of_test")
    await embedded.create_database("copy_of_test", template="template_of_test")
    async with session(embedded.url(OWNER, "copy_of_test")) as opened:
        assert await opened.fetchval("SELECT id FROM kept") == 1
    await embedded.drop_database("copy_of_test")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(embedded.url(OWNER, "copy_of_test"))


async def test_it_comes_back_after_a_sigkill_with_its_data_also_when_its_pid_was_given_to_a_stranger(
    tmp_path: Path,
) -> None:
    async with server_on(tmp_path / "data") as server:
        async with session(server.owner_url) as opened:
            await opened.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
        pid, port, url = server.pid, server.port, server.owner_url
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await server.stop()
        pid_file = server.command().folder
        assert pid_file is not None
        left = pid_file / "postmaster.pid"
        left.write_text(left.read_text().replace(str(pid), str(os.getpid()), 1))

        following = EmbeddedPostgres(tmp_path / "data")
        await following.start()

        async with session(url) as opened:
            assert await opened.fetchval("SELECT id FROM kept") == 1
        assert following.port == port
        await following.stop()
        assert ProcessId.of(pid) is None


async def test_one_folder_has_one_server(tmp_path: Path) -> None:
    async with server_on(tmp_path / "data"):
        with pytest.raises(AlreadyInUse):
            await EmbeddedPostgres(tmp_path / "data").start()


async def test_a_folder_that_others_cannot_enter_and_a_long_path_are_no_obstacle(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with server_on(closed / ("long" * 30)) as server, session(server.app_url) as opened:
        assert await opened.fetchval("SELECT 1") == 1
    assert closed.stat().st_mode & 0o777 == 0o700
