"""Holds under several callers and processes, under cuts, and with others changing the account in between."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import ConsumeOrder, Consumption, ExtendOrder, HoldOrder, ReleaseOrder, SettleOrder
from ledger.rules.errors import HoldClosed, IdempotencyConflict
from ledger.session import Isolation, Session
from ledger.store.consumptions import AccountsMoved, read_holds, read_spenders
from ledger.sweeping import book_due
from tests.conftest import Database
from tests.store.books import assert_books_balance
from tests.store.holding import MINUTE, act, hold, release, state_of
from tests.store.support import count, entries, grant, open_user
from tests.store.test_faults import behind_proxy


async def test_what_is_not_acknowledged_is_done_once(database: Database) -> None:
    async with behind_proxy(database) as (proxy, engine):
        account_id = await open_user(engine)
        await grant(engine, account_id, "g", 20)
        consumption = Consumption(engine)
        orders = [
            HoldOrder(account_id, "a", 15, 600),
            ExtendOrder(account_id, "a", 1200),
            SettleOrder(account_id, "a", 18),
            HoldOrder(account_id, "b", 2, 600),
            ReleaseOrder(account_id, "b"),
        ]
        async with consumption.running():
            for number, order in enumerate(orders):
                proxy.commits_to_let_pass = 0
                answer = await act(consumption, order)
                assert (proxy.cuts, answer.replayed) == (number + 1, False)
        assert await entries(database, account_id) == [("granted", 20, 20), ("consumed", -18, 2)]
        assert (await read_balance(engine, account_id)).remaining == 2
        assert await count(database, "operations") == 1 + 4
        await assert_books_balance(database)


async def test_many_holds_from_several_processes_keep_to_the_unit(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 100)
    processes = [Consumption(engine) for _ in range(3)]

    async def work(number: int) -> str:
        process, name = processes[number % 3], f"h{number}"
        await process.hold(HoldOrder(account_id, name, 2, 600, request_id=f"r{number}"))
        ends: list[Any] = [SettleOrder(account_id, name, 1), ReleaseOrder(account_id, name)]
        outcomes = await asyncio.gather(
            *(act(processes[(number + each) % 3], order) for each, order in enumerate(ends)), return_exceptions=True
        )
        [won] = [type(outcome).__name__ for outcome in outcomes if not isinstance(outcome, HoldClosed)]
        return won

    async with processes[0].running(), processes[1].running(), processes[2].running():
        won = Counter(await asyncio.gather(*(work(number) for number in range(40))))
    assert won["Settled"] + won["Released"] == 40
    balance = await read_balance(engine, account_id)
    assert (balance.held, balance.remaining, balance.usage) == (0, 100 - won["Settled"], won["Settled"])
    await assert_books_balance(database)


async def test_one_hold_is_settled_once_however_often_it_is_asked(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 100)
    await hold(engine, account_id, 50)
    processes = [Consumption(engine) for _ in range(2)]
    async with processes[0].running(), processes[1].running():
        answers = await asyncio.gather(
            *(
                processes[number % 2].settle(
                    SettleOrder(account_id, "h", 30 + number % 3 // 2, request_id=f"r{number}")
                )
                for number in range(30)
            ),
            return_exceptions=True,
        )
    kinds = Counter(type(answer) if isinstance(answer, Exception) else "settled" for answer in answers)
    assert kinds[IdempotencyConflict] + kinds["settled"] == 30
    first = [answer for answer in answers if not isinstance(answer, BaseException) and not answer.replayed]
    assert len(first) == 1
    assert await entries(database, account_id) == [
        ("granted", 100, 100),
        ("consumed", -first[0].consumed, first[0].net),
    ]
    await assert_books_balance(database)


async def test_accounts_whose_holds_have_lapsed_are_caught_up_in_one_batch(
    database: Database, engine: AsyncEngine
) -> None:
    accounts = [await open_user(engine) for _ in range(3)]
    for number, account_id in enumerate(accounts):
        await grant(engine, account_id, f"g{number}", 20)
        await hold(engine, account_id, 15)
    consumption = Consumption(engine)
    async with consumption.running():
        await consumption.hold(HoldOrder(accounts[0], "stays", 5, 60 * MINUTE))
        await advance_test_clock(engine, 11 * MINUTE)
        orders = [
            ConsumeOrder(accounts[0], "a", 15),
            ConsumeOrder(accounts[1], "b", 20),
            SettleOrder(accounts[2], "h", 7),
        ]
        answers = await asyncio.gather(*(act(consumption, order) for order in orders))
    assert [answer.remaining for answer in answers] == [0, 0, 13]
    assert [await state_of(database, account_id) for account_id in accounts] == [
        ("lapsed", True),
        ("lapsed", True),
        ("settled", True),
    ]
    assert (await read_balance(engine, accounts[0])).held == 5
    await assert_books_balance(database)


async def test_the_sweep_and_a_settlement_at_once_book_a_lapse_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 100)
    consumption = Consumption(engine)
    async with consumption.running():
        for number in range(10):
            await consumption.hold(HoldOrder(account_id, f"h{number}", 5, MINUTE))
        await advance_test_clock(engine, 2 * MINUTE)
        await asyncio.gather(
            book_due(engine, account_id),
            *(consumption.settle(SettleOrder(account_id, f"h{number}", 4)) for number in range(10)),
        )
    assert (await read_balance(engine, account_id)).remaining == 60
    await assert_books_balance(database)


class _Meddler:
    """A session in which somebody else changes the account after the first statement."""

    def __init__(self, session: Session, engine: AsyncEngine, account_id: str) -> None:
        self._session, self._engine, self._account_id = session, engine, account_id
        self._statements = 0

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        self._statements += 1
        if self._statements == 2:
            await release(self._engine, self._account_id)
        return await self._session.fetch(statement, *arguments)


@pytest.mark.parametrize("named", [True, False])
async def test_what_has_changed_between_two_looks_is_not_decided_on(
    database: Database, engine: AsyncEngine, named: bool
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 15)
    if not named:
        await advance_test_clock(engine, 11 * MINUTE)
    session = Session(engine, Isolation.READ_COMMITTED)
    names = [(account_id, "h")] if named else []
    for meddled in (True, False):
        reader = _Meddler(session, engine, account_id) if meddled else session
        spenders = await read_spenders(reader, {account_id: 1})
        if meddled:
            with pytest.raises(AccountsMoved):
                await read_holds(reader, spenders, names)
        else:
            found = await read_holds(reader, spenders, names)
            assert [hold.state for each in found.values() for hold in each.holds.values()] == ["released"] * named
    await session.close()
