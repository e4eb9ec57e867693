"""Auto top-up: one attempt at a time, decided by what the account really has, and within its owner's limit."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import ConsumeOrder
from ledger.granting import process_and_grant_credit
from ledger.opening import Opening, find_account, open_account
from ledger.paying import read_payment, record_canceled
from ledger.rules.errors import IdempotencyConflict
from ledger.rules.topping_up import NoTopUp
from ledger.topping_up import find_crossings, read_auto_topup, switch_off
from messages.grants import GrantType
from messages.payments import (
    PaymentKind,
    PaymentState,
    SwitchOff,
    TopUpDecision,
    grant_order,
)
from tests.conftest import Database
from tests.store.holding import do, hold
from tests.store.paying import (
    RULE,
    ask,
    attempt,
    become,
    buy_credits,
    choose,
    topped_up_user,
    value_of,
)
from tests.store.support import assert_books_balance, count, grant, open_user, owe, repeats, session

HOUR = 3_600
LIMITED = replace(RULE, monthly_limit_cents=3_000)


async def to_the_reset(engine: AsyncEngine, account_id: str, *, seconds_after: int = 0) -> None:
    """Moves the clock to the account's next reset."""
    now = (await read_balance(engine, account_id)).now
    reset = (await find_account(engine, account_id)).next_reset
    await advance_test_clock(engine, int((reset - now).total_seconds()) + seconds_after)


async def spent(engine: AsyncEngine, account_id: str) -> int:
    """What counts against the limit of the running cycle, in cents."""
    return (await read_auto_topup(engine, account_id)).spent_cents


async def test_an_attempt_is_a_row_before_anybody_is_charged(database: Database, engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, credits=499)
    async with session(database.owner_url) as owner:
        await owner.execute("UPDATE accounts SET price_cents = 3, price_credits = 7, currency = 'eur'")
    now = (await read_balance(engine, account_id)).now
    made = await attempt(engine, account_id)
    assert (made.operation_id, made.account_id, made.kind) == ("topup-1", account_id, PaymentKind.AUTO_TOPUP)
    assert (made.state, made.credits, made.amount_cents, made.currency) == (PaymentState.OPEN, 1_501, 644, "eur")
    assert (made.idempotency_key, made.request_id, made.actor) == ("payment-topup-1-1", "r-1", "system")
    assert (made.granted, made.closed_at, made.payment_intent_id) == (False, None, None)
    assert timedelta() <= made.created_at - now < timedelta(minutes=1)
    assert made == await read_payment(engine, "topup-1")
    # Nothing is there yet but the claim on the id.
    assert (await read_balance(engine, account_id)).remaining == 499
    assert await value_of(database, "SELECT kind FROM operations WHERE operation_id = 'topup-1'") == "grant"
    await assert_books_balance(database)


async def test_however_many_ask_at_once_there_is_one_attempt(database: Database, engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine)
    engines = [engine, database.open_engine(), database.open_engine()]
    decisions = await asyncio.gather(*(ask(engines[n % 3], account_id, f"topup-{n}", needed=n) for n in range(20)))
    for opened in engines[1:]:
        await opened.dispose()
    assert len({decision.payment for decision in decisions}) == 1
    assert decisions[0].payment is not None
    assert (await count(database, "payments"), await count(database, "operations")) == (1, 1)


@pytest.mark.parametrize("state", ["open", "processing", "succeeded"])
async def test_the_database_lets_an_account_have_one_unsettled_attempt(
    database: Database, engine: AsyncEngine, state: str
) -> None:
    account_id = await topped_up_user(engine)
    await attempt(engine, account_id)
    another = (
        "INSERT INTO payments (operation_id, account_id, kind, credits, amount_cents, currency, idempotency_key, "
        "actor, request_id, state, payment_intent_id) "
        "VALUES ($1, $2::uuid, $3, 500, 500, 'usd', $1, '', '', $4, $1)"
    )
    async with session(database.app_url) as app:
        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await app.execute(another, "second", account_id, "auto-topup", state)
        await app.execute(another, "waits", account_id, "auto-topup", "requires-action")
        await app.execute(another, "bought", account_id, "purchase", state)
        await app.execute(another, "others", await topped_up_user(engine), "auto-topup", state)
    assert refused.value.constraint_name == "uq_payments_unsettled_top_up"


@pytest.mark.parametrize("state", [PaymentState.OPEN, PaymentState.PROCESSING, PaymentState.SUCCEEDED])
async def test_what_is_not_settled_is_carried_on(engine: AsyncEngine, state: PaymentState) -> None:
    account_id = await topped_up_user(engine)
    await attempt(engine, account_id)
    stands = await become(engine, "topup-1", state)
    for name in ("topup-1", "topup-2"):
        assert await ask(engine, account_id, name, needed=9_000) == TopUpDecision(stands)
    # Also where nobody wants another one any more: what was charged has to come to its end.
    await choose(engine, account_id, enabled=False)
    assert await ask(engine, account_id, "topup-3") == TopUpDecision(stands)


@pytest.mark.parametrize("state", [PaymentState.PAID, PaymentState.FAILED])
async def test_the_repeat_of_a_question_makes_no_second_attempt(
    database: Database, engine: AsyncEngine, state: PaymentState
) -> None:
    account_id = await topped_up_user(engine)
    await attempt(engine, account_id)
    await become(engine, "topup-1", state)
    assert await ask(engine, account_id) == TopUpDecision(None, NoTopUp.ENOUGH)
    assert await count(database, "payments") == 1
    assert (await attempt(engine, account_id, "topup-2")).credits == 2_000


async def test_nothing_else_may_use_the_id_of_an_attempt(database: Database, engine: AsyncEngine) -> None:
    account_id, other = await topped_up_user(engine), await open_user(engine)
    await grant(engine, account_id, "g", 10)
    await attempt(engine, account_id)
    with pytest.raises(IdempotencyConflict):
        await do(engine, ConsumeOrder(account_id, "topup-1", 5))
    for owner, grant_type in (
        (account_id, GrantType.ADMIN),
        (account_id, GrantType.PURCHASE),
        (other, GrantType.ADMIN),
    ):
        with pytest.raises(IdempotencyConflict):
            await grant(engine, owner, "topup-1", 1_990, grant_type)
    assert (await read_balance(engine, account_id)).remaining == 10
    await assert_books_balance(database)


async def test_an_attempt_does_not_take_an_id_that_is_used(database: Database, engine: AsyncEngine) -> None:
    account_id, other = await topped_up_user(engine, credits=10), await open_user(engine)
    await do(engine, ConsumeOrder(account_id, "spent", 5))
    await grant(engine, other, "granted", 5)
    for name in ("spent", "granted"):
        with pytest.raises(IdempotencyConflict):
            await ask(engine, account_id, name)
        # It could never be granted, so that nobody is charged for it; the next one is not kept waiting.
        given_up = await read_payment(engine, name)
        assert (given_up.state, given_up.error) == (PaymentState.FAILED, "idempotency-conflict")
    assert (await attempt(engine, account_id)).credits == 1_995


@pytest.mark.parametrize(
    ("state", "cents"),
    [
        (PaymentState.OPEN, 2_000),
        (PaymentState.PROCESSING, 2_000),
        (PaymentState.SUCCEEDED, 2_000),
        (PaymentState.PAID, 2_000),
        (PaymentState.REQUIRES_ACTION, 0),
        (PaymentState.FAILED, 0),
    ],
)
async def test_what_is_paid_or_under_way_counts_against_the_limit(
    engine: AsyncEngine, state: PaymentState, cents: int
) -> None:
    account_id = await topped_up_user(engine, rule=LIMITED)
    await buy_credits(engine, account_id)
    await become(engine, "bought", PaymentState.PAID)
    await attempt(engine, account_id)
    await become(engine, "topup-1", state)
    assert await spent(engine, account_id) == cents


async def test_the_limit_counts_from_reset_to_reset(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, rule=LIMITED)
    opened = (await find_account(engine, account_id)).created_at
    assert (await attempt(engine, account_id)).credits == 2_000
    await become(engine, "topup-1", PaymentState.PAID)
    # The credits were spent, say: nothing was granted. What is left of the limit is bought.
    assert (await attempt(engine, account_id, "topup-2")).credits == 1_000
    await become(engine, "topup-2", PaymentState.FAILED)
    await to_the_reset(engine, account_id, seconds_after=-60)
    assert await spent(engine, account_id) == 2_000
    await advance_test_clock(engine, 61)
    # The reset is due, and nobody has done it yet.
    shown = await read_auto_topup(engine, account_id)
    assert (shown.spent_cents, shown.cycle_start) == (0, (await find_account(engine, account_id)).next_reset)
    assert shown.cycle_start > opened
    assert (await attempt(engine, account_id, "topup-3")).credits == 2_000


async def test_at_the_limit_it_stays_on_and_pauses_until_the_next_cycle(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await topped_up_user(engine, rule=replace(RULE, monthly_limit_cents=2_499))
    await attempt(engine, account_id)
    await become(engine, "topup-1", PaymentState.PAID)
    reset = (await find_account(engine, account_id)).next_reset
    refused = await ask(engine, account_id, "topup-2")
    assert refused == TopUpDecision(
        None, NoTopUp.LIMIT_REACHED, error="auto-topup-limit-reached", subject=f"limit/{reset.isoformat()}"
    )
    shown = await read_auto_topup(engine, account_id)
    assert (shown.enabled, shown.not_before, shown.disabled_reason) == (True, reset, None)
    # Nobody tries before. The answer may be asked for again, since it was lost; the owner hears once of a subject.
    paused = replace(refused, reason=NoTopUp.NOT_YET)
    assert await ask(engine, account_id, "topup-2") == paused
    assert await find_crossings(engine, after=None, limit=10) == []
    await to_the_reset(engine, account_id, seconds_after=-60)
    assert await ask(engine, account_id, "topup-2", needed=600) == paused
    await advance_test_clock(engine, 61)
    assert (await read_auto_topup(engine, account_id)).not_before is None
    assert await find_crossings(engine, after=None, limit=10) == [account_id]
    assert (await attempt(engine, account_id, "topup-2")).credits == 2_000
    assert await count(database, "payments") == 2


async def test_new_settings_end_the_pause(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, rule=replace(RULE, monthly_limit_cents=499))
    assert (await ask(engine, account_id)).reason == NoTopUp.LIMIT_REACHED
    await choose(engine, account_id, replace(RULE, monthly_limit_cents=498))
    assert (await ask(engine, account_id)).reason == NoTopUp.LIMIT_REACHED
    assert (await ask(engine, account_id)).reason == NoTopUp.NOT_YET
    await choose(engine, account_id, replace(RULE, monthly_limit_cents=500))
    assert (await read_auto_topup(engine, account_id)).not_before is None
    assert (await attempt(engine, account_id)).credits == 500


async def test_who_is_off_or_never_chose_is_not_topped_up(database: Database, engine: AsyncEngine) -> None:
    account_id, never = await topped_up_user(engine), await open_user(engine)
    await switch_off(engine, SwitchOff(account_id, "auto-topup-declined", "No."))
    for each in (account_id, never):
        assert await ask(engine, each, needed=100) == TopUpDecision(None, NoTopUp.OFF)
    assert await count(database, "payments") == 0


async def test_what_has_expired_does_not_count_booked_or_not(database: Database, engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, credits=300)
    soon = (await read_balance(engine, account_id)).now + timedelta(hours=1)
    await grant(engine, account_id, "soon", 1_000, GrantType.REFERRAL, expires_at=soon)
    assert (await ask(engine, account_id)).reason == NoTopUp.ENOUGH
    await advance_test_clock(engine, HOUR)
    assert await value_of(database, "SELECT balance FROM accounts") == 1_300
    assert (await attempt(engine, account_id)).credits == 1_700
    await assert_books_balance(database)


async def test_a_hold_never_charges_a_card_and_a_request_it_leaves_unpaid_does(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, credits=1_000)
    await hold(engine, account_id, 900, ttl_seconds=600)
    assert await find_crossings(engine, after=None, limit=10) == []
    assert (await ask(engine, account_id)).reason == NoTopUp.ENOUGH
    assert (await ask(engine, account_id, needed=100)).reason == NoTopUp.ENOUGH
    # Net is 1,000: the target is 1,000 away, the request 101.
    assert (await attempt(engine, account_id, needed=101)).credits == 1_000


async def test_a_hold_whose_time_is_over_keeps_nothing_booked_or_not(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, credits=1_000)
    await hold(engine, account_id, 900, ttl_seconds=600)
    await advance_test_clock(engine, 601)
    assert (await ask(engine, account_id, needed=1_000)).reason == NoTopUp.ENOUGH
    assert (await attempt(engine, account_id, needed=2_500)).credits == 1_500


async def test_debt_is_paid_by_the_top_up_as_well(database: Database, engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine)
    await owe(database, account_id, 400)
    made = await attempt(engine, account_id, needed=100)
    assert made.credits == 2_400
    firm = (await open_account(engine, Opening(kind="organization", name="Acme"))).account.account_id
    await choose(engine, firm)
    await owe(database, firm, 100_001)
    assert (await attempt(engine, firm, "topup-2")).credits == 100_000


async def test_a_later_attempt_takes_the_place_of_one_that_waits_for_its_owner(engine: AsyncEngine) -> None:
    account_id, stranger = await topped_up_user(engine), await topped_up_user(engine)
    await attempt(engine, account_id)
    page = "https://example.org/"
    await become(engine, "topup-1", PaymentState.REQUIRES_ACTION, url=page, payment_intent_id="pi_1")
    await attempt(engine, stranger, "other")
    waits = await become(engine, "other", PaymentState.REQUIRES_ACTION, url=page, payment_intent_id="pi_2")
    bought = await buy_credits(engine, account_id)
    bought = await become(engine, "bought", PaymentState.REQUIRES_ACTION, url=page, payment_intent_id="pi_3")
    later = await attempt(engine, account_id, "topup-2")
    old = await read_payment(engine, "topup-1")
    assert (old.state, old.error, old.message) == (PaymentState.FAILED, "superseded", "A later top-up took its place.")
    assert (old.url, later.state) == (None, PaymentState.OPEN)
    assert old.closed_at is not None
    assert await read_payment(engine, "other") == waits
    assert await read_payment(engine, "bought") == bought
    # It is to be canceled at Stripe, until somebody says that it was.
    assert (await ask(engine, account_id, "topup-2")).superseded == ["pi_1"]
    assert (await ask(engine, account_id, "topup-3")).superseded == ["pi_1"]
    await record_canceled(engine, "pi_1")
    assert (await ask(engine, account_id, "topup-2")).superseded == []


async def test_a_top_up_that_is_not_made_leaves_what_waits_alone(engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, rule=replace(RULE, monthly_limit_cents=2_000))
    await attempt(engine, account_id)
    waits = await become(engine, "topup-1", PaymentState.REQUIRES_ACTION)
    await choose(engine, account_id, replace(RULE, monthly_limit_cents=0))
    assert (await ask(engine, account_id, "topup-2")).reason == NoTopUp.LIMIT_REACHED
    assert await read_payment(engine, "topup-1") == waits


async def test_the_credits_of_an_attempt_are_granted_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await topped_up_user(engine, credits=100)
    made = await attempt(engine, account_id)
    order = grant_order(made, "pi_1")
    assert (order.description, order.type) == ("Auto top-up", GrantType.PURCHASE)
    outcomes = await asyncio.gather(*(process_and_grant_credit(engine, order) for _ in range(5)))
    assert sorted(outcome.created for outcome in outcomes) == [False, False, False, False, True]
    assert (await read_balance(engine, account_id)).net == 2_000
    assert (await read_payment(engine, "topup-1")).granted
    await assert_books_balance(database)


async def test_strangers_who_top_up_buy_and_are_granted_credits_never_conflict(
    database: Database, engine: AsyncEngine
) -> None:
    """Small tables are the hard case: all of an index is on one page, and a predicate lock there covers everybody."""
    ids = [await topped_up_user(engine, name=f"user {number}") for number in range(9)]
    before = repeats()

    async def live(account_id: str, number: int) -> None:
        for n in range(12):
            name = f"{account_id}-{n}"
            if number % 3 == 0:
                await buy_credits(engine, account_id, name)
            elif number % 3 == 1:
                await grant(engine, account_id, name, 5, GrantType.PURCHASE)
            else:
                await attempt(engine, account_id, name)
                await become(engine, name, PaymentState.PAID)

    await asyncio.gather(*(live(account_id, number) for number, account_id in enumerate(ids)))
    assert repeats() == before
    await assert_books_balance(database)


async def test_only_who_is_below_and_waits_for_nobody_is_found(database: Database, engine: AsyncEngine) -> None:
    below = await topped_up_user(engine, credits=499)
    owing = await topped_up_user(engine, rule=replace(RULE, threshold=0))
    await owe(database, owing, 5)
    await topped_up_user(engine, credits=500)
    off = await topped_up_user(engine)
    await switch_off(engine, SwitchOff(off, "auto-topup-declined", "No."))
    await open_user(engine)
    await attempt(engine, await topped_up_user(engine), "under-way")
    waiting = await topped_up_user(engine)
    await attempt(engine, waiting, "waits")
    await become(engine, "waits", PaymentState.REQUIRES_ACTION)
    held = await topped_up_user(engine, credits=500)
    await hold(engine, held, 400)
    assert await find_crossings(engine, after=None, limit=10) == sorted([below, owing, waiting])


async def test_crossings_come_in_pages(engine: AsyncEngine) -> None:
    ids = sorted([await topped_up_user(engine, name=f"user {number}") for number in range(5)])
    assert await find_crossings(engine, after=None, limit=2) == ids[:2]
    assert await find_crossings(engine, after=ids[1], limit=2) == ids[2:4]
    assert await find_crossings(engine, after=ids[3], limit=2) == ids[4:]
    assert await find_crossings(engine, after=ids[4], limit=2) == []
