"""``with_serializable_transaction``: what it repeats, what it gives up, and that it really is SERIALIZABLE."""

import asyncio

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.changes import AccountChange, announce
from ledger.repeating import GIVEN_UP, MAX_ATTEMPTS
from ledger.rules.errors import LedgerUnavailable
from ledger.store.accounts import lock_account, parse_account_id
from ledger.transaction import (
    WeakerIsolation,
    open_engine,
    refuse_weaker_isolation,
    with_serializable_transaction,
    with_snapshot,
    with_transaction,
)
from local.ports import free_port
from settings import asyncpg_url
from tests.conftest import Database
from tests.store.support import count, open_user, repeats, session, total


async def test_serializable_is_serializable(engine: AsyncEngine) -> None:
    await refuse_weaker_isolation(engine)


async def test_the_ledger_does_not_start_on_a_weaker_isolation(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def weaken(connection: Connection) -> None:  # as a pooler that rewrites BEGIN
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")

    with pytest.raises(WeakerIsolation, match="'read committed'"):
        await refuse_weaker_isolation(engine)


async def test_write_skew_is_refused_and_repeated(engine: AsyncEngine) -> None:
    """Two transactions each look at one account and write the other: one of them must see the other's work."""
    ids = [parse_account_id(await open_user(engine)) for _ in range(2)]
    both_have_read = asyncio.Barrier(2)
    seen: list[tuple[int, int]] = []

    async def look_here_and_write_there(here: int) -> None:
        attempts = 0

        async def work(tx: AsyncConnection) -> int:
            nonlocal attempts
            attempts += 1
            found = await tx.execute(text("SELECT seq FROM accounts WHERE account_id = :id"), {"id": ids[here]})
            read: int = found.scalar_one()
            if attempts == 1:
                await both_have_read.wait()
            await tx.execute(text("UPDATE accounts SET seq = seq + 1 WHERE account_id = :id"), {"id": ids[1 - here]})
            return read

        seen.append((attempts, await with_serializable_transaction(engine, work, what="skew")))

    before = repeats()
    await asyncio.gather(look_here_and_write_there(0), look_here_and_write_there(1))
    assert repeats() == before + 1
    assert sorted(read for _, read in seen) == [0, 1]


async def test_a_deadlock_is_repeated(engine: AsyncEngine) -> None:
    ids = [parse_account_id(await open_user(engine)) for _ in range(2)]
    both_hold_one = asyncio.Barrier(2)

    async def lock_both(first: int) -> int:
        attempts = 0

        async def work(tx: AsyncConnection) -> int:
            nonlocal attempts
            attempts += 1
            await lock_account(tx, ids[first])
            if attempts == 1:
                await both_hold_one.wait()
            await lock_account(tx, ids[1 - first])
            return attempts

        return await with_serializable_transaction(engine, work, what="deadlock")

    assert sorted(await asyncio.gather(lock_both(0), lock_both(1))) == [1, 2]


async def test_beyond_the_cap_there_is_one_typed_refusal_and_nothing_written(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = parse_account_id(await open_user(engine))
    attempts = 0

    async def always_in_conflict(tx: AsyncConnection) -> None:
        nonlocal attempts
        attempts += 1
        await tx.execute(
            text("INSERT INTO tickets (ticket_hash, account_id, expires_at) VALUES (:hash, :id, now())"),
            {"hash": bytes(32), "id": account_id},
        )
        await tx.execute(text("DO $$ BEGIN RAISE EXCEPTION 'in conflict' USING ERRCODE = '40001'; END $$"))

    with pytest.raises(LedgerUnavailable) as refused:
        await with_serializable_transaction(engine, always_in_conflict, what="always")
    assert refused.value.retryable
    assert (refused.value.attempts, refused.value.reason, attempts) == (
        MAX_ATTEMPTS,
        "serialization failure",
        MAX_ATTEMPTS,
    )
    assert total(GIVEN_UP, what="always", reason="serialization failure") == 1
    assert await count(database, "tickets") == 0


@pytest.mark.parametrize(
    ("sqlstate", "reason"),
    [
        ("55P03", "lock timeout"),
        ("57014", "statement timeout"),
        ("25006", "database is read-only"),
        ("53100", "database is out of resources"),
        ("53200", "database is out of resources"),
    ],
)
async def test_what_waiting_longer_does_not_mend_is_refused_at_once(
    engine: AsyncEngine, sqlstate: str, reason: str
) -> None:
    async def work(tx: AsyncConnection) -> None:
        await tx.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$"))

    with pytest.raises(LedgerUnavailable) as refused:
        await with_serializable_transaction(engine, work, what="hopeless")
    assert (refused.value.attempts, refused.value.reason) == (1, reason)


async def test_a_real_lock_timeout_is_that_refusal(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)

    async def work(tx: AsyncConnection) -> None:
        await tx.execute(text("SET LOCAL lock_timeout = '50ms'"))
        await lock_account(tx, parse_account_id(account_id))

    async with session(database.owner_url) as owner, owner.transaction():
        await owner.execute("SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", account_id)
        with pytest.raises(LedgerUnavailable, match="lock timeout"):
            await with_serializable_transaction(engine, work, what="wait")


async def test_a_value_that_cannot_be_sent_is_no_lost_connection(engine: AsyncEngine) -> None:
    async def work(tx: AsyncConnection) -> None:
        await tx.execute(text("SELECT seq FROM accounts WHERE debt = :huge"), {"huge": 2**63})

    before = repeats()
    with pytest.raises(DBAPIError, match="out of int64 range"):
        await with_transaction(engine, work, what="send")
    assert repeats() == before


async def test_a_pool_with_nothing_left_is_a_typed_refusal(database: Database) -> None:
    engine = open_engine(asyncpg_url(database.app_url), pool_size=1, pool_timeout_seconds=0.1)
    account_id = parse_account_id(await open_user(engine))
    async with engine.connect():
        with pytest.raises(LedgerUnavailable, match="pool exhausted"):
            await with_transaction(engine, lambda tx: lock_account(tx, account_id), what="crowded")
        await announce(engine, AccountChange(account_id, 1))  # what it announces is committed: it never raises
    await engine.dispose()


async def test_a_server_that_is_not_there_is_a_typed_refusal() -> None:
    engine = open_engine(f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/nothing")

    async def work(tx: AsyncConnection) -> None:
        await tx.execute(text("SELECT 1"))

    with pytest.raises(LedgerUnavailable, match="connection lost"):
        await with_transaction(engine, work, what="absent")
    await engine.dispose()


async def test_a_session_that_the_server_ended_is_replaced(database: Database) -> None:
    engine = database.open_engine(pool_size=1)
    account_id = parse_account_id(await open_user(engine))
    async with session(database.superuser_url) as superuser:
        await superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'grantflow' AND datname = current_database()"
        )
    account = await with_serializable_transaction(engine, lambda tx: lock_account(tx, account_id), what="again")
    assert account.account_id == account_id
    await engine.dispose()


async def test_a_plan_that_a_migration_has_outdated_is_made_anew(database: Database) -> None:
    engine = database.open_engine(pool_size=1)
    account_id = await open_user(engine)

    async def work(tx: AsyncConnection) -> str:
        found = await tx.execute(text("SELECT * FROM account_profiles WHERE account_id = :id"), {"id": account_id})
        return str(found.one().name)

    assert await with_transaction(engine, work, what="profile") == "Ada"
    async with session(database.owner_url) as owner:
        await owner.execute("ALTER TABLE account_profiles ADD COLUMN motto text")
    assert await with_transaction(engine, work, what="profile") == "Ada"
    await engine.dispose()


async def test_a_snapshot_sees_one_state_and_writes_nothing(engine: AsyncEngine) -> None:
    async def look_twice(tx: AsyncConnection) -> tuple[int, int]:
        first = (await tx.execute(text("SELECT count(*) FROM accounts"))).scalar_one()
        await open_user(engine)
        return first, (await tx.execute(text("SELECT count(*) FROM accounts"))).scalar_one()

    assert await with_snapshot(engine, look_twice, what="look twice") == (0, 0)
    with pytest.raises(LedgerUnavailable, match="read-only"):
        await with_snapshot(engine, lambda tx: tx.execute(text("DELETE FROM tickets")), what="write")
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM tickets"))
        isolation = (await connection.execute(text("SHOW transaction_isolation"))).scalar_one()
    assert isolation == "read committed", "a connection goes back as it was"
