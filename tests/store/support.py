"""What the store's tests say often: open an account, grant, owe, and add everything up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.granting import GrantOutcome, process_and_grant_credit
from ledger.opening import Opening, open_account
from ledger.transaction import RETRIES
from messages.grants import GrantOrder, GrantType
from tests.conftest import Database

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
            "UPDATE accounts SET debt = debt + $2, seq = seq + 1 WHERE account_id = $1 RETURNING seq",
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


_BOOKS = """
SELECT account_id, 'entries of ' || grant_id || ' sum to ' || coalesce(sum(j.credits), 0) || ', it holds ' || g.balance
FROM grants g LEFT JOIN journal j USING (account_id, grant_id)
GROUP BY account_id, grant_id, g.balance HAVING coalesce(sum(j.credits), 0) <> g.balance
UNION ALL
SELECT account_id, 'the account says ' || a.balance || ', its grants hold ' || coalesce(sum(g.balance), 0)
FROM accounts a LEFT JOIN grants g USING (account_id)
GROUP BY account_id, a.balance HAVING coalesce(sum(g.balance), 0) <> a.balance
UNION ALL
SELECT account_id, 'the journal sums to ' || coalesce(sum(j.credits), 0) || ', the net is ' || (a.balance - a.debt)
FROM accounts a LEFT JOIN journal j USING (account_id)
GROUP BY account_id, a.balance, a.debt HAVING coalesce(sum(j.credits), 0) <> a.balance - a.debt
UNION ALL
SELECT a.account_id, 'the debt entries sum to ' || coalesce(sum(j.credits), 0) || ', the debt is ' || a.debt
FROM accounts a LEFT JOIN journal j ON j.account_id = a.account_id AND j.grant_id IS NULL
GROUP BY a.account_id, a.debt HAVING coalesce(sum(j.credits), 0) <> -a.debt
UNION ALL
SELECT account_id, 'entry ' || entry_id || ' leaves ' || balance_after || ', not ' || running
FROM (
    SELECT account_id, entry_id, balance_after,
        sum(credits) OVER (PARTITION BY account_id ORDER BY entry_id) AS running
    FROM journal
) AS in_order WHERE balance_after <> running
UNION ALL
SELECT account_id, 'a grant expires at ' || min(g.expires_at) || ', before ' || coalesce(a.next_expiry::text, 'never')
FROM accounts a JOIN grants g USING (account_id) WHERE g.live AND g.expires_at IS NOT NULL
GROUP BY account_id, a.next_expiry HAVING a.next_expiry IS NULL OR min(g.expires_at) < a.next_expiry
UNION ALL
SELECT account_id, 'its latest entries are of change ' || max(j.seq) || ', it is at ' || a.seq
FROM accounts a JOIN journal j USING (account_id) GROUP BY account_id, a.seq HAVING max(j.seq) > a.seq
"""


async def wrong_books(owner: asyncpg.Connection) -> list[tuple[str, str]]:
    """What does not add up, in any account of the database: I1 and I2, rebuilt from the journal."""
    return [(str(row[0]), str(row[1])) for row in await owner.fetch(_BOOKS)]


async def assert_books_balance(database: Database) -> None:
    """Everything adds up, for every grant and every account of the database."""
    async with session(database.owner_url) as owner:
        assert await wrong_books(owner) == []


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
