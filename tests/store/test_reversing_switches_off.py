"""Whose payment is reversed is not charged again unasked: auto top-up goes off with the booking, and not later."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.customers import record_payment_method
from ledger.rules.topping_up import TopUpRule
from ledger.topping_up import AutoTopup, read_auto_topup, set_auto_topup
from messages.customers import DefaultPaymentMethod, PaymentMethod
from tests.conftest import Database
from tests.store.reversing import buy, reverse
from tests.store.support import open_user, session


async def switch_on(engine: AsyncEngine, account_id: str) -> AutoTopup:
    """The owner has a card, and wants it."""
    card = PaymentMethod("pm_1", "card", "visa", "4242", 12, 2099)
    await record_payment_method(engine, DefaultPaymentMethod(account_id, card))
    return await set_auto_topup(engine, account_id, TopUpRule(50, 500, None), enabled=True, by="owner")


async def thresholds(database: Database) -> list[int | None]:
    """What stands beside the balances."""
    async with session(database.owner_url) as owner:
        return [row["topup_threshold"] for row in await owner.fetch("SELECT topup_threshold FROM accounts")]


async def test_any_reversal_switches_it_off_with_its_booking(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    assert (await switch_on(engine, account_id)).enabled
    await reverse(engine, 100)
    settings = await read_auto_topup(engine, account_id)
    assert (settings.enabled, settings.disabled_reason) == (False, "payment-reversed")
    assert "refund" in (settings.disabled_message or "")
    assert await thresholds(database) == [None]


async def test_a_freeze_is_one_too(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await switch_on(engine, account_id)
    await reverse(engine, 0, 1000)
    assert not (await read_auto_topup(engine, account_id)).enabled


async def test_what_is_booked_already_or_comes_back_leaves_the_owners_choice(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy(engine, account_id)
    await reverse(engine, 300)
    await switch_on(engine, account_id)
    await reverse(engine, 300)
    await reverse(engine, 100)
    assert (await read_auto_topup(engine, account_id)).enabled
