"""Many at once: one effect for one id, exact sums, and strangers who never notice one another."""

import asyncio
import sys
from collections import Counter

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.granting import GrantOutcome
from ledger.opening import Opening, open_account
from ledger.revoking import revoke_grant
from ledger.rules.errors import IdempotencyConflict
from messages.grants import GrantType
from tests.conftest import ROOT, Database
from tests.store.support import assert_books_balance, count, entries, grant, open_user, owe, repeats


async def test_a_hundred_requests_with_one_operation_id_make_one_grant(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    outcomes = await asyncio.gather(*(grant(engine, account_id, "once", 7) for _ in range(100)))
    assert Counter(outcome.created for outcome in outcomes) == {True: 1, False: 99}
    assert len({outcome.grant for outcome in outcomes}) == 1
    assert await entries(database, account_id) == [("granted", 7, 7)]
    assert await count(database, "grant_mirrors") == 1


async def test_a_hundred_orders_of_two_sizes_make_the_grant_of_one(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    outcomes = await asyncio.gather(
        *(grant(engine, account_id, "once", 7 + number % 2) for number in range(100)), return_exceptions=True
    )
    made = [outcome for outcome in outcomes if isinstance(outcome, GrantOutcome)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, IdempotencyConflict)]
    assert (len(made), len(refused)) == (50, 50)
    assert (await read_balance(engine, account_id)).remaining == made[0].grant.principal


async def test_one_operation_id_on_two_accounts_at_once_is_one_grant(database: Database, engine: AsyncEngine) -> None:
    ids = [await open_user(engine) for _ in range(2)]
    for number in range(10):
        outcomes = await asyncio.gather(
            *(grant(engine, ids[place % 2], f"shared-{number}", 5) for place in range(10)), return_exceptions=True
        )
        made = [outcome for outcome in outcomes if isinstance(outcome, GrantOutcome)]
        assert len({outcome.grant.account_id for outcome in made}) == 1
        assert sum(outcome.created for outcome in made) == 1
        assert sum(isinstance(outcome, IdempotencyConflict) for outcome in outcomes) == 5
    assert await count(database, "grants") == 10
    await assert_books_balance(database)


async def test_a_storm_on_one_account_is_answered_and_adds_up(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await owe(database, account_id, 100)
    before = repeats()
    outcomes = await asyncio.gather(*(grant(engine, account_id, f"g{number}", number + 1) for number in range(64)))
    assert all(outcome.created for outcome in outcomes)
    assert (await read_balance(engine, account_id)).net == 64 * 65 // 2 - 100
    assert repeats() == before  # they took turns
    await assert_books_balance(database)


async def test_a_storm_from_many_processes_adds_up_too(database: Database, engine: AsyncEngine) -> None:
    """Turns end at the process; between processes PostgreSQL refuses and the whole transaction is repeated."""
    account_id = await open_user(engine)
    await owe(database, account_id, 50)
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.store.granter", database.app_url, account_id, prefix, "40"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        for prefix in "abc"
    ]
    printed = [await process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    made = [line for output, _ in printed for line in output.decode().split()]
    assert len(made) == len(set(made)) == 120
    assert (await read_balance(engine, account_id)).net == 120 - 50
    await assert_books_balance(database)


async def test_a_hundred_revocations_take_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 10)
    answers = await asyncio.gather(
        *(revoke_grant(engine, "g", reason=str(number), actor="", request_id="") for number in range(50))
    )
    assert Counter(answer.replayed for answer in answers) == {False: 1, True: 49}
    assert len({(answer.revoked, answer.reason) for answer in answers}) == 1
    assert await entries(database, account_id) == [("granted", 10, 10), ("revoked", -10, 0)]


async def test_fifty_sign_ups_with_one_external_id_open_one_account(database: Database, engine: AsyncEngine) -> None:
    opened = await asyncio.gather(
        *(open_account(engine, Opening(kind="user", name="Ada", external_id="ada")) for _ in range(50))
    )
    assert Counter(each.created for each in opened) == {True: 1, False: 49}
    assert len({each.account for each in opened}) == 1
    assert (await count(database, "accounts"), await count(database, "grants")) == (1, 1)


async def test_strangers_never_conflict(database: Database, engine: AsyncEngine) -> None:
    """Small tables are the hard case: all of an index is on one page, and a predicate lock there covers everybody."""
    ids = [await open_user(engine, free_credits=5) for _ in range(20)]
    before = repeats()

    async def live(account_id: str) -> None:
        for number in range(25):
            await grant(engine, account_id, f"{account_id}-{number}", 5, GrantType.PURCHASE)

    await asyncio.gather(*(live(account_id) for account_id in ids[:8]))
    assert repeats() == before
    await assert_books_balance(database)


async def test_sign_ups_of_strangers_hardly_ever_conflict(database: Database, engine: AsyncEngine) -> None:
    """References are checked during the commit; only who is held up just there, on a busy machine, may have to repeat.
    Before they were checked then, 53 of 64 did."""
    before = repeats()
    await asyncio.gather(
        *(open_account(engine, Opening(kind="user", name="Ada", external_id=f"ada-{number}")) for number in range(64))
    )
    assert repeats() - before <= 6
    await assert_books_balance(database)
