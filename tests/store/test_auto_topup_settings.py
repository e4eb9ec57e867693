"""The settings of auto top-up: what may be chosen, what stands beside the balance, and what switches it off."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.changes import CHANNEL
from ledger.clock import advance_test_clock
from ledger.customers import record_payment_method
from ledger.opening import Opening, find_account, open_account
from ledger.paying import read_payment
from ledger.rules.errors import InvalidOrder, LedgerError, NoPaymentMethod, UnknownAccount, UnknownPurchase
from ledger.rules.topping_up import TopUpRule
from ledger.topping_up import AutoTopup, read_auto_topup, set_auto_topup, still_wanted, switch_off
from messages.customers import DefaultPaymentMethod, PaymentMethod
from messages.payments import Decline, PaymentState, SwitchOff
from tests.conftest import Database
from tests.store.paying import (
    CARD,
    DECLINE,
    RULE,
    ask,
    attempt,
    become,
    buy_credits,
    choose,
    decline,
    give_card,
    seq_of,
    topped_up_user,
    value_of,
)
from tests.store.support import DAY_SECONDS, assert_books_balance, grant, open_user, session

Prepare = Callable[[AsyncEngine, str], Awaitable[None]]
NOBODY = "01970000-0000-7000-8000-000000000001"
DECLINED = "auto-topup-declined"


async def threshold_of(database: Database, account_id: str) -> int | None:
    """The threshold that stands beside the balance."""
    query = "SELECT topup_threshold FROM accounts WHERE account_id = $1::uuid"
    found: int | None = await value_of(database, query, account_id)
    return found


async def state_of(database: Database, account_id: str) -> tuple[object, ...]:
    """All that settings change."""
    settings = await value_of(
        database, "SELECT auto_topups::text FROM auto_topups WHERE account_id = $1::uuid", account_id
    )
    return settings, await threshold_of(database, account_id), await seq_of(database, account_id)


async def test_who_has_chosen_nothing_is_off(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    account = await find_account(engine, account_id)
    assert await read_auto_topup(engine, account_id) == AutoTopup(
        account_id=account_id,
        enabled=False,
        rule=None,
        disabled_reason=None,
        disabled_message=None,
        disabled_at=None,
        not_before=None,
        spent_cents=0,
        currency="usd",
        cycle_start=account.created_at,
        sentence="Nothing is bought automatically.",
        last=None,
    )


async def test_what_is_chosen_is_what_is_read(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await give_card(engine, account_id)
    limited = replace(RULE, monthly_limit_cents=5_000)
    chosen = await set_auto_topup(engine, account_id, limited, enabled=True, by="ada")
    assert (chosen.enabled, chosen.rule, chosen.last) == (True, limited, None)
    assert "below 500 credits" in chosen.sentence
    assert "50.00 USD" in chosen.sentence
    assert await read_auto_topup(engine, account_id) == chosen
    assert await value_of(database, "SELECT changed_by FROM auto_topups") == "ada"
    off = await set_auto_topup(engine, account_id, RULE, enabled=False, by="bob")
    assert (off.enabled, off.rule, off.disabled_reason) == (False, RULE, None)
    assert off.sentence == "Nothing is bought automatically."
    await assert_books_balance(database)


async def test_the_threshold_beside_the_balance_follows_and_each_change_has_its_number(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 100)
    assert (await threshold_of(database, account_id), await seq_of(database, account_id)) == (None, 1)
    await choose(engine, account_id)
    assert (await threshold_of(database, account_id), await seq_of(database, account_id)) == (500, 2)
    await choose(engine, account_id, replace(RULE, threshold=700))
    assert (await threshold_of(database, account_id), await seq_of(database, account_id)) == (700, 3)
    await choose(engine, account_id, enabled=False)
    assert (await threshold_of(database, account_id), await seq_of(database, account_id)) == (None, 4)
    await choose(engine, account_id)
    assert await switch_off(engine, SwitchOff(account_id, DECLINED, "No."))
    assert (await threshold_of(database, account_id), await seq_of(database, account_id)) == (None, 6)
    assert (await read_balance(engine, account_id)).remaining == 100
    await assert_books_balance(database)


async def _has_no_card(engine: AsyncEngine, account_id: str) -> None:
    pass


async def _card_was_removed(engine: AsyncEngine, account_id: str) -> None:
    await give_card(engine, account_id)
    await give_card(engine, account_id, None)


async def _card_has_expired(engine: AsyncEngine, account_id: str) -> None:
    await give_card(engine, account_id, replace(CARD, expiry_month=12, expiry_year=2020))


async def _card_is_never_to_be_tried_again(engine: AsyncEngine, account_id: str) -> None:
    await give_card(engine, account_id)
    await buy_credits(engine, account_id, f"stolen-{account_id}")
    await decline(engine, f"stolen-{account_id}", said=replace(DECLINE, never_again=True))


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_has_no_card, "The account has no payment method."),
        (_card_was_removed, "The account has no payment method."),
        (_card_has_expired, "The card that ends in 4242 has expired."),
        (_card_is_never_to_be_tried_again, "The payment method was declined for good, or too often."),
    ],
)
@pytest.mark.parametrize("before", [True, False])
async def test_without_a_card_that_can_be_charged_nothing_is_changed(
    database: Database, engine: AsyncEngine, prepare: Prepare, words: str, before: bool
) -> None:
    account_id = await open_user(engine)
    if before:
        await choose(engine, account_id, enabled=False)
        await give_card(engine, account_id, None)
    await prepare(engine, account_id)
    stands = await state_of(database, account_id)
    with pytest.raises(NoPaymentMethod) as refused:
        await set_auto_topup(engine, account_id, replace(RULE, target=3_000), enabled=True, by="ada")
    assert str(refused.value).startswith(words)
    assert await state_of(database, account_id) == stands
    # To switch it off, and to note the numbers, nobody needs a card.
    assert not (await set_auto_topup(engine, account_id, RULE, enabled=False, by="ada")).enabled


async def test_a_card_can_be_chosen_through_the_end_of_its_month(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    now = (await read_balance(engine, account_id)).now
    ends = (now.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    await give_card(engine, account_id, replace(CARD, expiry_month=now.month, expiry_year=now.year))
    await advance_test_clock(engine, int((ends - now).total_seconds()) - 60)
    assert (await set_auto_topup(engine, account_id, RULE, enabled=True, by="ada")).enabled
    await advance_test_clock(engine, 61)
    with pytest.raises(NoPaymentMethod):
        await set_auto_topup(engine, account_id, RULE, enabled=True, by="ada")


async def test_a_method_that_is_no_card_can_be_chosen(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await give_card(engine, account_id, PaymentMethod("pm_link", "link"))
    assert (await set_auto_topup(engine, account_id, RULE, enabled=True, by="ada")).enabled


async def test_a_user_may_choose_less_than_an_organization(database: Database, engine: AsyncEngine) -> None:
    user = await open_user(engine)
    firm = (await open_account(engine, Opening(kind="organization", name="Acme"))).account.account_id
    large = TopUpRule(threshold=99_000, target=100_001, monthly_limit_cents=None)
    for account_id in (user, firm):
        await give_card(engine, account_id)
    stands = await state_of(database, user)
    for enabled in (True, False):
        with pytest.raises(InvalidOrder, match=r"target: must be above the threshold: from 99001 to 100000"):
            await set_auto_topup(engine, user, large, enabled=enabled, by="ada")
    assert await state_of(database, user) == stands
    assert (await set_auto_topup(engine, firm, large, enabled=True, by="ada")).rule == large


@pytest.mark.parametrize("account_id", [NOBODY, "x"])
async def test_nobody_has_no_settings(engine: AsyncEngine, account_id: str) -> None:
    for refused in (
        read_auto_topup(engine, account_id),
        set_auto_topup(engine, account_id, RULE, enabled=False, by="ada"),
        switch_off(engine, SwitchOff(account_id, DECLINED, "No.")),
        ask(engine, account_id),
        record_payment_method(engine, DefaultPaymentMethod("x", None)),
    ):
        with pytest.raises(UnknownAccount):
            await refused


async def test_the_first_reason_for_being_off_is_kept_until_the_owner_chooses_anew(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine)
    assert await switch_off(engine, SwitchOff(account_id, DECLINED, "Your card was declined."))
    first = await read_auto_topup(engine, account_id)
    assert not first.enabled
    assert (first.disabled_reason, first.disabled_message) == (DECLINED, "Your card was declined.")
    assert first.disabled_at is not None
    assert not await switch_off(engine, SwitchOff(account_id, "payment-reversed", "It went back."))
    assert await read_auto_topup(engine, account_id) == first
    await choose(engine, account_id)
    again = await read_auto_topup(engine, account_id)
    assert again.enabled
    assert (again.disabled_reason, again.disabled_message, again.disabled_at) == (None, None, None)


async def test_what_its_owner_has_switched_off_gets_no_reason(database: Database, engine: AsyncEngine) -> None:
    account_id, other = await topped_up_user(engine), await open_user(engine)
    await choose(engine, account_id, enabled=False)
    for each in (account_id, other):
        stands = await state_of(database, each)
        assert not await switch_off(engine, SwitchOff(each, DECLINED, "No."))
        assert await state_of(database, each) == stands


async def test_of_many_who_switch_off_at_once_one_does(database: Database, engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine)
    other = database.open_engine()
    before = await seq_of(database, account_id)
    done = await asyncio.gather(
        *(
            switch_off(opened, SwitchOff(account_id, DECLINED, f"{number}"))
            for number in range(5)
            for opened in (engine, other)
        )
    )
    await other.dispose()
    assert Counter(done) == {True: 1, False: 9}
    assert await seq_of(database, account_id) == before + 1


async def test_those_who_listen_hear_of_the_settings(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    heard: asyncio.Queue[str] = asyncio.Queue()

    def hear(_: asyncpg.Connection, __: int, ___: str, payload: str) -> None:
        heard.put_nowait(payload)

    async with session(database.app_url) as listener:
        await listener.add_listener(CHANNEL, hear)
        await choose(engine, account_id)
        assert await asyncio.wait_for(heard.get(), 5) == f"{account_id}:1"
        await switch_off(engine, SwitchOff(account_id, DECLINED, "No."))
        assert await asyncio.wait_for(heard.get(), 5) == f"{account_id}:2"
        await switch_off(engine, SwitchOff(account_id, DECLINED, "No."))
        await give_card(engine, account_id, None)
        with pytest.raises(NoPaymentMethod):
            await set_auto_topup(engine, account_id, RULE, enabled=True, by="ada")
    assert heard.empty()


async def test_an_attempt_is_wanted_while_it_is_open_and_auto_top_up_on(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine)
    await attempt(engine, account_id)
    assert await still_wanted(engine, "topup-1")
    await choose(engine, account_id, enabled=False)
    assert not await still_wanted(engine, "topup-1")
    await choose(engine, account_id)
    assert await still_wanted(engine, "topup-1")
    await become(engine, "topup-1", PaymentState.PROCESSING)
    assert not await still_wanted(engine, "topup-1")
    await buy_credits(engine, await open_user(engine))
    assert not await still_wanted(engine, "bought")
    with pytest.raises(UnknownPurchase):
        await still_wanted(engine, "nothing")


async def test_the_latest_top_up_is_shown_and_what_the_cycle_has_cost(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine)
    await attempt(engine, account_id)
    await become(engine, "topup-1", PaymentState.PAID)
    await advance_test_clock(engine, DAY_SECONDS)
    await attempt(engine, account_id, "topup-2")
    await buy_credits(engine, account_id)
    shown = await read_auto_topup(engine, account_id)
    assert shown.last == await read_payment(engine, "topup-2")
    assert shown.spent_cents == 4_000


def test_refusals_carry_numbers_and_words_only() -> None:
    """They become details of a workflow's failure, so they must be JSON."""
    samples: list[LedgerError] = [NoPaymentMethod("No card."), UnknownPurchase("p")]
    for sample in samples:
        assert all(isinstance(value, int | str) for value in vars(sample).values())
    assert Decline("no").never_again is False
