"""What is compared is the same change: the ledger, the yardstick and the naive pattern leave the same rows behind."""

import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from bench.accounts import account_id, account_tail
from bench.naive import NaiveLedger, NotForThisPattern, open_pool
from bench.seeding import CREDITS_A_GRANT, Seed, seed
from bench.server import install_yardstick
from ledger.consuming import ConsumeOrder, Consumption
from tests.conftest import Database
from tests.store.books import wrong_books
from tests.store.support import session

# From the first grant; from the rest of it and the second; from the rest of that and the third, which was paid for.
SPENT = (7, CREDITS_A_GRANT, CREDITS_A_GRANT)
ORDER_OF_ROWS = {"accounts": "seq", "grants": "priority", "operations": "operation_id", "journal": "entry_id"}
# When, and in which order over all accounts: what no two accounts have in common.
OWN = {"entry_id", "effective_at", "recorded_at"}


@pytest.fixture
async def seeded(plain_database: Database) -> Database:
    """Three equal accounts, and the yardstick."""
    await install_yardstick(plain_database.owner_url)
    await seed(plain_database.superuser_url, Seed(accounts=3), lambda words: None)
    return plain_database


async def rows_of(owner: asyncpg.Connection, account: int) -> dict[str, list[dict[str, Any]]]:
    """All that the ledger has of an account, with the account's number taken out of the ids."""
    found = {}
    for table, order in ORDER_OF_ROWS.items():
        words = f"SELECT to_jsonb(t)::text FROM {table} t WHERE account_id = $1 ORDER BY {order}"  # noqa: S608
        texts = [row[0] for row in await owner.fetch(words, UUID(account_id(account)))]
        rows = [json.loads(text.replace(str(account_tail(account)), "N")) for text in texts]
        found[table] = [{name: value for name, value in row.items() if name not in OWN} for row in rows]
    return found


async def spend_by_ledger(database: Database, account: int) -> None:
    engine = database.open_engine()
    consumption = Consumption(engine)
    async with consumption.running():
        for number, credits in enumerate(SPENT):
            operation = f"spend-{number}"
            order = ConsumeOrder(account_id(account), operation, credits, actor="bench", request_id=operation)
            await consumption.consume(order)
    await engine.dispose()


async def spend_by_yardstick(database: Database, account: int) -> None:
    async with session(database.app_url) as app:
        for number, credits in enumerate(SPENT):
            words = "SELECT bench.consume_one($1, $2, $3)"
            await app.fetchval(words, UUID(account_id(account)), f"spend-{number}", credits)


async def spend_naively(database: Database, account: int) -> None:
    pool = await open_pool(database.app_url)
    for number, credits in enumerate(SPENT):
        await NaiveLedger(pool).consume(UUID(account_id(account)), f"spend-{number}", credits)
    await pool.close()


async def test_ledger_yardstick_and_naive_pattern_leave_the_same_rows(seeded: Database) -> None:
    for account, spend in enumerate((spend_by_ledger, spend_by_yardstick, spend_naively)):
        await spend(seeded, account)
    async with session(seeded.owner_url) as owner:
        by_ledger, by_yardstick, naively = [await rows_of(owner, account) for account in range(3)]
        assert len(by_ledger["journal"]) == 3 + 1 + 2 + 2
        assert by_yardstick == by_ledger
        assert naively == by_ledger
        assert await wrong_books(owner) == []


async def test_what_the_yardstick_leaves_out_it_refuses(seeded: Database) -> None:
    words = "SELECT bench.consume_one($1, $2, $3)"
    poor, other = UUID(account_id(0)), UUID(account_id(1))
    async with session(seeded.app_url) as app:
        for number in range(3):
            await app.fetchval(words, poor, f"all-{number}", CREDITS_A_GRANT)
        with pytest.raises(asyncpg.RaiseError, match="too few credits"):
            await app.fetchval(words, poor, "one-more", 1)
        await app.fetchval(words, other, "twice", 1)
        with pytest.raises(asyncpg.UniqueViolationError):
            await app.fetchval(words, other, "twice", 1)
    pool = await open_pool(seeded.app_url)
    with pytest.raises(NotForThisPattern):
        await NaiveLedger(pool).consume(poor, "one-more", 1)
    await pool.close()
    async with session(seeded.owner_url) as owner:
        assert await wrong_books(owner) == []


@pytest.mark.parametrize("wanted", [Seed(2), Seed(2, exhausted=4), Seed(2, spent=5)], ids=str)
async def test_seeded_books_add_up(plain_database: Database, wanted: Seed) -> None:
    await seed(plain_database.superuser_url, wanted, lambda words: None)
    async with session(plain_database.owner_url) as owner:
        assert await wrong_books(owner) == []
        assert await owner.fetchval("SELECT count(*) FROM journal") == wanted.journal_rows
        consumptions = await owner.fetchval("SELECT count(*) FROM operations WHERE kind = 'consume'")
        assert consumptions == wanted.consumptions
        live = await owner.fetchval("SELECT count(*) FROM grants WHERE live")
        assert live == 3 * wanted.accounts
        seqs = await owner.fetch(
            "SELECT max(j.seq) = a.seq FROM accounts a JOIN journal j USING (account_id) GROUP BY a.seq"
        )
        assert [row[0] for row in seqs] == [True]
