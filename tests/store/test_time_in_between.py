"""Time may pass between the reading of a batch and its writing. What was decided must hold at the writing, too."""

from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import ConsumeOrder, HoldOrder, SettleOrder
from ledger.deciding import Item, decide
from ledger.demands import Order
from ledger.session import Isolation, Session
from ledger.store.consumptions import read_holds, read_spenders, write_batch
from messages.grants import GrantType
from tests.conftest import Database
from tests.store.books import assert_books_balance
from tests.store.holding import MINUTE, hold
from tests.store.support import entries, grant, open_user


async def _write_late(engine: AsyncEngine, order: Order, *, seconds: int) -> None:
    """Reads and decides as a batch does, lets time pass, and then writes."""
    reads, writes = Session(engine, Isolation.READ_COMMITTED), Session(engine, Isolation.SERIALIZABLE)
    try:
        item = Item.of(order) if isinstance(order, ConsumeOrder) else Item.of_hold(order)
        spenders = await read_spenders(reads, {order.account_id: item.demand})
        named = [] if item.hold is None else [(order.account_id, item.hold)]
        decision = decide(spenders, await read_holds(reads, spenders, named), [item])
        assert not isinstance(decision.outcomes[item], Exception)
        await advance_test_clock(engine, seconds)
        await write_batch(writes, decision.writes)
    finally:
        await reads.close()
        await writes.close()


@pytest.mark.parametrize("seconds", [9 * MINUTE, 11 * MINUTE])
async def test_credit_that_expires_before_it_is_written_down_is_not_spent(
    database: Database, engine: AsyncEngine, seconds: int
) -> None:
    account_id = await open_user(engine)
    expires_at = (await read_balance(engine, account_id)).now + timedelta(minutes=10)
    await grant(engine, account_id, "short", 10, GrantType.FREE, expires_at=expires_at)
    order = ConsumeOrder(account_id, "op", 10)
    if seconds < 10 * MINUTE:
        await _write_late(engine, order, seconds=seconds)
        assert await entries(database, account_id) == [("granted", 10, 10), ("consumed", -10, 0)]
    else:
        with pytest.raises(asyncpg.SerializationError):
            await _write_late(engine, order, seconds=seconds)
        assert await entries(database, account_id) == [("granted", 10, 10)]
    await assert_books_balance(database)


@pytest.mark.parametrize("order", [ConsumeOrder("", "op", 5), HoldOrder("", "new", 5, 60), SettleOrder("", "h", 5)])
async def test_a_hold_that_lapses_before_it_is_written_down_is_seen(
    database: Database, engine: AsyncEngine, order: Order
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 10, "h", 10 * MINUTE)
    await hold(engine, account_id, 5, "other", 10 * MINUTE)
    with pytest.raises(asyncpg.SerializationError):
        await _write_late(engine, replace(order, account_id=account_id), seconds=11 * MINUTE)
    assert (await read_balance(engine, account_id)).remaining == 20
    await assert_books_balance(database)


@pytest.mark.parametrize("credits", [10, 9])
async def test_the_same_while_an_earlier_expiry_is_still_to_be_booked(
    database: Database, engine: AsyncEngine, credits: int
) -> None:
    account_id = await open_user(engine)
    now = (await read_balance(engine, account_id)).now
    for name, minutes in (("shortest", 1), ("short", 10)):
        expires_at = now + timedelta(minutes=minutes)
        await grant(engine, account_id, name, 10, GrantType.FREE, expires_at=expires_at)
    await advance_test_clock(engine, 2 * MINUTE)
    with pytest.raises(asyncpg.SerializationError):
        await _write_late(engine, ConsumeOrder(account_id, "op", credits), seconds=9 * MINUTE)
    assert (await read_balance(engine, account_id)).remaining == 0
    await assert_books_balance(database)
