"""Several calls about one hold come to one batch: the hold is there once."""

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.consuming import Consumption, ExtendOrder, Held, ReleaseOrder, Settled, SettleOrder
from ledger.rules.errors import HoldClosed, HoldOfAnother
from tests.conftest import Database
from tests.store.books import assert_books_balance
from tests.store.holding import MINUTE, act, hold
from tests.store.support import entries, grant, open_user


async def _together(engine: AsyncEngine, orders: list[Any]) -> list[Any]:
    consumption = Consumption(engine)
    async with consumption.running():
        return await asyncio.gather(*(act(consumption, order) for order in orders), return_exceptions=True)


@pytest.mark.parametrize("cost", [30, 20, 5])
async def test_a_settlement_that_is_sent_twice_at_once_is_booked_once(
    database: Database, engine: AsyncEngine, cost: int
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 300)
    await hold(engine, account_id, 20)
    # The grant keeps enough for others that a second or third time would not be noticed by any constraint.
    await hold(engine, account_id, 100, "other")
    answers = await _together(engine, [SettleOrder(account_id, "h", cost, request_id=f"r-{n}") for n in range(3)])
    assert Counter(answer.replayed for answer in answers) == {False: 1, True: 2}
    assert {sum(each.credits for each in answer.allocations) for answer in answers} == {cost}
    assert {(answer.consumed, answer.remaining, answer.net) for answer in answers} == {(cost, 200 - cost, 300 - cost)}
    assert await entries(database, account_id) == [("granted", 300, 300), ("consumed", -cost, 300 - cost)]
    balance = await read_balance(engine, account_id)
    assert (balance.remaining, balance.held) == (200 - cost, 100)
    await assert_books_balance(database)


@pytest.mark.parametrize("closing", ["settle", "release"])
@pytest.mark.parametrize("committers", [1, 2])
async def test_who_may_not_close_a_hold_is_not_told_what_came_of_it(
    database: Database, engine: AsyncEngine, closing: str, committers: int
) -> None:
    """Nor when the closing and the attempt meet in one batch, or in the batches of two processes."""
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 100)
    await hold(engine, account_id, 20)
    own, foreign = (
        SettleOrder(account_id, "h", 5, made_by=made_by)
        if closing == "settle"
        else ReleaseOrder(account_id, "h", made_by=made_by)
        for made_by in ("account", "admin")
    )
    consumptions = [Consumption(engine) for _ in range(committers)]
    async with contextlib.AsyncExitStack() as stack:
        for consumption in consumptions:
            await stack.enter_async_context(consumption.running())
        orders = [foreign, own, foreign, own, foreign]
        answers: list[Any] = await asyncio.gather(
            *(act(consumptions[place % committers], order) for place, order in enumerate(orders)),
            return_exceptions=True,
        )
    assert [isinstance(answer, HoldOfAnother) for answer in answers] == [True, False, True, False, True]
    assert Counter(answer.replayed for answer in (answers[1], answers[3])) == {False: 1, True: 1}
    await assert_books_balance(database)


async def test_an_extension_a_settlement_and_a_release_at_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 100)
    await hold(engine, account_id, 20)
    extended, settled, released, late = await _together(
        engine,
        [
            ExtendOrder(account_id, "h", 60 * MINUTE),
            SettleOrder(account_id, "h", 25),
            ReleaseOrder(account_id, "h"),
            ExtendOrder(account_id, "h", 60 * MINUTE),
        ],
    )
    assert isinstance(extended, Held)
    assert isinstance(settled, Settled)
    assert (extended.held, settled.consumed, settled.remaining) == (20, 25, 75)
    assert isinstance(released, HoldClosed)
    assert isinstance(late, HoldClosed)
    balance = await read_balance(engine, account_id)
    assert (balance.remaining, balance.held) == (75, 0)
    await assert_books_balance(database)
