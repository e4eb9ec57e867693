"""What the store's tests say often: open an account, grant, owe, and add everything up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.granting import GrantOutcome, process_and_grant_credit
from ledger.opening import Opening, open_account
from ledger.repeating import RETRIES
from messages.grants import GrantOrder, GrantType
from tests.conftest import Database
from tests.store.books import assert_books_balance as assert_books_balance
from tests.store.books import wrong_books as wrong_books

DAY_SECONDS = 86_400


async def open_user(engine: AsyncEngine, *, free_credits: int = 0, name: str = "Ada") -> str:
    """A user's account; without free credits unless told."""
    opened = await open_account(engine, Opening(kind="user", name=name, free_credits=free_credits))
    return opened.account.account_id


async def grant(
    engine: AsyncEngine,
    account_id: str,
    operation_id: str,
    credits: int,
    grant_type: GrantType = GrantType.ADMIN,
    **order: Any,
) -> GrantOutcome:
    """One grant; an admin grant unless told."""
    return await process_and_grant_credit(
        engine,
        GrantOrder(operation_id=operation_id, account_id=account_id, type=grant_type, credits=credits, **order),
    )


@asynccontextmanager
async def session(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A plain session, as whoever the URL names."""
    opened = await asyncpg.connect(url)
    try:
        yield opened
    finally:
        await opened.close(timeout=5)


async def owe(database: Database, account_id: str, credits: int) -> None:
    """Puts an account without credits into debt, with the entry that says so; written by the owner."""
    async with session(database.owner_url) as owner, owner.transaction():
        seq = await owner.fetchval(
            "UPDATE accounts SET debt = debt + $2, usage = usage + $2, seq = seq + 1 "
            "WHERE account_id = $1 RETURNING seq",
            account_id,
            credits,
        )
        operation_id = f"owe/{seq}"
        await owner.execute(
            "INSERT INTO operations (account_id, operation_id, kind, request, actor, request_id) "
            "VALUES ($1, $2, 'grant', '{}', 'test', '')",
            account_id,
            f"{account_id}/{operation_id}",
        )
        await owner.execute(
            "INSERT INTO journal (account_id, seq, kind, operation_id, credits, balance_after, actor, request_id, "
            "effective_at) SELECT $1, $2, 'debt-incurred', $3, $4, balance - debt, 'test', '', ledger_now() "
            "FROM accounts WHERE account_id = $1",
            account_id,
            seq,
            f"{account_id}/{operation_id}",
            -credits,
        )


async def entries(database: Database, account_id: str) -> list[tuple[str, int, int]]:
    """The account's journal: kind, credits, and the balance after each."""
    async with session(database.owner_url) as owner:
        rows = await owner.fetch(
            "SELECT kind, credits, balance_after FROM journal WHERE account_id = $1 ORDER BY entry_id", account_id
        )
    return [(row["kind"], row["credits"], row["balance_after"]) for row in rows]


async def count(database: Database, table: str) -> int:
    """How many rows a table of ours has."""
    async with session(database.owner_url) as owner:
        return int(await owner.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 - the tests' own words


def repeats() -> float:
    """How many transactions this process has repeated so far."""
    return total(RETRIES)


def total(counter: Counter, **labels: str) -> float:
    """The sum of a counter over all its labels, or over those that are named."""
    return sum(
        sample.value
        for metric in counter.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and labels.items() <= sample.labels.items()
    )
