"""Consumption: what is spent, in which order, what is refused, and what a repeat is told."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import Consumed, ConsumeOrder, Consumption, OnInsufficient
from ledger.rules.errors import (
    IdempotencyConflict,
    InsufficientCredits,
    InvalidOrder,
    LedgerUnavailable,
    UnknownAccount,
)
from messages.grants import GrantType
from tests.conftest import Database
from tests.store.support import DAY_SECONDS, assert_books_balance, count, entries, grant, open_user, session

DEBT = OnInsufficient.DEBT
MANY_DAYS = 40 * DAY_SECONDS


async def consume(engine: AsyncEngine, order: ConsumeOrder) -> Consumed:
    """One consumption, by a committer of its own."""
    consumption = Consumption(engine)
    async with consumption.running():
        return await consumption.consume(order)


async def set_debt_cap(database: Database, account_id: str, credits: int) -> None:
    """How far the account may go into debt."""
    async with session(database.owner_url) as owner:
        await owner.execute("UPDATE accounts SET debt_cap = $2 WHERE account_id = $1", account_id, credits)


async def test_grants_pay_in_burn_order_whenever_they_came(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    for grant_type in reversed(GrantType):
        await grant(engine, account_id, str(grant_type), 10, grant_type)
    now = (await read_balance(engine, account_id)).now
    await grant(engine, account_id, "sooner", 10, GrantType.FREE, expires_at=now + timedelta(hours=1))
    spent = await consume(engine, ConsumeOrder(account_id, "op", 55))
    assert [(each.operation_id, each.type, each.credits) for each in spent.allocations] == [
        ("sooner", "free", 10),
        ("free", "free", 10),
        ("referral", "referral", 10),
        ("admin", "admin", 10),
        ("rollover", "rollover", 10),
        ("purchase", "purchase", 5),
    ]
    assert (spent.consumed, spent.from_purchased, spent.debt_incurred) == (55, 15, 0)
    assert (spent.remaining, spent.net, spent.debt, spent.replayed) == (5, 5, 0, False)
    balance = await read_balance(engine, account_id)
    assert (balance.remaining, balance.usage) == (5, 55)
    await assert_books_balance(database)


async def test_the_journal_says_which_grant_paid_for_what(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "a", 3)
    await grant(engine, account_id, "b", 5, GrantType.PURCHASE)
    order = ConsumeOrder(account_id, "op", 10, DEBT, description="lunch", actor="admin", request_id="r-1")
    spent = await consume(engine, order)
    async with session(database.owner_url) as owner:
        rows = await owner.fetch("SELECT * FROM journal WHERE operation_id = 'op' ORDER BY entry_id")
    assert [(row["kind"], row["credits"], row["balance_after"]) for row in rows] == [
        ("consumed", -3, 5),
        ("consumed", -5, 0),
        ("debt-incurred", -2, -2),
    ]
    told = [(each.grant_id, each.credits) for each in spent.allocations]
    assert [(str(row["grant_id"]), -row["credits"]) for row in rows[:2]] == told
    assert {(row["actor"], row["request_id"], row["currency"]) for row in rows[:2]} == {("admin", "r-1", "usd")}
    assert len({row["seq"] for row in rows}) == 1


async def test_a_refusal_writes_nothing_and_claims_nothing(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 5)
    seq = (await read_balance(engine, account_id)).seq
    order = ConsumeOrder(account_id, "op", 6)
    with pytest.raises(InsufficientCredits) as refused:
        await consume(engine, order)
    assert (refused.value.needed, refused.value.available) == (6, 5)
    assert await entries(database, account_id) == [("granted", 5, 5)]
    assert (await read_balance(engine, account_id)).seq == seq
    await grant(engine, account_id, "more", 1)
    assert (await consume(engine, order)).remaining == 0


async def test_debt_is_booked_up_to_the_cap_and_the_next_grant_pays_it(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await set_debt_cap(database, account_id, 10)
    await grant(engine, account_id, "g", 5)
    spent = await consume(engine, ConsumeOrder(account_id, "op", 12, DEBT))
    assert (spent.consumed, spent.debt_incurred, spent.debt, spent.remaining, spent.net) == (12, 7, 7, 0, -7)
    with pytest.raises(InsufficientCredits) as refused:
        await consume(engine, ConsumeOrder(account_id, "too-much", 4, DEBT))
    assert refused.value.available == 3
    await grant(engine, account_id, "pays", 20)
    balance = await read_balance(engine, account_id)
    assert (balance.debt, balance.remaining, balance.usage) == (0, 13, 12)
    await assert_books_balance(database)


async def test_a_repeat_gets_the_first_answer_whatever_has_become_of_the_balance(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 10)
    order = ConsumeOrder(account_id, "op", 10, description="all", request_id="r-1")
    first = await consume(engine, order)
    again = replace(order, request_id="r-2", actor="somebody else")
    assert await consume(engine, again) == replace(first, replayed=True)  # there is nothing left, yet no refusal
    await grant(engine, account_id, "more", 100)
    assert await consume(engine, again) == replace(first, replayed=True)
    assert len(await entries(database, account_id)) == 3


@pytest.mark.parametrize("changed", [{"credits": 4}, {"on_insufficient": DEBT}, {"description": "else"}])
@pytest.mark.parametrize("left", [0, 10])
async def test_another_payload_is_a_conflict(engine: AsyncEngine, changed: dict[str, object], left: int) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 3 + left)
    order = ConsumeOrder(account_id, "op", 3)
    await consume(engine, order)
    with pytest.raises(IdempotencyConflict):
        await consume(engine, replace(order, **changed))  # type: ignore[arg-type]


async def test_the_id_of_a_grant_is_taken_on_its_account_alone(engine: AsyncEngine) -> None:
    one, other = [await open_user(engine) for _ in range(2)]
    for account_id in (one, other):
        await grant(engine, account_id, f"g-{account_id}", 5)
    with pytest.raises(IdempotencyConflict):
        await consume(engine, ConsumeOrder(one, f"g-{one}", 1))
    assert (await consume(engine, ConsumeOrder(other, f"g-{one}", 1))).remaining == 4


async def test_expired_credit_is_never_spent_and_is_booked_by_the_next_change(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "gone", 100, GrantType.FREE)
    await grant(engine, account_id, "stays", 10)
    await advance_test_clock(engine, MANY_DAYS)
    with pytest.raises(InsufficientCredits) as refused:
        await consume(engine, ConsumeOrder(account_id, "too-much", 11))
    assert refused.value.available == 10
    assert len(await entries(database, account_id)) == 2  # a refusal books no expiry either
    spent = await consume(engine, ConsumeOrder(account_id, "op", 4))
    assert ([each.operation_id for each in spent.allocations], spent.remaining) == (["stays"], 6)
    assert (await entries(database, account_id))[2:] == [("expired", -100, 10), ("consumed", -4, 6)]
    await assert_books_balance(database)


async def test_expired_credit_does_not_stand_in_the_way_of_debt(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "gone", 100, GrantType.FREE)
    await advance_test_clock(engine, MANY_DAYS)
    spent = await consume(engine, ConsumeOrder(account_id, "op", 4, DEBT))
    assert (spent.allocations, spent.debt, spent.net) == ((), 4, -4)
    await assert_books_balance(database)


async def test_what_can_be_refused_without_asking_is(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    for order in (
        ConsumeOrder(account_id, "has space", 1),
        ConsumeOrder(account_id, "free-mine", 1),
        ConsumeOrder(account_id, "op", 0),
        ConsumeOrder(account_id, "op", 10**12 + 1),
        ConsumeOrder(account_id, "op", 1, description="\x00"),
    ):
        with pytest.raises(InvalidOrder):
            await consume(engine, order)
    for unknown in ("nobody", "0198c5a0-0000-7000-8000-000000000000"):
        with pytest.raises(UnknownAccount):
            await consume(engine, ConsumeOrder(unknown, "op", 1))
    with pytest.raises(LedgerUnavailable):
        await Consumption(engine).consume(ConsumeOrder(account_id, "op", 1))


async def test_one_batch_gives_everybody_an_answer_of_their_own(database: Database, engine: AsyncEngine) -> None:
    rich, poor = [await open_user(engine) for _ in range(2)]
    await grant(engine, rich, "g", 100)
    consumption = Consumption(engine)
    async with consumption.running():
        outcomes = await asyncio.gather(
            consumption.consume(ConsumeOrder(rich, "a", 60)),
            consumption.consume(ConsumeOrder(rich, "b", 60)),  # refused, and changes nothing for who follows
            consumption.consume(ConsumeOrder(poor, "a", 1)),
            consumption.consume(ConsumeOrder(rich, "a", 60)),
            consumption.consume(ConsumeOrder(rich, "a", 61)),
            consumption.consume(ConsumeOrder(rich, "c", 40)),
            return_exceptions=True,
        )
    kinds = [type(outcome) for outcome in outcomes]
    refused, conflict = InsufficientCredits, IdempotencyConflict
    assert kinds == [Consumed, refused, refused, Consumed, conflict, Consumed]
    assert await entries(database, rich) == [("granted", 100, 100), ("consumed", -60, 40), ("consumed", -40, 0)]
    await assert_books_balance(database)


async def test_a_hundred_calls_with_one_id_spend_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 100)
    consumptions = [Consumption(engine) for _ in range(3)]
    async with consumptions[0].running(), consumptions[1].running(), consumptions[2].running():
        answers = await asyncio.gather(
            *(
                consumptions[number % 3].consume(ConsumeOrder(account_id, "once", 7, request_id=f"r-{number}"))
                for number in range(100)
            )
        )
    assert Counter(answer.replayed for answer in answers) == {True: 99, False: 1}
    assert len({replace(answer, replayed=True) for answer in answers}) == 1
    assert await entries(database, account_id) == [("granted", 100, 100), ("consumed", -7, 93)]
    assert await count(database, "operations") == 2
