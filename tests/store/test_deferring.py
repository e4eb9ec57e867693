"""Deferred revenue: what was paid for and is unspent, as of an instant, in whole minor units."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.deferring import FIRST, CostBasis, Deferred, Report, add_to, deferred_revenue_page
from ledger.revoking import revoke_grant
from ledger.rules.errors import InvalidOrder
from ledger.sweeping import book_due
from messages.grants import GrantType
from tests.conftest import Database
from tests.store.held import place_hold
from tests.store.support import DAY_SECONDS, grant, open_user, session
from tests.store.test_explaining import MICROSECOND, spend


async def report(engine: AsyncEngine, at: datetime | None = None, *, limit: int = 200) -> Report:
    """All pages, added up."""
    whole: Report = {}
    after = FIRST
    while True:
        page = await deferred_revenue_page(engine, at=at, after=after, limit=limit)
        add_to(whole, page.report.items())
        if page.next_after is None:
            return whole
        at, after = page.at, page.next_after


async def now_of(engine: AsyncEngine, account_id: str) -> datetime:
    """The product's clock."""
    return (await read_balance(engine, account_id)).now


async def price(database: Database, account_id: str, cents: int, credits: int, currency: str) -> None:
    """What the account's next grants cost."""
    async with session(database.owner_url) as owner:
        await owner.execute(
            "UPDATE accounts SET price_cents = $2, price_credits = $3, currency = $4 WHERE account_id = $1",
            account_id,
            cents,
            credits,
            currency,
        )


async def test_by_currency_type_month_and_price_rounded_up_for_each_grant(
    database: Database, engine: AsyncEngine
) -> None:
    account_id, other = await open_user(engine, free_credits=50), await open_user(engine, free_credits=5)
    month = (await now_of(engine, account_id)).strftime("%Y-%m")
    await grant(engine, account_id, "one", 100, GrantType.PURCHASE)
    await grant(engine, account_id, "rolled", 7, GrantType.ROLLOVER)
    await grant(engine, account_id, "given", 9)
    await price(database, account_id, 3, 2, "usd")
    await price(database, other, 3, 2, "eur")
    await grant(engine, account_id, "two", 5, GrantType.PURCHASE)
    await grant(engine, account_id, "three", 5, GrantType.PURCHASE)
    await grant(engine, other, "theirs", 4, GrantType.PURCHASE)
    # 50 free, 9 given, 7 rolled over, and of the first purchase 30. What the other has for free was never paid for.
    await spend(engine, account_id, "spent", 96)
    assert await report(engine, limit=1) == {
        CostBasis("usd", GrantType.PURCHASE, month, 1, 1): Deferred(1, 70, 70),
        CostBasis("usd", GrantType.PURCHASE, month, 3, 2): Deferred(2, 10, 16),
        CostBasis("eur", GrantType.PURCHASE, month, 3, 2): Deferred(1, 4, 6),
    }


async def test_as_of_an_instant_it_is_the_same_whenever_it_is_made(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "one", 100, GrantType.PURCHASE)
    await spend(engine, account_id, "before", 30)
    then = await now_of(engine, account_id)
    [(basis, deferred)] = (await report(engine, then)).items()
    assert (basis.type, deferred) == (GrantType.PURCHASE, Deferred(1, 70, 70))
    await advance_test_clock(engine, 45 * DAY_SECONDS)
    await spend(engine, account_id, "after", 20)
    await revoke_grant(engine, "one", reason="", actor="", request_id="")
    made = (await grant(engine, account_id, "two", 10, GrantType.PURCHASE)).grant.created_at
    assert await report(engine, then) == {basis: deferred}
    assert list((await report(engine)).values()) == [Deferred(1, 10, 10)]
    assert await report(engine, made - MICROSECOND) == {}
    assert await report(engine, then - timedelta(days=400)) == {}
    with pytest.raises(InvalidOrder, match="has not come"):
        await report(engine, made + timedelta(days=1))


async def test_what_paid_debt_is_earned_and_what_is_held_is_not(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await spend(engine, account_id, "owes", 30, debt=True)
    await grant(engine, account_id, "one", 100, GrantType.PURCHASE)
    await place_hold(database, account_id, "held", "one", 60, hours=1)
    await spend(engine, account_id, "owes-again", 25, debt=True)
    held = await now_of(engine, account_id)
    assert list((await report(engine)).values()) == [Deferred(1, 60, 60)]
    await advance_test_clock(engine, DAY_SECONDS)
    # The hold has lapsed, and what it gave back has paid the debt; nobody has booked it.
    assert list((await report(engine)).values()) == [Deferred(1, 45, 45)]
    await book_due(engine, account_id)
    assert list((await report(engine)).values()) == [Deferred(1, 45, 45)]
    assert list((await report(engine, held)).values()) == [Deferred(1, 60, 60)]
