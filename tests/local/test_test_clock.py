"""The product's clock on the embedded stack: it moves forward, in bounds, and only by its own function."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio

from local.postgres import APPLICATION, OWNER, EmbeddedPostgres
from local.test_clock import install_test_clock

_NAME = "clock_of_test"
_AHEAD = "SELECT ledger_now() - now()"


@pytest_asyncio.fixture(loop_scope="session")
async def application(embedded: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    await embedded.create_database(_NAME)
    owner = await asyncpg.connect(embedded.url(OWNER, _NAME))
    # As the first migration makes it.
    await owner.execute("CREATE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()'")
    await owner.close()
    await install_test_clock(embedded.url(OWNER, _NAME))
    session = await asyncpg.connect(embedded.url(APPLICATION, _NAME))
    yield session
    await session.close()
    await embedded.drop_database(_NAME)


async def test_it_stands_at_the_real_time_and_moves_forward(application: asyncpg.Connection) -> None:
    assert await application.fetchval(_AHEAD) == timedelta(0)
    moved = await application.fetchval("SELECT advance_test_clock(3600) - now()")
    assert moved == timedelta(hours=1)
    await application.execute("SELECT advance_test_clock(60)")
    assert await application.fetchval(_AHEAD) == timedelta(hours=1, minutes=1)


async def test_it_keeps_its_place_when_it_is_installed_again(
    application: asyncpg.Connection, embedded: EmbeddedPostgres
) -> None:
    await application.execute("SELECT advance_test_clock(60)")
    await install_test_clock(embedded.url(OWNER, _NAME))
    assert await application.fetchval(_AHEAD) == timedelta(minutes=1)


@pytest.mark.parametrize("seconds", [0, -1, 316_224_001, 2**63 - 1, None])
async def test_it_moves_neither_backwards_nor_beyond_ten_years(
    application: asyncpg.Connection, seconds: int | None
) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await application.execute("SELECT advance_test_clock($1)", seconds)
    assert await application.fetchval(_AHEAD) == timedelta(0)


async def test_its_ten_years_count_in_all(application: asyncpg.Connection) -> None:
    await application.execute("SELECT advance_test_clock(316224000)")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await application.execute("SELECT advance_test_clock(1)")


async def test_the_application_cannot_set_it_by_hand(application: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute("UPDATE test_clock SET offset_seconds = 1")
