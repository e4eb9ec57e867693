"""Holds on a real database: what they keep, what they cost, and that they end at their instant without anybody."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import Balance, read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import (
    ConsumeOrder,
    Consumption,
    ExtendOrder,
    HoldOrder,
    OnInsufficient,
    ReleaseOrder,
    SettleOrder,
)
from ledger.revoking import revoke_grant
from ledger.rules.errors import (
    HoldClosed,
    HoldOfAnother,
    IdempotencyConflict,
    InsufficientCredits,
    InvalidOrder,
    UnknownAccount,
    UnknownHold,
)
from ledger.sweeping import book_due
from messages.grants import GrantType
from tests.conftest import Database
from tests.store.books import assert_books_balance
from tests.store.holding import MINUTE, act, again, do, hold, release, settle, state_of
from tests.store.support import DAY_SECONDS, count, entries, grant, open_user, owe

DEBT = OnInsufficient.DEBT


def numbers(balance: Balance) -> tuple[int, int, int, int]:
    """Spendable, held, owed, and the sum of the breakdown."""
    return balance.remaining, balance.held, balance.debt, sum(balance.breakdown.values())


async def test_a_hold_keeps_credits_in_burn_order_and_writes_no_entry(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "bought", 10, GrantType.PURCHASE)
    await grant(engine, account_id, "free", 10, GrantType.FREE)
    held = await hold(engine, account_id, 15)
    assert [(each.operation_id, each.credits) for each in held.allocations] == [("free", 10), ("bought", 5)]
    assert (held.credits, held.held, held.remaining, held.debt, held.net) == (15, 15, 5, 0, 20)
    assert held.expires_at == held.created_at + timedelta(minutes=10)
    assert (held.state, held.replayed) == ("open", False)
    balance = await read_balance(engine, account_id)
    assert numbers(balance) == (5, 15, 0, 20)
    assert (balance.net, balance.usage, balance.breakdown[GrantType.FREE]) == (20, 0, 10)
    assert len(await entries(database, account_id)) == 2
    with pytest.raises(InsufficientCredits) as refused:
        await do(engine, ConsumeOrder(account_id, "too-much", 6))
    assert refused.value.available == 5
    spent = await do(engine, ConsumeOrder(account_id, "op", 5))
    assert ([each.operation_id for each in spent.allocations], spent.remaining, spent.net) == (["bought"], 0, 15)
    assert await do(engine, ConsumeOrder(account_id, "op", 5)) == again(spent)
    await assert_books_balance(database)


@pytest.mark.parametrize(
    ("cost", "paid", "owed", "left"), [(4, 4, 0, 16), (10, 10, 0, 10), (13, 13, 0, 7), (25, 20, 5, 0)]
)
async def test_the_real_cost_is_booked(
    database: Database, engine: AsyncEngine, cost: int, paid: int, owed: int, left: int
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "bought", 20, GrantType.PURCHASE)
    await hold(engine, account_id, 10)
    settled = await settle(engine, account_id, cost)
    assert (settled.consumed, settled.from_purchased, settled.debt_incurred) == (cost, paid, owed)
    assert [each.credits for each in settled.allocations] == [paid]
    assert (settled.given_back, settled.remaining, settled.debt) == (max(0, 10 - cost), left, owed)
    balance = await read_balance(engine, account_id)
    assert (*numbers(balance), balance.usage) == (left, 0, owed, left, cost)
    assert await settle(engine, account_id, cost) == again(settled)
    assert await state_of(database, account_id) == ("settled", False)
    with pytest.raises(IdempotencyConflict):
        await settle(engine, account_id, cost + 1)
    for closed in (ReleaseOrder(account_id, "h"), ExtendOrder(account_id, "h", MINUTE)):
        with pytest.raises(HoldClosed):
            await do(engine, closed)
    await assert_books_balance(database)


async def test_a_settlement_of_nothing(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 10)
    settled = await settle(engine, account_id, 0)
    assert (settled.consumed, settled.allocations, settled.given_back, settled.remaining) == (0, (), 10, 20)
    assert len(await entries(database, account_id)) == 1
    await assert_books_balance(database)


async def test_a_release_gives_everything_back_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 15)
    released = await release(engine, account_id)
    assert (released.given_back, released.remaining, released.net) == (15, 20, 20)
    assert await release(engine, account_id) == again(released)
    for closed in (SettleOrder(account_id, "h", 1), ExtendOrder(account_id, "h", MINUTE)):
        with pytest.raises(HoldClosed):
            await do(engine, closed)
    assert (await read_balance(engine, account_id)).held == 0
    await assert_books_balance(database)


async def test_a_hold_is_repeated_word_for_word_also_when_it_is_over(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    held = await hold(engine, account_id, 15)
    assert await hold(engine, account_id, 15) == again(held)  # there is too little left, yet no refusal
    await release(engine, account_id)
    assert await hold(engine, account_id, 15) == again(held)
    for changed in ({"credits": 14}, {"ttl_seconds": 61}, {"made_by": "admin"}):
        with pytest.raises(IdempotencyConflict):
            await do(engine, replace(HoldOrder(account_id, "h", 15, 600), **changed))
    with pytest.raises(IdempotencyConflict):
        await do(engine, ConsumeOrder(account_id, "h", 15))
    with pytest.raises(IdempotencyConflict):
        await hold(engine, account_id, 5, "g")


async def test_a_hold_that_can_not_be_paid_is_refused_and_its_id_stays_free(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    with pytest.raises(InsufficientCredits) as refused:
        await hold(engine, account_id, 21)
    assert (refused.value.needed, refused.value.available) == (21, 20)
    assert await count(database, "holds") == 0
    await grant(engine, account_id, "more", 1)
    assert (await hold(engine, account_id, 21)).remaining == 0


async def test_time_ends_a_hold_without_anybody(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 15)
    await advance_test_clock(engine, 11 * MINUTE)
    assert numbers(await read_balance(engine, account_id)) == (20, 0, 0, 20)
    assert await state_of(database, account_id) == ("open", False)  # nobody has written anything
    spent = await do(engine, ConsumeOrder(account_id, "op", 18))
    assert (spent.remaining, spent.net) == (2, 2)
    assert await state_of(database, account_id) == ("lapsed", True)
    await assert_books_balance(database)
    # The work was done all the same, and is paid for.
    settled = await settle(engine, account_id, 15)
    assert (settled.consumed, settled.debt_incurred, settled.given_back, settled.debt) == (15, 13, 0, 13)
    assert await settle(engine, account_id, 15) == again(settled)
    assert await state_of(database, account_id) == ("settled", True)
    await assert_books_balance(database)


async def test_settling_is_what_finds_the_time_over(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 15)
    await advance_test_clock(engine, 11 * MINUTE)
    with pytest.raises(HoldClosed) as refused:
        await do(engine, ExtendOrder(account_id, "h", MINUTE))
    assert refused.value.state == "lapsed"
    assert (await settle(engine, account_id, 17)).remaining == 3
    await assert_books_balance(database)


async def test_a_release_after_the_time_gives_nothing_and_closes(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 15)
    await advance_test_clock(engine, 11 * MINUTE)
    released = await release(engine, account_id)
    assert (released.given_back, released.remaining) == (0, 20)
    assert await release(engine, account_id) == again(released)
    with pytest.raises(HoldClosed):
        await settle(engine, account_id, 1)
    assert await state_of(database, account_id) == ("released", True)
    await assert_books_balance(database)


async def test_an_extension_moves_the_end_never_back_and_a_day_at_most(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    held = await hold(engine, account_id, 15)
    shorter = await do(engine, ExtendOrder(account_id, "h", MINUTE))
    assert shorter == held
    assert held.expires_at is not None
    longer = await do(engine, ExtendOrder(account_id, "h", 20 * MINUTE))
    assert longer.expires_at > held.expires_at + timedelta(minutes=9)
    await advance_test_clock(engine, 15 * MINUTE)
    assert (await read_balance(engine, account_id)).held == 15
    longest = await do(engine, ExtendOrder(account_id, "h", DAY_SECONDS))
    assert longest.expires_at == held.created_at + timedelta(days=1)
    assert (longest.credits, longest.allocations, longest.state) == (15, held.allocations, "open")
    await advance_test_clock(engine, DAY_SECONDS)
    assert (await read_balance(engine, account_id)).held == 0
    await assert_books_balance(database)


async def test_held_credit_lives_on_when_its_grant_expires_and_goes_with_the_hold(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    now = (await read_balance(engine, account_id)).now
    await grant(engine, account_id, "short", 20, GrantType.FREE, expires_at=now + timedelta(minutes=5))
    await hold(engine, account_id, 15)
    await advance_test_clock(engine, 6 * MINUTE)
    assert numbers(await read_balance(engine, account_id)) == (0, 15, 0, 15)
    assert await book_due(engine, account_id) == 1
    await assert_books_balance(database)
    settled = await settle(engine, account_id, 9)
    assert (settled.consumed, settled.debt_incurred, settled.given_back, settled.net) == (9, 0, 6, 0)
    assert (await entries(database, account_id))[1:] == [("expired", -5, 15), ("consumed", -9, 6), ("expired", -6, 0)]
    await assert_books_balance(database)


async def test_held_credit_of_a_revoked_grant_can_still_be_settled_and_the_rest_is_taken(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 15)
    revoked = await revoke_grant(engine, "g", reason="", actor="", request_id="")
    assert revoked.revoked == 5
    assert numbers(await read_balance(engine, account_id)) == (0, 15, 0, 15)
    settled = await settle(engine, account_id, 9)
    assert (settled.debt_incurred, settled.net) == (0, 0)
    assert (await entries(database, account_id))[1:] == [("revoked", -5, 15), ("consumed", -9, 6), ("revoked", -6, 0)]
    await assert_books_balance(database)


async def test_a_new_grant_finds_what_a_lapsed_hold_gave_back_to_the_debt(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 15)
    await do(engine, ConsumeOrder(account_id, "op", 8, DEBT))
    assert numbers(await read_balance(engine, account_id)) == (0, 15, 3, 15)
    await advance_test_clock(engine, 11 * MINUTE)
    assert numbers(await read_balance(engine, account_id)) == (12, 0, 0, 12)
    granted = await grant(engine, account_id, "more", 5)
    assert granted.grant.balance == 5
    assert (await entries(database, account_id))[3:] == [("debt-paid", -3, 9), ("debt-paid", 3, 12), ("granted", 5, 17)]
    assert await state_of(database, account_id) == ("lapsed", True)
    await assert_books_balance(database)


async def test_a_new_grant_pays_debt_while_something_is_held(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 20)
    await do(engine, ConsumeOrder(account_id, "op", 8, DEBT))
    await grant(engine, account_id, "more", 10)
    assert numbers(await read_balance(engine, account_id)) == (2, 20, 0, 22)
    await assert_books_balance(database)


async def test_only_the_kind_of_token_that_made_a_hold_may_change_it(engine: AsyncEngine) -> None:
    account_id, other = [await open_user(engine) for _ in range(2)]
    await grant(engine, account_id, "g", 20)
    await hold(engine, account_id, 15)
    for order in (SettleOrder(account_id, "h", 1), ReleaseOrder(account_id, "h"), ExtendOrder(account_id, "h", 1)):
        with pytest.raises(HoldOfAnother):
            await do(engine, replace(order, made_by="admin"))
        with pytest.raises(UnknownHold):
            await do(engine, replace(order, account_id=other))
        with pytest.raises(UnknownHold):
            await do(engine, replace(order, operation_id="g"))
    assert (await release(engine, account_id)).given_back == 15


async def test_what_can_be_refused_without_asking_is(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    for order in (
        HoldOrder(account_id, "has space", 1, 1),
        HoldOrder(account_id, "free-mine", 1, 1),
        HoldOrder(account_id, "h", 0, 1),
        HoldOrder(account_id, "h", 1, 0),
        HoldOrder(account_id, "h", 1, DAY_SECONDS + 1),
        ExtendOrder(account_id, "h", DAY_SECONDS + 1),
        SettleOrder(account_id, "h", -1),
        SettleOrder(account_id, "h", 10**12 + 1),
    ):
        with pytest.raises(InvalidOrder):
            await do(engine, order)
    with pytest.raises(UnknownHold):
        await do(engine, ReleaseOrder(account_id, "\x00"))
    for unknown in ("nobody", "0198c5a0-0000-7000-8000-000000000000"):
        with pytest.raises(UnknownAccount):
            await do(engine, HoldOrder(unknown, "h", 1, 1))


async def test_one_batch_places_extends_settles_and_spends_in_the_order_of_arrival(
    database: Database, engine: AsyncEngine
) -> None:
    account_id, poor = [await open_user(engine) for _ in range(2)]
    await grant(engine, account_id, "g", 100)
    consumption = Consumption(engine)
    async with consumption.running():
        outcomes = await asyncio.gather(
            *(
                act(consumption, order)
                for order in (
                    HoldOrder(account_id, "a", 60, 600),
                    HoldOrder(account_id, "b", 60, 600),
                    ConsumeOrder(account_id, "spend", 40),
                    HoldOrder(account_id, "a", 60, 600),
                    ExtendOrder(account_id, "a", 1200),
                    ExtendOrder(account_id, "a", 1300),
                    SettleOrder(account_id, "a", 50),
                    SettleOrder(account_id, "a", 50),
                    SettleOrder(account_id, "a", 51),
                    ReleaseOrder(account_id, "a"),
                    HoldOrder(account_id, "c", 10, 600),
                    ReleaseOrder(account_id, "c"),
                    HoldOrder(poor, "a", 1, 600),
                    SettleOrder(poor, "a", 1),
                )
            ),
            return_exceptions=True,
        )
    assert [type(outcome).__name__ for outcome in outcomes] == [
        *("Held", "InsufficientCredits", "Consumed", "Held", "Held", "Held", "Settled", "Settled"),
        *("IdempotencyConflict", "HoldClosed", "Held", "Released", "InsufficientCredits", "UnknownHold"),
    ]
    assert outcomes[3] == again(outcomes[0])
    assert outcomes[7] == again(outcomes[6])
    assert numbers(await read_balance(engine, account_id)) == (10, 0, 0, 10)
    assert (await entries(database, account_id))[1:] == [("consumed", -40, 60), ("consumed", -50, 10)]
    assert (await state_of(database, account_id, "c"))[0] == "released"
    await assert_books_balance(database)


async def test_a_debtor_holds_nothing_new(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await owe(database, account_id, 5)
    with pytest.raises(InsufficientCredits):
        await hold(engine, account_id, 1)
