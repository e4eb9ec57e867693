"""The connection is cut during COMMIT, PostgreSQL is killed: nothing acknowledged is lost, and nothing doubled."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.access import account_of_token, issue_ticket, issue_token, use_ticket
from ledger.granting import find_grant
from ledger.inbox import find_event, store_event
from ledger.opening import Opening, open_account
from ledger.revoking import revoke_grant
from ledger.rules.errors import LedgerUnavailable
from ledger.transaction import open_engine
from local.postgres import EmbeddedPostgres
from settings import asyncpg_url
from tests.conftest import Database, run_migrations
from tests.store.cutting_proxy import CuttingProxy, cutting_proxy
from tests.store.reversing import buy, reverse
from tests.store.support import assert_books_balance, count, entries, grant, open_user, session


@asynccontextmanager
async def behind_proxy(database: Database) -> AsyncIterator[tuple[CuttingProxy, AsyncEngine]]:
    """The application's engine, with a proxy between it and the server."""
    url = urlsplit(database.app_url)
    assert url.hostname is not None
    assert url.port is not None
    async with cutting_proxy(url.hostname, url.port) as (proxy, port):
        engine = open_engine(asyncpg_url(url._replace(netloc=url.netloc.replace(str(url.port), str(port))).geturl()))
        yield proxy, engine
        await engine.dispose()


async def test_a_grant_whose_commit_is_not_acknowledged_is_made_once(database: Database) -> None:
    async with behind_proxy(database) as (proxy, engine):
        account_id = await open_user(engine)
        proxy.commits_to_let_pass = 0
        made = await grant(engine, account_id, "once", 10)
        assert proxy.cuts == 1
        assert made.grant == await find_grant(engine, "once")
        assert await entries(database, account_id) == [("granted", 10, 10)]


async def test_a_revocation_whose_commit_is_not_acknowledged_takes_once(database: Database) -> None:
    async with behind_proxy(database) as (proxy, engine):
        account_id = await open_user(engine)
        await grant(engine, account_id, "g", 10)
        proxy.commits_to_let_pass = 1  # the look for the grant goes first
        assert (await revoke_grant(engine, "g", reason="", actor="", request_id="")).revoked == 10
        assert proxy.cuts == 1
        assert await entries(database, account_id) == [("granted", 10, 10), ("revoked", -10, 0)]


@pytest.mark.parametrize("cents", [(1000, 0), (300, 700)])
async def test_a_reversal_whose_commit_is_not_acknowledged_takes_once(
    database: Database, cents: tuple[int, int]
) -> None:
    async with behind_proxy(database) as (proxy, engine):
        account_id = await open_user(engine)
        await buy(engine, account_id)
        proxy.commits_to_let_pass = 1  # the look for the grant goes first
        told = await reverse(engine, *cents)
        assert proxy.cuts == 1
        # It finds its own work, as somebody else's repeat would.
        assert (told.changed, told.changes, told.reversed_credits) == (False, 1, cents[0] // 10)
        taken = ("reversed", -told.reversed_credits, 100 - told.reversed_credits)
        assert await entries(database, account_id) == [("granted", 100, 100), taken]
        await assert_books_balance(database)


@pytest.mark.parametrize(("external_id", "commits_before"), [(None, 0), ("ada", 1)])  # it looks for the id first
async def test_an_account_whose_commit_is_not_acknowledged_is_opened_once(
    database: Database, external_id: str | None, commits_before: int
) -> None:
    async with behind_proxy(database) as (proxy, engine):
        proxy.commits_to_let_pass = commits_before
        opened = await open_account(engine, Opening(kind="user", name="Ada", external_id=external_id))
        assert (proxy.cuts, opened.created) == (1, True)
        assert (await count(database, "accounts"), await count(database, "grants")) == (1, 1)


async def test_a_token_whose_commit_is_not_acknowledged_is_good(database: Database) -> None:
    async with behind_proxy(database) as (proxy, engine):
        account_id = await open_user(engine)
        proxy.commits_to_let_pass = 0
        assert await account_of_token(engine, await issue_token(engine, account_id)) == account_id
        proxy.commits_to_let_pass = 0
        assert await use_ticket(engine, await issue_ticket(engine, account_id)) == account_id
        assert proxy.cuts == 2


async def test_an_event_whose_commit_is_not_acknowledged_is_stored_once(database: Database) -> None:
    async with behind_proxy(database) as (proxy, engine):
        proxy.commits_to_let_pass = 0
        await store_event(engine, event_id="evt_1", event_type="ping", payload={"a": 1})
        assert proxy.cuts == 1
        event = await find_event(engine, "evt_1")
        assert event is not None
        assert await count(database, "webhook_inbox") == 1


async def test_many_cuts_double_nothing(database: Database) -> None:
    async with behind_proxy(database) as (proxy, engine):
        account_id = await open_user(engine)
        for number in range(5):
            proxy.commits_to_let_pass = number % 3
            await asyncio.gather(*(grant(engine, account_id, f"g{number}-{each}", 1) for each in range(4)))
        assert proxy.cuts == 5
        assert await count(database, "grants") == 20
        await assert_books_balance(database)


async def test_a_killed_server_loses_nothing_that_was_acknowledged(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("killed"))
    await server.start()
    try:
        await run_migrations(server.owner_url)
        database = Database("grantflow", server.app_url, server.owner_url, server.superuser_url)
        await _grant_while_the_server_is_killed(server, database)
    finally:
        await server.stop(delete=True)


async def _grant_while_the_server_is_killed(server: EmbeddedPostgres, database: Database) -> None:
    engine = database.open_engine()
    ids = [await open_user(engine) for _ in range(4)]
    acknowledged: list[str] = []
    progress, over = asyncio.Event(), asyncio.Event()

    async def keep_granting(account_id: str) -> None:
        number = 0
        while not over.is_set():
            operation_id = f"{account_id}-{number}"
            try:
                await grant(engine, account_id, operation_id, 1)
            except LedgerUnavailable:
                continue  # as a caller does: the same id again
            acknowledged.append(operation_id)
            progress.set()
            number += 1

    async def until_there_are_more() -> None:
        wanted = len(acknowledged) + 20
        async with asyncio.timeout(60):
            while len(acknowledged) < wanted:
                progress.clear()
                await progress.wait()

    granting = [asyncio.create_task(keep_granting(account_id)) for account_id in ids]
    for _ in range(2):
        await until_there_are_more()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await server.stop()
        await server.start()
    await until_there_are_more()
    over.set()
    await asyncio.gather(*granting)
    await engine.dispose()
    async with session(database.owner_url) as owner:
        made = [row["operation_id"] for row in await owner.fetch("SELECT operation_id FROM grants")]
    assert len(made) == len(set(made))
    assert set(acknowledged) == set(made)
    await assert_books_balance(database)
