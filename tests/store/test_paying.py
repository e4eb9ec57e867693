"""Payments: the id is claimed and the row written before anybody pays, and what becomes of it is kept."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.consuming import ConsumeOrder
from ledger.granting import process_and_grant_credit
from ledger.paying import (
    blocked_methods,
    find_payment_of_intent,
    find_repeated_purchase,
    open_purchase,
    payments_of_account,
    purchase_options,
    read_payment,
    record_payment,
    renew_payment_key,
    take_waiting_payments,
)
from ledger.rules.errors import (
    IdempotencyConflict,
    InvalidOrder,
    PaymentAlreadyGranted,
    UnknownAccount,
    UnknownPurchase,
)
from messages.customers import PaymentMethod
from messages.grants import GrantType
from messages.payments import (
    BlockedMethods,
    Payment,
    PaymentKind,
    PaymentNews,
    PaymentState,
    PurchaseOrder,
    grant_order,
)
from tests.conftest import Database
from tests.store.holding import do
from tests.store.paying import DECLINE, attempt, become, buy_credits, decline, topped_up_user
from tests.store.support import assert_books_balance, count, grant, open_user, session

NOBODY = "01970000-0000-7000-8000-000000000001"


async def wait_out(database: Database, column: str, interval: str, name: str = "%") -> None:
    """Lets so much of the wall clock's time pass for these payments."""
    async with session(database.owner_url) as owner:
        await owner.execute(
            f"UPDATE payments SET {column} = {column} - interval '{interval}' "  # noqa: S608 - the tests' own words
            "WHERE operation_id LIKE $1",
            name,
        )


async def test_a_purchase_is_a_row_before_anybody_is_charged(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    async with session(database.owner_url) as owner:
        await owner.execute("UPDATE accounts SET price_cents = 3, price_credits = 7, currency = 'eur'")
    made = await buy_credits(engine, account_id, credits=501)
    assert (made.operation_id, made.account_id, made.kind) == ("bought", account_id, PaymentKind.PURCHASE)
    assert (made.credits, made.amount_cents, made.currency, made.state) == (501, 215, "eur", PaymentState.OPEN)
    assert (made.idempotency_key, made.request_id, made.granted) == ("payment-bought-1", "r-1", False)
    assert made.actor == f"account {account_id}"
    assert made == await read_payment(engine, "bought")
    assert (await read_balance(engine, account_id)).remaining == 0
    await assert_books_balance(database)


@pytest.mark.parametrize("credits", [-1, 0, 499, 100_001])
async def test_a_purchase_out_of_bounds_leaves_no_row(database: Database, engine: AsyncEngine, credits: int) -> None:
    account_id = await open_user(engine)
    order = PurchaseOrder("bought", account_id, credits)
    for refused in (open_purchase(engine, order), find_repeated_purchase(engine, order)):
        with pytest.raises(InvalidOrder, match="must be from 500 to 100000"):
            await refused
    assert (await count(database, "payments"), await count(database, "operations")) == (0, 0)


@pytest.mark.parametrize("name", ["", "a/b", "auto-topup-1", "x" * 129])
async def test_a_purchase_has_an_id_that_a_client_may_choose(engine: AsyncEngine, name: str) -> None:
    account_id = await open_user(engine)
    with pytest.raises(InvalidOrder, match="operationId"):
        await buy_credits(engine, account_id, name)
    assert (await buy_credits(engine, account_id, "x" * 128)).idempotency_key == f"payment-{'x' * 128}-1"


async def test_a_repeat_answers_with_the_payment_as_it_stands(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    order = PurchaseOrder("bought", account_id, 1_000, actor="ada", request_id="r-1")
    assert await find_repeated_purchase(engine, order) is None
    made = await open_purchase(engine, order)
    assert await open_purchase(engine, order) == made
    paid = await become(engine, "bought", PaymentState.PAID)
    await process_and_grant_credit(engine, grant_order(made, "pi_bought"))
    later = replace(order, actor="bob", request_id="r-2")
    for again in (await open_purchase(engine, later), await find_repeated_purchase(engine, later)):
        assert again == replace(paid, granted=True)
    assert await count(database, "payments") == 1


async def test_another_amount_or_account_is_a_conflict(database: Database, engine: AsyncEngine) -> None:
    account_id, other = await open_user(engine), await open_user(engine)
    order = PurchaseOrder("bought", account_id, 1_000)
    made = await open_purchase(engine, order)
    for changed in (replace(order, credits=1_001), replace(order, account_id=other)):
        for refused in (open_purchase(engine, changed), find_repeated_purchase(engine, changed)):
            with pytest.raises(IdempotencyConflict):
                await refused
    assert await read_payment(engine, "bought") == made
    assert (await count(database, "payments"), await count(database, "operations")) == (1, 1)


async def test_a_top_up_is_no_repeat_of_a_purchase(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine)
    made = await attempt(engine, account_id)
    order = PurchaseOrder("topup-1", account_id, made.credits)
    for refused in (open_purchase(engine, order), find_repeated_purchase(engine, order)):
        with pytest.raises(IdempotencyConflict):
            await refused


async def test_an_id_that_is_used_buys_nothing(database: Database, engine: AsyncEngine) -> None:
    account_id, other = await open_user(engine), await open_user(engine)
    await grant(engine, account_id, "granted", 1_000, GrantType.PURCHASE)
    await grant(engine, other, "of-another", 1_000)
    await do(engine, ConsumeOrder(account_id, "spent", 5))
    for name in ("granted", "of-another", "spent"):
        order = PurchaseOrder(name, account_id, 1_000)
        for refused in (open_purchase(engine, order), find_repeated_purchase(engine, order)):
            with pytest.raises(IdempotencyConflict):
                await refused
    assert await count(database, "payments") == 0


async def test_what_others_have_consumed_under_an_id_does_not_matter(engine: AsyncEngine) -> None:
    account_id, other = await open_user(engine), await open_user(engine)
    await grant(engine, other, "g", 10)
    await do(engine, ConsumeOrder(other, "same", 5))
    assert (await buy_credits(engine, account_id, "same")).state is PaymentState.OPEN


async def test_nothing_else_may_use_the_id_of_a_purchase(database: Database, engine: AsyncEngine) -> None:
    account_id, other = await open_user(engine), await open_user(engine)
    await grant(engine, account_id, "g", 10)
    await buy_credits(engine, account_id)
    with pytest.raises(IdempotencyConflict):
        await do(engine, ConsumeOrder(account_id, "bought", 5))
    for owner, grant_type in ((account_id, GrantType.ADMIN), (account_id, GrantType.PURCHASE), (other, GrantType.FREE)):
        with pytest.raises(IdempotencyConflict):
            await grant(engine, owner, "bought", 1_000, grant_type)
    assert (await read_balance(engine, account_id)).remaining == 10
    await assert_books_balance(database)


@pytest.mark.parametrize("account_id", [NOBODY, "x"])
async def test_nobody_buys_nothing(engine: AsyncEngine, account_id: str) -> None:
    order = PurchaseOrder("bought", account_id, 1_000)
    for refused in (
        open_purchase(engine, order),
        find_repeated_purchase(engine, order),
        payments_of_account(engine, account_id, limit=1),
    ):
        with pytest.raises(UnknownAccount):
            await refused


async def test_what_was_never_paid_for_is_unknown(engine: AsyncEngine) -> None:
    for refused in (
        read_payment(engine, "nothing"),
        record_payment(engine, PaymentNews("nothing", PaymentState.OPEN)),
    ):
        with pytest.raises(UnknownPurchase):
            await refused
    assert await find_payment_of_intent(engine, "pi_nothing") is None


async def test_ten_of_the_same_order_at_once_are_one_purchase(database: Database, engine: AsyncEngine) -> None:
    account_id, other = await open_user(engine), await open_user(engine)
    second = database.open_engine()
    order = PurchaseOrder("bought", account_id, 1_000)
    answers = await asyncio.gather(
        *(open_purchase(opened, order) for opened in (engine, second) for _ in range(5)),
        *(open_purchase(opened, replace(order, account_id=other)) for opened in (engine, second)),
        return_exceptions=True,
    )
    await second.dispose()
    made = [answer for answer in answers if isinstance(answer, Payment)]
    assert len(set(made)) == 1
    assert len(made) + sum(isinstance(answer, IdempotencyConflict) for answer in answers) == 12
    assert (await count(database, "payments"), await count(database, "operations")) == (1, 1)


async def test_the_credits_that_were_paid_for_are_granted_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    made = await buy_credits(engine, account_id)
    order = grant_order(made, "pi_1")
    assert (order.description, order.actor, order.request_id) == ("Purchase", made.actor, "r-1")
    outcomes = await asyncio.gather(*(process_and_grant_credit(engine, order) for _ in range(8)))
    assert sorted(outcome.created for outcome in outcomes) == [False] * 7 + [True]
    assert (await read_payment(engine, "bought")).granted
    assert not (await process_and_grant_credit(engine, order)).created
    with pytest.raises(IdempotencyConflict):
        await process_and_grant_credit(engine, grant_order(made, "pi_2"))
    with pytest.raises(IdempotencyConflict):
        await process_and_grant_credit(engine, replace(order, credits=999))
    assert (await read_balance(engine, account_id)).remaining == 1_000
    await assert_books_balance(database)


async def test_one_payment_at_stripe_pays_for_one_purchase(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    first, second = await buy_credits(engine, account_id), await buy_credits(engine, account_id, "again")
    await process_and_grant_credit(engine, grant_order(first, "pi_1"))
    with pytest.raises(PaymentAlreadyGranted):
        await process_and_grant_credit(engine, grant_order(second, "pi_1"))
    assert not (await read_payment(engine, "again")).granted
    assert (await read_balance(engine, account_id)).remaining == 1_000
    # The claim stands, and the right payment still brings its credits.
    assert (await process_and_grant_credit(engine, grant_order(second, "pi_2"))).created
    await assert_books_balance(database)


async def test_a_key_is_followed_by_the_next_once(engine: AsyncEngine) -> None:
    made = await buy_credits(engine, await open_user(engine))
    renewed = await asyncio.gather(*(renew_payment_key(engine, made) for _ in range(6)))
    assert {payment.idempotency_key for payment in renewed} == {"payment-bought-2"}
    assert renewed[0].key_stored_at > made.key_stored_at
    assert (await renew_payment_key(engine, made)).idempotency_key == "payment-bought-2"
    assert (await renew_payment_key(engine, renewed[0])).idempotency_key == "payment-bought-3"
    with pytest.raises(UnknownPurchase):
        await renew_payment_key(engine, replace(made, operation_id="nothing"))


async def test_what_the_news_does_not_know_is_kept(engine: AsyncEngine) -> None:
    other = await buy_credits(engine, await open_user(engine), "other")
    made = await buy_credits(engine, await open_user(engine))
    charged = await record_payment(
        engine,
        PaymentNews("bought", PaymentState.PROCESSING, payment_method_id="pm_1", payment_intent_id="pi_1"),
    )
    assert charged == replace(made, state=PaymentState.PROCESSING, payment_method_id="pm_1", payment_intent_id="pi_1")
    paid = await record_payment(
        engine, PaymentNews("bought", PaymentState.PAID, receipt_url="https://r/", checkout_session_id="cs_1")
    )
    assert paid.closed_at is not None
    assert paid == replace(
        charged,
        state=PaymentState.PAID,
        receipt_url="https://r/",
        checkout_session_id="cs_1",
        closed_at=paid.closed_at,
    )
    # Said again, it is closed since then.
    assert await record_payment(engine, PaymentNews("bought", PaymentState.PAID)) == paid
    assert await find_payment_of_intent(engine, "pi_1") == paid
    assert await read_payment(engine, "other") == other


async def test_an_error_stands_until_the_payment_goes_through(engine: AsyncEngine) -> None:
    await buy_credits(engine, await open_user(engine))
    failed = await become(engine, "bought", PaymentState.FAILED, error="payment-declined", message="No.")
    assert (failed.error, failed.message) == ("payment-declined", "No.")
    for state in (PaymentState.FAILED, PaymentState.REQUIRES_ACTION, PaymentState.FAILED):
        again = await record_payment(engine, PaymentNews("bought", state, payment_intent_id="pi_1", url="/pay"))
        assert (again.error, again.message, again.url) == ("payment-declined", "No.", "/pay")
        assert (again.closed_at is None) == (state is PaymentState.REQUIRES_ACTION)
    paid = await record_payment(engine, PaymentNews("bought", PaymentState.SUCCEEDED))
    assert (paid.error, paid.message, paid.url, paid.closed_at) == (None, None, None, None)


async def test_news_that_is_told_again_opens_nothing_anew(engine: AsyncEngine) -> None:
    await buy_credits(engine, await open_user(engine))
    failed = await become(engine, "bought", PaymentState.FAILED, error="payment-declined", message="No.")
    again = await record_payment(engine, PaymentNews("bought", PaymentState.OPEN, payment_intent_id="pi_1"))
    assert again == replace(failed, payment_intent_id="pi_1")


async def test_a_method_that_is_never_to_be_tried_again_is_blocked_at_once(engine: AsyncEngine) -> None:
    account_id, stranger = await open_user(engine), await open_user(engine)
    for name, method in (("one", "pm_1"), ("two", "pm_2"), ("three", "pm_3")):
        await buy_credits(engine, account_id, name)
        await decline(engine, name, method, replace(DECLINE, never_again=method != "pm_2"))
    await buy_credits(engine, stranger, "other")
    assert await blocked_methods(engine, account_id) == BlockedMethods(["pm_1", "pm_3"])
    assert await blocked_methods(engine, stranger) == BlockedMethods([])
    # What the network has said once holds, whatever is said of the same payment later.
    await decline(engine, "one", "pm_1")
    assert await blocked_methods(engine, account_id) == BlockedMethods(["pm_1", "pm_3"])


async def test_ten_declines_in_thirty_days_block_a_method(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    for number in range(10):
        assert await blocked_methods(engine, account_id) == BlockedMethods([])
        await buy_credits(engine, account_id, f"no-{number}")
        await decline(engine, f"no-{number}", "pm_1")
        await buy_credits(engine, account_id, f"yes-{number}")
        await become(engine, f"yes-{number}", PaymentState.PAID, payment_method_id="pm_2")
    assert await blocked_methods(engine, account_id) == BlockedMethods(["pm_1"])
    await wait_out(database, "recorded_at", "29 days 23 hours", "no-1")
    assert await blocked_methods(engine, account_id) == BlockedMethods(["pm_1"])
    await wait_out(database, "recorded_at", "2 hours", "no-1")
    assert await blocked_methods(engine, account_id) == BlockedMethods([])


async def test_a_card_that_is_attached_anew_is_the_same_card(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    for number in range(10):
        assert await blocked_methods(engine, account_id) == BlockedMethods([])
        await buy_credits(engine, account_id, f"no-{number}")
        await decline(engine, f"no-{number}", f"pm_{number % 3}", fingerprint="visa")
        await buy_credits(engine, account_id, f"other-{number}")
        await become(engine, f"other-{number}", PaymentState.PAID, payment_method_fingerprint="amex")
    blocked = await blocked_methods(engine, account_id)
    assert blocked == BlockedMethods(["pm_0", "pm_1", "pm_2"], ["visa"])
    assert blocked.include(PaymentMethod("pm_new", "card", fingerprint="visa"))
    assert not blocked.include(PaymentMethod("pm_new", "card", fingerprint="amex"))
    assert not blocked.include(PaymentMethod("pm_new", "link"))


async def test_what_is_offered_is_priced_and_rounded_up(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    async with session(database.owner_url) as owner:
        await owner.execute("UPDATE accounts SET price_cents = 3, price_credits = 7, currency = 'eur'")
    offered = await purchase_options(engine, account_id)
    assert offered.currency == "eur"
    assert offered.presets == [(1_000, 429), (2_500, 1_072), (5_000, 2_143), (10_000, 4_286)]
    assert (await buy_credits(engine, account_id, credits=2_500)).amount_cents == 1_072
    with pytest.raises(UnknownAccount):
        await purchase_options(engine, NOBODY)


async def test_what_is_blocked_for_good_stays_so_for_ever(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await buy_credits(engine, account_id)
    await decline(engine, "bought", "pm_1", replace(DECLINE, never_again=True))
    await wait_out(database, "recorded_at", "3 years")
    assert await blocked_methods(engine, account_id) == BlockedMethods(["pm_1"])
    with pytest.raises(UnknownAccount):
        await blocked_methods(engine, "x")


async def test_an_accounts_payments_come_in_pages_newest_first(database: Database, engine: AsyncEngine) -> None:
    account_id, empty = await open_user(engine), await open_user(engine)
    for name in "abcde":
        await buy_credits(engine, account_id, name)
    async with session(database.owner_url) as owner:
        # Two that came at the same instant are told apart by their ids.
        await owner.execute(
            "UPDATE payments SET created_at = (SELECT created_at FROM payments WHERE operation_id = 'c') "
            "WHERE operation_id = 'b'"
        )
    seen: list[str] = []
    before = None
    for _ in range(3):
        page = await payments_of_account(engine, account_id, before=before, limit=2)
        seen += [payment.operation_id for payment in page]
        before = (page[-1].created_at, page[-1].operation_id)
    assert seen == ["e", "d", "c", "b", "a"]
    assert await payments_of_account(engine, account_id, before=before, limit=2) == []
    assert await payments_of_account(engine, empty, limit=2) == []


async def test_what_waits_is_looked_at_in_turn(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    quiet = timedelta(minutes=30)
    for number, state in enumerate(PaymentState):
        name = str(state)
        await buy_credits(engine, account_id, name)
        await become(engine, name, state)
        await wait_out(database, "changed_at", f"{40 - number} minutes", name)
    await buy_credits(engine, account_id, "new")

    async def take() -> list[str]:
        return [each.operation_id for each in await take_waiting_payments(engine, older_than=quiet, limit=3)]

    assert await take() == ["open", "requires-action", "processing"]
    assert await take() == ["succeeded"]
    assert await take() == []
    # Half an hour later it is the turn of whoever was not looked at since.
    await wait_out(database, "changed_at", "31 minutes")
    [first, *others] = await take()
    assert first == "new"
    assert sorted([*others, *await take()]) == ["open", "processing", "requires-action", "succeeded"]
