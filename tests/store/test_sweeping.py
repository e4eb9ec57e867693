"""The sweep of expiry: it books late what every reader has long counted, and nobody needs it to."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import ConsumeOrder, Consumption
from ledger.revoking import revoke_grant
from ledger.sweeping import book_due, due_accounts
from messages.grants import GrantType
from tests.conftest import Database
from tests.store.held import place_hold
from tests.store.support import DAY_SECONDS, assert_books_balance, entries, grant, open_user, session


async def in_days(engine: AsyncEngine, account_id: str, days: float) -> datetime:
    """The instant that is so many days ahead by the product's clock."""
    return (await read_balance(engine, account_id)).now + timedelta(days=days)


async def effective(database: Database, account_id: str) -> list[datetime]:
    """When the account's expiries count."""
    async with session(database.owner_url) as owner:
        rows = await owner.fetch(
            "SELECT effective_at FROM journal WHERE account_id = $1 AND kind = 'expired' ORDER BY entry_id", account_id
        )
    return [row["effective_at"].astimezone(UTC) for row in rows]


async def test_after_weeks_without_a_sweep_nothing_is_wrong_and_the_booking_counts_from_the_expiries(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    ends = [await in_days(engine, account_id, days) for days in (9, 3)]
    for number, end in enumerate(ends):
        await grant(engine, account_id, f"free-one-{number}", 10 + number, GrantType.REFERRAL, expires_at=end)
    await grant(engine, account_id, "kept", 5)
    await advance_test_clock(engine, 21 * DAY_SECONDS)
    before = await read_balance(engine, account_id)
    assert (before.remaining, before.net, before.breakdown[GrantType.REFERRAL]) == (5, 5, 0)

    assert account_id in await due_accounts(engine, limit=10)
    assert await book_due(engine, account_id) == 2

    after = await read_balance(engine, account_id)
    assert (after.remaining, after.net, after.seq) == (5, 5, before.seq + 1)
    assert (await entries(database, account_id))[3:] == [("expired", -11, 15), ("expired", -10, 5)]
    assert await effective(database, account_id) == sorted(ends)
    assert await book_due(engine, account_id) == 0
    assert await due_accounts(engine, limit=10) == []
    await assert_books_balance(database)


async def test_holds_lapse_and_grants_expire_each_at_its_instant(database: Database, engine: AsyncEngine) -> None:
    """A hold that lapses before the expiry gives its credits back in time; a later one keeps them until it lapses."""
    account_id = await open_user(engine)
    end = await in_days(engine, account_id, 3)
    await grant(engine, account_id, "gone", 10, GrantType.FREE, expires_at=end)
    await place_hold(database, account_id, "early", "gone", 6, hours=1)
    await advance_test_clock(engine, 3 * DAY_SECONDS - 1800)
    late = await place_hold(database, account_id, "late", "gone", 3, hours=1)
    await advance_test_clock(engine, 18 * DAY_SECONDS)
    before = await read_balance(engine, account_id)
    assert (before.remaining, before.held, before.net) == (0, 0, 0)

    assert await due_accounts(engine, limit=10) == [account_id]
    assert await book_due(engine, account_id) == 3

    assert (await entries(database, account_id))[1:] == [("expired", -7, 3), ("expired", -3, 0)]
    assert await effective(database, account_id) == [end, late]
    after = await read_balance(engine, account_id)
    assert (after.remaining, after.held, after.net, after.seq) == (0, 0, 0, before.seq + 1)
    async with session(database.owner_url) as owner:
        states = await owner.fetch("SELECT state, closed_at = held_until FROM holds")
    assert [tuple(row) for row in states] == [("lapsed", True)] * 2
    assert await due_accounts(engine, limit=10) == []
    await assert_books_balance(database)


async def test_a_lapse_alone_is_a_change_without_entries(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "kept", 10)
    await place_hold(database, account_id, "held", "kept", 6, hours=1)
    seq = (await read_balance(engine, account_id)).seq
    await advance_test_clock(engine, 7 * DAY_SECONDS)
    assert await book_due(engine, account_id) == 1
    after = await read_balance(engine, account_id)
    assert (after.remaining, after.held, after.seq) == (10, 0, seq + 1)
    assert len(await entries(database, account_id)) == 1
    await assert_books_balance(database)


async def test_the_longest_due_come_first_and_what_is_not_due_does_not_come(engine: AsyncEngine) -> None:
    accounts = [await open_user(engine, name=name) for name in ("a", "b", "c")]
    for account_id, days in zip(accounts, (3, 1, 2), strict=True):
        end = await in_days(engine, account_id, days)
        await grant(engine, account_id, f"g-{days}", 5, GrantType.FREE, expires_at=end)
    await advance_test_clock(engine, 2 * DAY_SECONDS + 60)
    assert await due_accounts(engine, limit=10) == [accounts[1], accounts[2]]
    assert await due_accounts(engine, limit=1) == [accounts[1]]


async def test_at_the_instant_itself_it_is_due(engine: AsyncEngine, database: Database) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 5, GrantType.FREE, expires_at=await in_days(engine, account_id, 1))
    async with session(database.owner_url) as owner:
        # The clock of this test stands still at the very instant of the expiry.
        await owner.execute(
            "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql STABLE AS "
            "'SELECT max(expires_at) FROM grants'"
        )
    assert await due_accounts(engine, limit=10) == [account_id]
    assert await book_due(engine, account_id) == 1


async def test_a_bound_that_was_too_early_is_moved_and_changes_nothing_else(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "gone", 5, GrantType.FREE, expires_at=await in_days(engine, account_id, 1))
    await grant(engine, account_id, "later", 5, GrantType.FREE, expires_at=await in_days(engine, account_id, 9))
    await revoke_grant(engine, "gone", reason="", actor="", request_id="")
    seq = (await read_balance(engine, account_id)).seq
    await advance_test_clock(engine, 2 * DAY_SECONDS)
    assert await due_accounts(engine, limit=10) == [account_id]
    assert await book_due(engine, account_id) == 0
    assert await due_accounts(engine, limit=10) == []
    assert (await read_balance(engine, account_id)).seq == seq
    await advance_test_clock(engine, 8 * DAY_SECONDS)
    assert await due_accounts(engine, limit=10) == [account_id]
    assert await book_due(engine, account_id) == 1
    await assert_books_balance(database)


async def test_many_sweeps_and_spenders_at_once_book_it_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "gone", 50, GrantType.FREE, expires_at=await in_days(engine, account_id, 1))
    await grant(engine, account_id, "kept", 100)
    await advance_test_clock(engine, 2 * DAY_SECONDS)
    other = database.open_engine(pool_size=5)
    consumption = Consumption(other)
    async with consumption.running():
        orders = [ConsumeOrder(account_id, f"spend-{number}", 1) for number in range(10)]
        await asyncio.gather(
            *(book_due(engine, account_id) for _ in range(4)),
            *(book_due(other, account_id) for _ in range(4)),
            *(consumption.consume(order) for order in orders),
        )
    await other.dispose()
    kinds = [kind for kind, _, _ in await entries(database, account_id)]
    assert (kinds.count("expired"), kinds.count("consumed")) == (1, 10)
    assert (await read_balance(engine, account_id)).remaining == 90
    await assert_books_balance(database)


async def test_spending_leaves_the_account_on_its_page(database: Database) -> None:
    """The index of due accounts costs the hot path nothing: every update is HOT, touching no index."""
    engine = database.open_engine(pool_size=1)
    account_id = await open_user(engine)
    end = await in_days(engine, account_id, 60)
    await grant(engine, account_id, "long", 1000, GrantType.FREE, expires_at=end)
    before = await _updates(engine)
    consumption = Consumption(engine)
    async with consumption.running():
        for number in range(20):
            await consumption.consume(ConsumeOrder(account_id, f"spend-{number}", 1))
    after = await _updates(engine)
    await engine.dispose()
    for table in ("accounts", "grants"):
        updated, hot = (new - old for new, old in zip(after[table], before[table], strict=True))
        assert updated == 20
        assert hot == 20


async def _updates(engine: AsyncEngine) -> dict[str, tuple[int, int]]:
    """How many updates the tables have seen, and how many of these were HOT; the one session of the engine says so."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
        await connection.commit()
        found = await connection.execute(
            text(
                "SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables "
                "WHERE relname IN ('accounts', 'grants')"
            )
        )
        return {row.relname: (row.n_tup_upd, row.n_tup_hot_upd) for row in found}
