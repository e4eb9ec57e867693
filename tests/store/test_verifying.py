"""The books verified: right ones sum to nothing, and whatever is wrong is named with its account and numbers."""

from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.clock import advance_test_clock
from ledger.revoking import revoke_grant
from ledger.rules.identity import Totals
from ledger.store import books
from ledger.verifying import FIRST, Mismatch, VerifiedPage, verify_page
from messages.grants import GrantType
from tests.conftest import Database
from tests.store.held import place_hold
from tests.store.support import DAY_SECONDS, grant, open_user, session
from tests.store.test_books import PLANTED, fill_books
from tests.store.test_explaining import spend


async def verify(engine: AsyncEngine, *, limit: int = 200) -> tuple[Totals, list[Mismatch], list[VerifiedPage]]:
    """All pages, added up over all currencies."""
    whole, wrong, pages, after = Totals(), list[Mismatch](), list[VerifiedPage](), FIRST
    while True:
        page = await verify_page(engine, after=after, limit=limit)
        pages.append(page)
        wrong += page.mismatches
        for each in page.totals.values():
            whole.take_in(each)
        if page.next_after is None:
            return whole, wrong, pages
        after = page.next_after


async def test_issued_is_spent_and_expired_and_revoked_and_live_less_debt(
    database: Database, engine: AsyncEngine
) -> None:
    account_id, debtor = await open_user(engine, free_credits=30), await open_user(engine)
    await grant(engine, account_id, "bought", 100, GrantType.PURCHASE)
    await grant(engine, account_id, "mistake", 10)
    await spend(engine, account_id, "one", 35)
    await revoke_grant(engine, "mistake", reason="", actor="", request_id="")
    await grant(engine, account_id, "expires", 7, GrantType.REFERRAL)
    await place_hold(database, account_id, "kept", "bought", 20, hours=1)
    await spend(engine, debtor, "owes", 12, debt=True)
    await grant(engine, debtor, "pays", 5)
    await advance_test_clock(engine, 40 * DAY_SECONDS)
    due = (await verify(engine))[0]
    assert (due.live, due.held, due.due, due.expired) == (107, 20, 7, 0)
    await grant(engine, account_id, "books-the-expiry", 1)
    whole, wrong, pages = await verify(engine)
    assert wrong == []
    assert (whole.issued, whole.spent, whole.expired, whole.revoked) == (153, 47, 7, 5)
    assert (whole.live, whole.held, whole.due, whole.debt, whole.debt_paid) == (101, 0, 0, 7, 5)
    assert whole.issued == whole.spent + whole.expired + whole.revoked + whole.live - whole.debt
    assert whole.adds_up
    assert [(page.accounts, page.entries) for page in pages] == [(2, 13)]


async def test_pages_follow_one_another_and_sum_to_the_whole(engine: AsyncEngine) -> None:
    for number in range(5):
        account_id = await open_user(engine, free_credits=5)
        await spend(engine, account_id, f"s{number}", number + 1)
    whole, _, pages = await verify(engine, limit=2)
    assert [page.accounts for page in pages] == [2, 2, 1]
    assert (whole, []) == (await verify(engine))[:2]
    assert (whole.issued, whole.spent, whole.live) == (25, 15, 10)


async def test_nothing_adds_up_to_nothing(engine: AsyncEngine) -> None:
    page = await verify_page(engine, limit=10)
    assert (page.accounts, page.entries, page.totals, page.mismatches, page.next_after) == (0, 0, {}, [], None)


CHECKS = {
    "the entries of grant": "grant-balance",
    "the account says": "account-balance",
    "the journal sums to": "debt",
    "the debt entries sum to": "debt",
    "leaves": "running-balance",
    "a grant expires at": "next-expiry",
    "a hold lapses at": "next-expiry",
    "the account says that": "open-holds",
    "is held, by its open holds": "grant-held",
    "the parts of hold h sum to 0": "hold-parts",
    "hold h is of no operation": "unknown-operation",
    "a part of hold h is of no grant": "unknown-hold",
    "its latest entries are of change": "seq",
    "the one before it of": "order",
    "is of no account": "unknown-account",
    "is of no operation": "unknown-operation",
    "is of no grant of the account": "unknown-grant",
    "is of no operation, or of no account": "unknown-operation",
    "has reversed": "reversed",
    "is covered by a revocation": "reversed-and-revoked",
    "of a payment that was never reversed": "reversed",
    "is open and no payment names it": "frozen",
    "freeze h is open and no payment": "frozen",
    "operation g is of no account": "unknown-operation",
}


@pytest.mark.parametrize("words", PLANTED)
async def test_what_is_wrong_is_named(database: Database, engine: AsyncEngine, words: str) -> None:
    await fill_books(database, engine)
    assert (await verify(engine))[1] == []
    async with session(database.superuser_url) as superuser:
        await superuser.execute("SET session_replication_role = replica")
        await superuser.execute(PLANTED[words])
    _, wrong, _ = await verify(engine)
    assert CHECKS[words] in {each.check for each in wrong}, wrong
    assert (await verify(engine, limit=1))[1] == wrong, "page by page as at once"


async def test_a_mismatch_has_its_numbers(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    made = (await grant(engine, account_id, "g", 10)).grant
    async with session(database.superuser_url) as superuser:
        await superuser.execute("SET session_replication_role = replica")
        await superuser.execute("UPDATE grants SET balance = 7")
        await superuser.execute("UPDATE accounts SET usage = 3")
    whole, wrong, _ = await verify(engine)
    name = UUID(account_id)
    assert wrong == [
        Mismatch(name, "grant-balance", 10, 7, UUID(made.grant_id), "g"),
        Mismatch(name, "account-balance", 7, 10),
        Mismatch(name, "usage", 0, 3),
    ]
    assert (whole.grants_difference, whole.adds_up) == (3, False)


async def test_a_price_that_an_entry_does_not_share_with_its_grant(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 10)
    async with session(database.superuser_url) as superuser:
        await superuser.execute("SET session_replication_role = replica")
        await superuser.execute("UPDATE grants SET price_cents = 2, currency = 'eur'")
    whole, wrong, [page] = await verify(engine)
    assert [each.check for each in wrong] == ["price"]
    assert {name: (each.issued, each.live) for name, each in page.totals.items()} == {"usd": (10, 0), "eur": (0, 10)}
    assert whole.adds_up
    assert not page.totals["eur"].adds_up


async def test_an_account_with_very_many_changes_is_verified_in_spans(engine: AsyncEngine, database: Database) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 10**6)
    count = books.MANY_CHANGES + 5
    async with session(database.superuser_url) as superuser:
        await superuser.execute("SET session_replication_role = replica")
        await superuser.execute(_MANY, UUID(account_id), count)
        await superuser.execute("UPDATE grants SET balance = 1000000 - $1", count)
        await superuser.execute("UPDATE accounts SET balance = 1000000 - $1, usage = $1, seq = 1 + $1", count)
    whole, wrong, [page] = await verify(engine)
    assert (whole.spent, whole.live, wrong, page.entries) == (count, 10**6 - count, [], count + 1)


_MANY = """
WITH claimed AS (
    INSERT INTO operations (account_id, operation_id, kind, request, actor, request_id)
    SELECT $1, 's' || n, 'consume', '{}', '', '' FROM generate_series(1, $2::int) AS n
)
INSERT INTO journal (account_id, seq, kind, operation_id, grant_id, credits, balance_after, actor, request_id,
    price_cents, price_credits, currency, effective_at)
SELECT $1, n + 1, 'consumed', 's' || n, grant_id, -1, 1000000 - n, '', '', 1, 1, 'usd', now()
FROM generate_series(1, $2::int) AS n, grants
"""
