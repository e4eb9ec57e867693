"""What a process remembers of an account is never trusted: whatever has changed beside it counts."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import ConsumeOrder, Consumption, OnInsufficient
from ledger.remembering import Memory
from ledger.revoking import revoke_grant
from ledger.rules.burning import SpendableGrant
from ledger.rules.errors import InsufficientCredits
from ledger.running import Book, Holdings
from ledger.store.consumptions import Spender, Writes
from messages.grants import GrantType
from tests.conftest import Database
from tests.store.support import assert_books_balance, grant, open_user
from tests.store.test_consuming import set_debt_cap

HOUR_SECONDS = 3600


async def test_credits_that_came_meanwhile_can_be_spent(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 10)
    consumption = Consumption(engine)
    async with consumption.running():
        assert (await consumption.consume(ConsumeOrder(account_id, "a", 4))).remaining == 6
        await grant(engine, account_id, "more", 100, GrantType.FREE)
        spent = await consumption.consume(ConsumeOrder(account_id, "b", 50))
        assert ([each.operation_id for each in spent.allocations], spent.remaining) == (["more"], 56)
    await assert_books_balance(database)


async def test_credits_that_went_meanwhile_cannot(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    for name in ("g", "h"):
        await grant(engine, account_id, name, 10)
    one, other = Consumption(engine), Consumption(engine)
    async with one.running(), other.running():
        await one.consume(ConsumeOrder(account_id, "a", 1))
        await revoke_grant(engine, "g", reason="", actor="", request_id="")
        assert (await one.consume(ConsumeOrder(account_id, "b", 1))).allocations[0].operation_id == "h"
        await one.consume(ConsumeOrder(account_id, "c", 1))
        assert (await other.consume(ConsumeOrder(account_id, "d", 8))).remaining == 0
        with pytest.raises(InsufficientCredits) as refused:
            await one.consume(ConsumeOrder(account_id, "e", 1))
    assert refused.value.available == 0
    await assert_books_balance(database)


async def test_what_has_expired_meanwhile_is_not_spent(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    soon = (await read_balance(engine, account_id)).now + timedelta(hours=1)
    await grant(engine, account_id, "soon", 10, GrantType.FREE, expires_at=soon)
    await grant(engine, account_id, "stays", 10)
    consumption = Consumption(engine)
    async with consumption.running():
        await consumption.consume(ConsumeOrder(account_id, "a", 4))
        await advance_test_clock(engine, HOUR_SECONDS)
        spent = await consumption.consume(ConsumeOrder(account_id, "b", 4))
    assert ([each.operation_id for each in spent.allocations], spent.remaining) == (["stays"], 6)
    await assert_books_balance(database)


async def test_a_cap_that_was_raised_meanwhile_counts(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 10)
    await set_debt_cap(database, account_id, 0)
    consumption = Consumption(engine)
    async with consumption.running():
        await consumption.consume(ConsumeOrder(account_id, "a", 4))
        await set_debt_cap(database, account_id, 100)
        assert (await consumption.consume(ConsumeOrder(account_id, "b", 50, OnInsufficient.DEBT))).debt == 44
    await assert_books_balance(database)


def changed(number: int) -> dict[str, Book]:
    """The book of an account that a batch has changed: it has one grant of ten credits."""
    grant_id, account_id = UUID(int=number), UUID(int=number)
    pays = SpendableGrant(grant_id, "g", GrantType.ADMIN, 10, None, 1, 1, "usd")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    spender = Spender(
        account_id, 0, 0, balance=10, held=0, next_expiry=None, seq=1, topup_threshold=None, now=now, grants=[pays]
    )
    opened = Book.opened(spender, None)
    opened.begin(ConsumeOrder(str(account_id), "op", 1), Writes())
    return {str(account_id): opened}


def test_the_memory_is_bounded_and_forgets_what_was_written_longest_ago() -> None:
    memory = Memory(accounts_max=2)
    for number in (1, 2, 3):
        memory.keep(changed(number))
    assert [len(memory.take({str(UUID(int=number)): 1})) for number in (1, 2, 3)] == [0, 1, 1]


def test_what_is_taken_is_no_longer_remembered_and_reaches_the_demand() -> None:
    memory, [account_id] = Memory(), changed(1)
    memory.keep(changed(1))
    assert memory.take({account_id: 10})[account_id].seq == 2
    assert memory.take({account_id: 10}) == {}
    memory.keep(changed(1))
    assert memory.take({account_id: 11}) == {}


def test_an_account_that_others_change_too_is_not_remembered_for_a_while() -> None:
    memory, [account_id] = Memory(), changed(1)
    memory.mistrust([account_id])
    memory.keep(changed(1))
    assert memory.take({account_id: 1}) == {}


def test_what_has_expired_or_is_held_is_not_remembered() -> None:
    memory, books = Memory(), changed(1)
    [opened] = books.values()
    opened.holdings = Holdings()
    memory.keep(books)
    assert memory.take(dict.fromkeys(books, 1)) == {}
