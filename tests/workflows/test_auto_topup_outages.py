"""AutoTopupWorkflow while Stripe is away, fails or forgets: never twice, never for nobody, never off for an outage."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from messages.payments import PaymentError, PaymentKind, PaymentState
from tests.workflows.payment_flow import WEBHOOK_PATIENCE, PaymentFlow
from tests.workflows.stripe_payments_fake import (
    BAD_CARD,
    GOOD_CARD,
    PROCESSES,
    does_it_and_fails,
    does_nothing_and_fails,
)

TOP_UP = 4600
# Longer than any pause between two tries.
SOON = timedelta(minutes=11)
# Those after unknown outcomes.
PAUSES = timedelta(seconds=10)


async def test_an_outage_of_six_hours_switches_nothing_off_and_charges_once(outage_money: PaymentFlow) -> None:
    outage_money.stripe.charges_away = True
    await outage_money.wants_top_up()
    await outage_money.until(lambda: outage_money.stripe.charges != [])
    await outage_money.pass_time(timedelta(hours=1))
    outage_money.stripe.away = True
    await outage_money.pass_time(timedelta(hours=5))
    outage_money.stripe.away = outage_money.stripe.charges_away = False
    await outage_money.until(lambda: outage_money.books.only.granted, after=SOON)
    assert outage_money.stripe.keys_used == [f"payment-{outage_money.books.only.operation_id}-1"]
    assert len(outage_money.stripe.intents) == 1
    assert outage_money.books.enabled
    assert outage_money.books.net == 5000


async def test_an_owner_who_switches_it_off_during_an_outage_is_not_charged(outage_money: PaymentFlow) -> None:
    outage_money.stripe.charges_away = True
    await outage_money.wants_top_up()
    await outage_money.until(lambda: outage_money.stripe.charges != [])
    outage_money.books.enabled = False
    await outage_money.pass_time(timedelta(minutes=15))
    outage_money.stripe.charges_away = False
    await outage_money.ends()
    assert outage_money.stripe.intents == {}
    payment = outage_money.books.only
    assert (payment.state, payment.error) == (PaymentState.FAILED, PaymentError.UNWANTED)
    assert outage_money.books.notices == {}


async def test_an_owner_who_switches_it_off_while_a_card_is_chosen_is_not_charged(outage_money: PaymentFlow) -> None:
    outage_money.stripe.away = True
    await outage_money.wants_top_up()
    await outage_money.until(lambda: outage_money.books.payments != [])
    await outage_money.pass_time(timedelta(minutes=2))
    outage_money.books.enabled = False
    outage_money.stripe.away = False
    await outage_money.pass_time(timedelta(minutes=1))
    await outage_money.ends()
    assert outage_money.stripe.charges == []
    assert outage_money.books.only.error == PaymentError.UNWANTED


async def test_who_waits_longer_than_a_request_may_is_told_that_it_is_under_way(outage_money: PaymentFlow) -> None:
    outage_money.stripe.away = True
    waiting = asyncio.create_task(outage_money.top_up())
    await outage_money.until(lambda: outage_money.books.payments != [])
    await outage_money.pass_time(timedelta(seconds=15))
    # Time was skipped; the caller has waited for twelve seconds of it.
    assert (await waiting).message == "The top-up is under way and takes longer."
    outage_money.stripe.away = False
    await outage_money.until(lambda: outage_money.books.only.granted, after=timedelta(minutes=1))


async def test_a_500_that_did_nothing_is_looked_for_and_tried_under_the_next_key(outage_money: PaymentFlow) -> None:
    outage_money.stripe.script = [does_nothing_and_fails, does_nothing_and_fails]
    await outage_money.wants_top_up()
    await outage_money.until(lambda: outage_money.stripe.looks == 1)
    await outage_money.until(lambda: outage_money.books.only.granted, after=PAUSES)
    stem = f"payment-{outage_money.books.only.operation_id}"
    assert outage_money.stripe.keys_used == [f"{stem}-1", f"{stem}-2", f"{stem}-3"]
    assert outage_money.stripe.looks == 2
    assert len(outage_money.stripe.intents) == 1


async def test_a_500_that_did_the_work_is_found_and_not_repeated(money: PaymentFlow) -> None:
    money.stripe.script = [does_it_and_fails]
    assert (await money.top_up()).added == TOP_UP
    assert len(money.stripe.charges) == money.stripe.looks == len(money.stripe.intents) == 1


async def test_an_unknown_outcome_that_was_a_decline_is_a_decline(money: PaymentFlow) -> None:
    money.stripe.methods = [BAD_CARD]
    money.stripe.script = [does_it_and_fails]
    assert (await money.top_up()).error == PaymentError.DECLINED
    assert not money.books.enabled
    assert len(money.stripe.charges) == 1


async def test_a_key_that_stripe_may_have_forgotten_is_not_used_before_a_look(outage_money: PaymentFlow) -> None:
    left = _left_open(outage_money, key_age=timedelta(hours=21))
    await outage_money.wants_top_up()
    await outage_money.until(lambda: outage_money.stripe.looks == 1)
    await outage_money.until(lambda: outage_money.books.only.granted, after=PAUSES)
    assert outage_money.stripe.looks == 1
    assert outage_money.stripe.keys_used == [f"payment-{left}-2"]


async def test_an_outage_longer_than_the_key_lives_ends_under_the_next_key(outage_money: PaymentFlow) -> None:
    left = _left_open(outage_money, key_age=timedelta(hours=19, minutes=55))
    outage_money.stripe.charges_away = True
    await outage_money.wants_top_up()
    await outage_money.until(lambda: outage_money.stripe.charges != [])
    await outage_money.pass_time(timedelta(minutes=10))
    outage_money.stripe.charges_away = False
    await outage_money.until(lambda: outage_money.books.only.granted, after=SOON)
    assert outage_money.stripe.keys_used == [f"payment-{left}-1", f"payment-{left}-2"]
    assert len(outage_money.stripe.intents) == 1


async def test_an_attempt_whose_run_was_lost_after_the_charge_is_carried_on_and_not_charged_again(
    long_money: PaymentFlow,
) -> None:
    long_money.stripe.cards[GOOD_CARD.payment_method_id] = PROCESSES
    await long_money.top_up()
    await long_money.until(lambda: long_money.books.only.state is PaymentState.PROCESSING)
    await long_money.handle.terminate("a lost workflow")
    long_money.stripe.becomes_paid()
    await long_money.wants_top_up()
    await long_money.until(lambda: long_money.books.only.state is PaymentState.PAID, after=WEBHOOK_PATIENCE)
    assert len(long_money.stripe.charges) == len(long_money.stripe.intents) == len(long_money.grants.grants) == 1


async def test_an_attempt_whose_run_was_lost_before_its_answer_is_carried_on_under_its_key(money: PaymentFlow) -> None:
    left = _left_open(money, key_age=timedelta(hours=1))
    assert (await money.top_up()).added == TOP_UP
    assert money.stripe.keys_used == [f"payment-{left}-1"]
    assert money.books.only.operation_id == left


def _left_open(money: PaymentFlow, *, key_age: timedelta) -> str:
    """An attempt that a run has stored, and perhaps tried, before it was lost."""
    left = money.books.new(f"auto-topup-{money.account_id}", PaymentKind.AUTO_TOPUP, TOP_UP, "auto-topup")
    money.books.put(replace(left, key_stored_at=left.key_stored_at - key_age, payment_method_id="pm_good"))
    return left.operation_id
