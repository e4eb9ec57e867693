"""Reversals among others at once: one target is booked once, sums stay exact, and a lost answer does no harm."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.consuming import ConsumeOrder, Consumption, OnInsufficient
from ledger.reversing import reverse_payment
from ledger.verifying import verify_page
from messages.grants import GrantType
from messages.reversals import ReversalTarget
from tests.conftest import Database
from tests.store.reversing import buy, reverse
from tests.store.support import assert_books_balance, count, grant, open_user, repeats


async def test_one_target_told_by_many_is_booked_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    others = [database.open_engine(pool_size=4) for _ in range(2)]
    told = await asyncio.gather(*(reverse([engine, *others][n % 3], 600, 400) for n in range(30)))
    for other in others:
        await other.dispose()
    assert Counter(each.changed for each in told) == {True: 1, False: 29}
    assert {(each.reversed_credits, each.frozen_credits, each.net) for each in told} == {(60, 40, 40)}
    assert (await count(database, "journal"), await count(database, "holds")) == (2, 1)
    await assert_books_balance(database)


async def test_reversals_and_consumption_at_once_add_up(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id, 100)
    await grant(engine, account_id, "free", 50, GrantType.FREE)
    other = database.open_engine(pool_size=4)
    processes = [Consumption(engine), Consumption(other)]
    targets = [(0, 1000), (1000, 0), (250, 750), (0, 0), (500, 0)]
    async with processes[0].running(), processes[1].running():

        async def spend(number: int) -> None:
            order = ConsumeOrder(account_id, f"c{number}", 3, OnInsufficient.DEBT, request_id=f"r{number}")
            await processes[number % 2].consume(order)

        async def tell(number: int) -> None:
            await reverse([engine, other][number % 2], *targets[number % len(targets)])

        await asyncio.gather(*(work(number) for number in range(60) for work in (spend, tell)))
    await reverse(engine, 500)
    await other.dispose()
    balance = await read_balance(engine, account_id)
    assert (balance.net, balance.usage, balance.held) == (150 - 180 - 50, 180, 0)
    assert (await verify_page(engine, limit=10)).mismatches == []
    await assert_books_balance(database)


async def test_strangers_hardly_ever_conflict(database: Database, engine: AsyncEngine) -> None:
    """First reversals of strangers write beside one another; what empties a grant moves its entries in the indexes,
    and on small tables all of an index is one page."""
    ids = [await open_user(engine) for _ in range(12)]
    for number, account_id in enumerate(ids):
        await buy(engine, account_id, name=f"b{number}", payment_id=f"pi_{number}")
    before = repeats()
    told = await asyncio.gather(*(reverse(engine, 300, payment_id=f"pi_{number}") for number in range(len(ids))))
    assert [each.taken for each in told] == [30] * len(ids)
    assert repeats() == before
    told = await asyncio.gather(*(reverse(engine, 1000, payment_id=f"pi_{number}") for number in range(len(ids))))
    assert [each.taken for each in told] == [70] * len(ids)
    await assert_books_balance(database)


@pytest.mark.parametrize("cents", [(1000, 0), (400, 600), (0, 1000)])
async def test_the_same_target_from_another_request_finds_it_done(
    database: Database, engine: AsyncEngine, cents: tuple[int, int]
) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    target = ReversalTarget("pi_1", 1000, *cents, "dispute")
    first = await reverse_payment(engine, target, actor="operator", request_id="r1")
    again = await reverse_payment(engine, target, actor="system", request_id="r2")
    assert (first.changed, again.changed) == (True, False)
    assert (again.reversed_credits, again.frozen_credits, again.net) == (
        first.reversed_credits,
        first.frozen_credits,
        first.net,
    )
    await assert_books_balance(database)
