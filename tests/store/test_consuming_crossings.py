"""Spending that leaves a balance below the threshold of auto top-up is told, after the commit; nothing else is."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.consuming import (
    ConsumeOrder,
    Consumption,
    ExtendOrder,
    HoldOrder,
    OnInsufficient,
    ReleaseOrder,
    SettleOrder,
)
from ledger.rules.errors import InsufficientCredits
from ledger.topping_up import switch_off
from messages.payments import SwitchOff
from tests.conftest import Database
from tests.store.paying import RULE, choose, topped_up_user, value_of
from tests.store.support import assert_books_balance, grant, open_user

MINUTE = 60


class Told:
    """A process that spends, and the accounts that it was told of."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.accounts: list[str] = []
        self.consumption = Consumption(engine, on_crossing=self.accounts.append)

    async def spend(
        self, account_id: str, credits: int, on_insufficient: OnInsufficient = OnInsufficient.REFUSE
    ) -> int:
        """Spends, and answers with how often that was told."""
        before = len(self.accounts)
        order = ConsumeOrder(account_id, f"spend-{uuid4()}", credits, on_insufficient)
        await self.consumption.consume(order)
        new = self.accounts[before:]
        assert set(new) <= {account_id}
        return len(new)


async def test_spending_below_the_threshold_is_told_and_down_to_it_is_not(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await topped_up_user(engine, credits=1_000)
    told = Told(engine)
    async with told.consumption.running():
        assert await told.spend(account_id, 400) == 0
        # From here on the process remembers the account.
        assert await told.spend(account_id, 100) == 0
        assert await told.spend(account_id, 1) == 1
        assert await told.spend(account_id, 1) == 1
    await assert_books_balance(database)


async def test_it_is_told_after_the_commit_and_before_the_answer(database: Database, engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, credits=500)
    seen: list[asyncio.Task[int]] = []

    async def look() -> int:
        return (await read_balance(other, account_id)).net

    other = database.open_engine()
    consumption = Consumption(engine, on_crossing=lambda _: seen.append(asyncio.create_task(look())))
    async with consumption.running():
        await consumption.consume(ConsumeOrder(account_id, "spend", 10))
        [task] = seen
        assert await task == 490
    await other.dispose()


async def test_what_was_spent_together_is_told_once_and_of_the_right_accounts(engine: AsyncEngine) -> None:
    low, high, off = [
        await topped_up_user(engine, credits=credits, name=f"user {credits}") for credits in (510, 900, 520)
    ]
    await switch_off(engine, SwitchOff(off, "auto-topup-declined", "No."))
    told = Told(engine)
    async with told.consumption.running():
        orders = [ConsumeOrder(each, f"spend-{n}", 5) for n in range(8) for each in (low, high, off)]
        await asyncio.gather(*(told.consumption.consume(order) for order in orders))
    assert set(told.accounts) == {low}
    assert len(told.accounts) <= 8


async def test_what_is_owed_counts(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, rule=replace(RULE, threshold=0))
    told = Told(engine)
    async with told.consumption.running():
        assert await told.spend(account_id, 5, OnInsufficient.DEBT) == 1


async def test_a_hold_is_not_told_and_its_settlement_is(database: Database, engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, credits=1_000)
    told = Told(engine)
    async with told.consumption.running():
        spender = told.consumption
        for name in ("released", "settled", "free"):
            await spender.hold(HoldOrder(account_id, name, 300, 10 * MINUTE))
        await spender.extend(ExtendOrder(account_id, "settled", 20 * MINUTE))
        await spender.release(ReleaseOrder(account_id, "released"))
        await spender.settle(SettleOrder(account_id, "free", 0))
        assert told.accounts == []
        await spender.settle(SettleOrder(account_id, "settled", 501))
        assert told.accounts == [account_id]
    await assert_books_balance(database)


async def test_beside_a_hold_only_what_was_spent_counts(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, credits=1_000)
    told = Told(engine)
    async with told.consumption.running():
        await told.consumption.hold(HoldOrder(account_id, "h", 400, 10 * MINUTE))
        assert await told.spend(account_id, 500) == 0
        assert await told.spend(account_id, 1) == 1


async def test_a_hold_is_not_told_also_where_the_balance_is_low_already(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, credits=400)
    told = Told(engine)
    async with told.consumption.running():
        for name in ("one", "two"):
            await told.consumption.hold(HoldOrder(account_id, name, 100, 10 * MINUTE))
        await told.consumption.extend(ExtendOrder(account_id, "one", 20 * MINUTE))
        await told.consumption.release(ReleaseOrder(account_id, "one"))
        await told.consumption.settle(SettleOrder(account_id, "two", 0))
        with pytest.raises(InsufficientCredits):
            await told.spend(account_id, 401)
    assert told.accounts == []


async def test_a_refusal_and_a_repeat_are_not_told(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, credits=500)
    told = Told(engine)
    async with told.consumption.running():
        with pytest.raises(InsufficientCredits):
            await told.spend(account_id, 501)
        assert told.accounts == []
        order = ConsumeOrder(account_id, "spend", 10)
        await told.consumption.consume(order)
        assert told.accounts == [account_id]
        assert (await told.consumption.consume(replace(order, request_id="again"))).replayed
        assert told.accounts == [account_id]


async def test_who_never_chose_is_not_told(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 10)
    told = Told(engine)
    async with told.consumption.running():
        assert await told.spend(account_id, 10) == 0


async def test_a_process_that_remembers_the_account_learns_of_new_settings(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 1_000)
    told = Told(engine)
    async with told.consumption.running():
        for _ in range(2):
            assert await told.spend(account_id, 100) == 0
        await choose(engine, account_id, replace(RULE, threshold=900))
        assert await told.spend(account_id, 1) == 1
        await choose(engine, account_id, replace(RULE, threshold=300))
        assert await told.spend(account_id, 1) == 0
        await choose(engine, account_id, replace(RULE, threshold=900))
        await switch_off(engine, SwitchOff(account_id, "auto-topup-declined", "No."))
        assert await told.spend(account_id, 1) == 0
    assert await value_of(database, "SELECT balance FROM accounts") == 797
    await assert_books_balance(database)
