"""The sweeps of time on a real ledger: bounded, with a heartbeat for each account, and one bad account is set aside."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from activities.time_sweeps import TimeSweeps
from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.noticing import untold_notices
from messages.grants import GrantType
from messages.sweeps import SweepReport
from tests.activities.parts import Pauses
from tests.conftest import Database
from tests.store.support import DAY_SECONDS, assert_books_balance, count, entries, grant, open_user, session


async def expiring(engine: AsyncEngine, number: int, *, days: float = 1) -> str:
    """An account with a grant of five credits that ends after so many days."""
    account_id = await open_user(engine, name=f"user {number}")
    end = (await read_balance(engine, account_id)).now + timedelta(days=days)
    await grant(engine, account_id, f"g-{number}", 5, GrantType.FREE, expires_at=end)
    return account_id


async def break_account(database: Database, account_id: str) -> None:
    """Gives one account books that no entry can follow: its balance says less than its grants hold."""
    async with session(database.owner_url) as owner:
        await owner.execute("UPDATE accounts SET balance = 1 WHERE account_id = $1", account_id)


async def test_a_tick_books_a_page_and_beats_for_each_account(
    database: Database, engine: AsyncEngine, worker: ActivityEnvironment
) -> None:
    beats: list[tuple[object, ...]] = []
    worker.on_heartbeat = lambda *details: beats.append(details)
    for number in range(5):
        await expiring(engine, number)
    await advance_test_clock(engine, 14 * DAY_SECONDS)
    sweeps = TimeSweeps(engine, page=3, pause=Pauses())
    assert await worker.run(sweeps.book_due) == SweepReport(done=3)
    assert len(beats) == 3
    assert await worker.run(sweeps.book_due) == SweepReport(done=2)
    assert await worker.run(sweeps.book_due) == SweepReport()
    assert await count(database, "journal WHERE kind = 'expired'") == 5
    await assert_books_balance(database)


async def test_an_account_that_fails_is_set_aside_and_the_others_are_booked(
    database: Database, engine: AsyncEngine, worker: ActivityEnvironment
) -> None:
    accounts = [await expiring(engine, number, days=1 + number) for number in range(4)]
    await break_account(database, accounts[0])
    await break_account(database, accounts[1])
    await advance_test_clock(engine, 14 * DAY_SECONDS)
    sweeps = TimeSweeps(engine, page=2, pause=Pauses())
    assert await worker.run(sweeps.book_due) == SweepReport(failed=2)
    assert await worker.run(sweeps.book_due) == SweepReport(done=2)  # the page is not theirs for ever
    assert await worker.run(sweeps.book_due) == SweepReport(failed=2)
    assert [kind for kind, _, _ in await entries(database, accounts[0])] == ["granted"]


async def test_an_account_that_somebody_holds_keeps_nobody_else(
    database: Database, engine: AsyncEngine, worker: ActivityEnvironment
) -> None:
    accounts = [await expiring(engine, number, days=1 + number) for number in range(2)]
    await advance_test_clock(engine, 14 * DAY_SECONDS)
    sweeps = TimeSweeps(engine, pause=Pauses())
    async with session(database.owner_url) as owner, owner.transaction():
        await owner.execute("SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", accounts[0])
        assert await worker.run(sweeps.book_due) == SweepReport(done=1, failed=1)
    assert await worker.run(sweeps.book_due) == SweepReport(done=1)


async def test_an_outage_ends_the_page(database: Database, engine: AsyncEngine, worker: ActivityEnvironment) -> None:
    for number in range(3):
        await expiring(engine, number)
    await advance_test_clock(engine, 14 * DAY_SECONDS)
    sweeps = TimeSweeps(engine, pause=Pauses())
    async with session(database.superuser_url) as superuser:
        # Nothing can be written, as during a failover to a replica.
        await superuser.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
        await engine.dispose()
        assert await worker.run(sweeps.book_due) == SweepReport(left=3)
        await superuser.execute(f"ALTER DATABASE {database.name} RESET default_transaction_read_only")
    await engine.dispose()
    assert await worker.run(sweeps.book_due) == SweepReport(done=3)


async def test_notices_are_given_page_by_page_with_heartbeats(engine: AsyncEngine, worker: ActivityEnvironment) -> None:
    beats: list[tuple[object, ...]] = []
    worker.on_heartbeat = lambda *details: beats.append(details)
    accounts = [await expiring(engine, number, days=60 + number) for number in range(5)]
    await advance_test_clock(engine, 40 * DAY_SECONDS)
    sweeps = TimeSweeps(engine, notice_page=2)
    assert await worker.run(sweeps.give_expiry_notices) == SweepReport(done=5)
    assert len(beats) == 3
    for account_id in accounts:
        assert len(await untold_notices(engine, account_id, limit=9)) == 1
    assert await worker.run(sweeps.give_expiry_notices) == SweepReport()


async def test_the_days_are_as_they_are_set(engine: AsyncEngine, worker: ActivityEnvironment) -> None:
    account_id = await expiring(engine, 1, days=60)
    await advance_test_clock(engine, 11 * DAY_SECONDS)
    assert await worker.run(TimeSweeps(engine).give_expiry_notices) == SweepReport()
    assert await worker.run(TimeSweeps(engine, notice_days=(2, 50)).give_expiry_notices) == SweepReport(done=1)
    [notice] = await untold_notices(engine, account_id, limit=9)
    assert notice.payload["daysBefore"] == 50


async def test_a_tick_that_is_full_leaves_the_rest_to_the_next(
    engine: AsyncEngine, worker: ActivityEnvironment
) -> None:
    for number in range(5):
        await expiring(engine, number, days=60 + number)
    await advance_test_clock(engine, 40 * DAY_SECONDS)
    sweeps = TimeSweeps(engine, notice_page=1, notice_pages=3)
    assert [(await worker.run(sweeps.give_expiry_notices)).done for _ in range(3)] == [3, 2, 0]
