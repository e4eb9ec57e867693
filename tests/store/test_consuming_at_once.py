"""Many spend at once, and parts fail: the sums stay exact, and nobody suffers for somebody else."""

import asyncio
import sys
from collections import Counter

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.consuming import Consumed, ConsumeOrder, Consumption, OnInsufficient
from ledger.rules.errors import InsufficientCredits, LedgerUnavailable, Overloaded, UnknownAccount
from ledger.waiting import FairQueue
from messages.grants import GrantType
from tests.conftest import ROOT, Database
from tests.store.support import assert_books_balance, entries, grant, open_user, repeats, session
from tests.store.test_consuming import consume, set_debt_cap
from tests.store.test_faults import behind_proxy


@pytest.mark.parametrize("callers", [64, 256])
async def test_a_hot_account_is_spent_to_the_unit_without_a_repeat(
    database: Database, engine: AsyncEngine, callers: int
) -> None:
    account_id = await open_user(engine)
    for number in range(3):
        await grant(engine, account_id, f"g{number}", callers)
    consumption = Consumption(engine)
    before = repeats()

    async def spend(caller: int) -> list[Consumed | BaseException]:
        orders = (ConsumeOrder(account_id, f"{caller}-{number}", 2) for number in range(2))
        return [*await asyncio.gather(*map(consumption.consume, orders), return_exceptions=True)]

    async with consumption.running():
        outcomes = [each for spent in await asyncio.gather(*map(spend, range(callers))) for each in spent]
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Consumed)]
    assert repeats() == before
    assert len(accepted) == callers * 3 // 2  # there are three credits for each caller, spent two at a time
    assert sum(isinstance(outcome, InsufficientCredits) for outcome in outcomes) == callers // 2
    assert sum(outcome.consumed for outcome in accepted) == 3 * callers
    # Each saw the balance that the one before it had left.
    assert sorted(outcome.remaining for outcome in accepted) == list(range(0, 3 * callers, 2))
    assert (await read_balance(engine, account_id)).remaining == 0
    await assert_books_balance(database)


@pytest.mark.parametrize("callers", [64, 256])
async def test_three_processes_share_a_hot_account(database: Database, engine: AsyncEngine, callers: int) -> None:
    account_id = await open_user(engine)
    for number in range(4):
        await grant(engine, account_id, f"g{number}", callers)
    each = callers // 3
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.store.consumer", database.app_url, account_id, prefix, str(each), "4", "1"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        for prefix in "abc"
    ]
    printed = [await process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    lines = [line.split() for output, _ in printed for line in output.decode().splitlines()]
    assert len(lines) == 3 * each * 4
    told = Counter(outcome for _, outcome in lines)
    assert told["spent"] == min(4 * callers, 3 * each * 4)
    async with session(database.owner_url) as owner:
        booked = {row[0] for row in await owner.fetch("SELECT operation_id FROM operations WHERE kind = 'consume'")}
    assert booked == {operation_id for operation_id, outcome in lines if outcome == "spent"}
    assert (await read_balance(engine, account_id)).remaining == 4 * callers - told["spent"]
    await assert_books_balance(database)


async def test_strangers_spend_side_by_side_while_others_are_granted(database: Database, engine: AsyncEngine) -> None:
    ids = [await open_user(engine) for _ in range(20)]
    for account_id in ids:
        await set_debt_cap(database, account_id, 1000)
    consumptions = [Consumption(engine) for _ in range(3)]

    async def spend(caller: int) -> None:
        for number in range(6):
            order = ConsumeOrder(ids[(caller + number) % 20], f"{caller}-{number}", 5, OnInsufficient.DEBT)
            await consumptions[caller % 3].consume(order)
            if number % 3 == 0:
                await grant(engine, ids[caller % 20], f"g-{caller}-{number}", 7, GrantType.PURCHASE)

    async with consumptions[0].running(), consumptions[1].running(), consumptions[2].running():
        await asyncio.gather(*map(spend, range(60)))
    nets = [(await read_balance(engine, account_id)).net for account_id in ids]
    assert sum(nets) == 60 * 2 * 7 - 60 * 6 * 5
    await assert_books_balance(database)


async def test_who_gives_up_loses_and_doubles_nothing(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 100)
    consumption = Consumption(engine, batch_max=4)
    async with consumption.running():
        calls = [
            asyncio.create_task(consumption.consume(ConsumeOrder(account_id, f"op-{number}", 1)))
            for number in range(40)
        ]
        await calls[0]
        for gone in calls[1::2]:
            gone.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, Consumed) for outcome in outcomes[::2])
        # Their repeats find out; each is spent once in the end, whatever had become of the first call.
        await asyncio.gather(
            *(consumption.consume(ConsumeOrder(account_id, f"op-{number}", 1)) for number in range(40))
        )
    assert (await read_balance(engine, account_id)).remaining == 60
    await assert_books_balance(database)


async def test_a_full_queue_is_a_typed_refusal(database: Database, engine: AsyncEngine) -> None:
    ids = [await open_user(engine) for _ in range(3)]
    for account_id in ids:
        await grant(engine, account_id, f"g-{account_id}", 100)
    consumption = Consumption(engine, waiting_max=10, waiting_max_per_account=4)
    async with consumption.running():
        hot = [consumption.consume(ConsumeOrder(ids[0], f"op-{number}", 1)) for number in range(6)]
        others = [consumption.consume(ConsumeOrder(ids[1 + number % 2], f"op-{number}", 1)) for number in range(8)]
        outcomes = await asyncio.gather(*hot, *others, return_exceptions=True)
    overloaded = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Overloaded)]
    assert overloaded == [4, 5, 12, 13]  # beyond the account's share, and beyond the queue
    assert Overloaded(waiting=1).retryable
    assert await entries(database, ids[0]) == [("granted", 100, 100), *(("consumed", -1, 99 - n) for n in range(4))]


def test_a_busy_account_does_not_hold_up_a_quiet_one() -> None:
    queue: FairQueue[str, str] = FairQueue(limit=100, limit_per_key=50)
    for number in range(20):
        queue.put("hot", f"hot-{number}")
    queue.put("quiet", "quiet-0")
    queue.put("other", "other-0")
    assert queue.take(4) == ["hot-0", "quiet-0", "other-0", "hot-1"]
    assert queue.take(2) == ["hot-2", "hot-3"]
    assert queue.take(50) == [f"hot-{number}" for number in range(4, 20)]
    assert (len(queue), queue.take(1)) == (0, [])


async def test_a_poisonous_item_fails_alone(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 100)
    consumption = Consumption(engine)
    orders = [
        ConsumeOrder(account_id, f"op-{number}", 1, actor="\x00" if number in (7, 20) else "") for number in range(32)
    ]
    async with consumption.running():
        outcomes = await asyncio.gather(*map(consumption.consume, orders), return_exceptions=True)
    failed = [place for place, outcome in enumerate(outcomes) if not isinstance(outcome, Consumed)]
    assert failed == [7, 20]
    assert (await read_balance(engine, account_id)).remaining == 70
    await assert_books_balance(database)


async def test_an_unknown_account_fails_alone(engine: AsyncEngine) -> None:
    account_id = await open_user(engine, free_credits=10)
    consumption = Consumption(engine)
    async with consumption.running():
        unknown, known = await asyncio.gather(
            consumption.consume(ConsumeOrder("0198c5a0-0000-7000-8000-000000000000", "op", 1)),
            consumption.consume(ConsumeOrder(account_id, "op", 1)),
            return_exceptions=True,
        )
    assert isinstance(unknown, UnknownAccount)
    assert isinstance(known, Consumed)


async def test_an_account_that_somebody_sits_on_fails_alone(database: Database, engine: AsyncEngine) -> None:
    held, free = [await open_user(engine, free_credits=10) for _ in range(2)]
    consumption = Consumption(engine)
    async with session(database.owner_url) as owner, consumption.running(), owner.transaction():
        await owner.execute("SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", held)
        sat_on, other = await asyncio.gather(
            consumption.consume(ConsumeOrder(held, "op", 1)),
            consumption.consume(ConsumeOrder(free, "op", 1)),
            return_exceptions=True,
        )
    assert isinstance(sat_on, LedgerUnavailable)
    assert isinstance(other, Consumed)


@pytest.mark.parametrize("credits", [1, 100])  # with 100 nothing is left for a second try
async def test_a_batch_whose_commit_is_not_acknowledged_spends_once(database: Database, credits: int) -> None:
    async with behind_proxy(database) as (proxy, engine):
        ids = [await open_user(engine) for _ in range(4)]
        for account_id in ids:
            await grant(engine, account_id, f"g-{account_id}", 100)
        consumption = Consumption(engine)
        async with consumption.running():
            proxy.commits_to_let_pass = 0
            orders = [ConsumeOrder(account_id, "once", credits, request_id=account_id) for account_id in ids]
            answers = await asyncio.gather(*map(consumption.consume, orders))
        assert proxy.cuts == 1
        assert [(answer.replayed, answer.remaining) for answer in answers] == [(False, 100 - credits)] * 4
        for account_id in ids:
            assert await entries(database, account_id) == [
                ("granted", 100, 100),
                ("consumed", -credits, 100 - credits),
            ]
        await assert_books_balance(database)


async def test_many_cuts_spend_nothing_twice(database: Database) -> None:
    async with behind_proxy(database) as (proxy, engine):
        account_id = await open_user(engine)
        await grant(engine, account_id, "g", 1000)
        consumption = Consumption(engine)
        async with consumption.running():
            for number in range(4):
                proxy.commits_to_let_pass = number % 2
                orders = [ConsumeOrder(account_id, f"{number}-{each}", 3) for each in range(8)]
                await asyncio.gather(*map(consumption.consume, orders[:4]))
                await asyncio.gather(*map(consumption.consume, orders))
        assert proxy.cuts == 4
        assert (await read_balance(engine, account_id)).remaining == 1000 - 4 * 8 * 3
        await assert_books_balance(database)


async def test_the_end_of_the_process_answers_everybody(engine: AsyncEngine) -> None:
    account_id = await open_user(engine, free_credits=100)
    consumption = Consumption(engine, batch_max=2)
    async with consumption.running():
        calls = [
            asyncio.create_task(consumption.consume(ConsumeOrder(account_id, f"op-{number}", 1)))
            for number in range(20)
        ]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*calls)
    assert len(outcomes) == 20
    assert (await consume(engine, ConsumeOrder(account_id, "after", 1))).remaining == 79


async def test_spending_is_announced_after_the_commit(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine, free_credits=100)
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with session(database.app_url) as listener:
        await listener.add_listener("account_changes", lambda _, __, ___, payload: heard.put_nowait(payload))
        await consume(engine, ConsumeOrder(account_id, "op", 1))
        async with asyncio.timeout(5):
            assert await heard.get() == f"{account_id}:{(await read_balance(engine, account_id)).seq}"
