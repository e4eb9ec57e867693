"""PurchaseWorkflow against fakes: by the saved card, on a hosted page, and never for who has gone."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from gateways.temporal.answers import FlowRefused
from messages.failures import Failure
from messages.payments import NoticeKind, Payment, PaymentError, PaymentState, PaymentStatus
from tests.workflows.clock import REAL_POLL_SECONDS
from tests.workflows.payment_flow import REAL_SECONDS, PaymentFlow
from tests.workflows.stripe_payments_fake import (
    BAD_CARD,
    DECLINES,
    GOOD_CARD,
    NO,
    PROCESSES,
    REDIRECTS,
    SUCCEEDS,
    WANTS_AUTHENTICATION,
    does_nothing_and_fails,
)

HOUR = timedelta(hours=1, seconds=2)
# Just longer than the first pause after which an open page is looked at.
FIRST_LOOK = timedelta(seconds=32)
# Longer than an outage is waited for, with the looks after it.
GIVEN_UP = timedelta(minutes=10, seconds=35)


async def test_paid_with_the_saved_card(money: PaymentFlow) -> None:
    payment = await money.buy()
    assert (payment.state, payment.granted, payment.payment_method_id) == (PaymentState.PAID, True, "pm_good")
    await money.ends()
    assert [grant.principal for grant in money.grants.grants.values()] == [2000]
    (notice,) = money.books.notices.values()
    assert (notice.kind, notice.message) == (NoticeKind.PURCHASE_PAID, "You bought 2,000 credits for 20.00 USD.")
    (charge,) = money.stripe.charges
    assert not charge.off_session
    assert charge.return_url == f"/payments/{payment.operation_id}/done"


async def test_without_a_card_it_is_paid_on_a_hosted_page(money: PaymentFlow) -> None:
    money.stripe.methods = []
    payment = await money.buy()
    assert (payment.state, payment.url) == (PaymentState.REQUIRES_ACTION, "https://checkout.stripe.example/cs_1")
    assert money.grants.grants == {}
    money.stripe.pay_page()
    await money.webhook(payment)
    await money.ends()
    assert (money.books.only.state, money.books.only.payment_intent_id) == (PaymentState.PAID, "pi_1")
    assert money.books.net == 2400
    assert money.stripe.charges == []


async def test_a_hosted_page_that_is_paid_without_a_webhook_is_found(long_money: PaymentFlow) -> None:
    long_money.stripe.methods = []
    await long_money.buy()
    long_money.stripe.pay_page()
    await long_money.until(lambda: long_money.books.only.state is PaymentState.PAID, after=FIRST_LOOK)


async def test_a_hosted_page_is_looked_at_less_and_less_often_and_nobody_who_tells_of_nothing_changes_that(
    long_money: PaymentFlow,
) -> None:
    long_money.stripe.methods = []
    payment = await long_money.buy()
    for told in range(3):
        await _has_paused(long_money, times=told + 1)
        await long_money.webhook(payment)
    assert await _has_paused(long_money, times=4) == [30, 30, 30, 30]
    await long_money.pass_time(timedelta(hours=5))
    pauses = (await _has_paused(long_money, times=13))[4:13]
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


async def test_a_webhook_of_a_hosted_page_whose_run_was_lost_grants_at_once(money: PaymentFlow) -> None:
    money.stripe.methods = []
    payment = await money.buy()
    await money.handle.terminate("a lost workflow")
    money.stripe.pay_page()
    await money.late_webhook(payment)
    # No time passes.
    await money.ends()
    assert money.books.only.state is PaymentState.PAID
    assert len(money.grants.grants) == 1


async def test_a_hosted_page_that_expires_is_told_and_nothing_was_charged(long_money: PaymentFlow) -> None:
    long_money.stripe.methods = []
    await long_money.buy()
    long_money.stripe.expire_page()
    await long_money.until(lambda: long_money.books.only.state is PaymentState.FAILED, after=HOUR)
    await long_money.ends()
    assert long_money.books.only.error == PaymentError.PURCHASE_ABANDONED
    (notice,) = long_money.books.told(NoticeKind.PURCHASE_FAILED)
    assert notice.error == PaymentError.PURCHASE_ABANDONED


async def test_a_bank_that_takes_its_time_keeps_nobody_waiting_and_pays_later(long_money: PaymentFlow) -> None:
    await _processing(long_money)
    assert long_money.grants.grants == {}
    await long_money.pass_time(timedelta(hours=6))
    long_money.stripe.becomes_paid()
    await long_money.webhook(long_money.books.only)
    await long_money.ends()
    assert long_money.books.only.state is PaymentState.PAID
    assert long_money.books.net == 2400


async def test_a_bank_that_takes_its_time_and_says_no_gives_nothing(money: PaymentFlow) -> None:
    await _processing(money)
    money.stripe.becomes(PaymentStatus.DECLINED, decline=NO)
    await money.webhook(money.books.only, failed=True)
    await money.ends()
    assert money.books.only.error == PaymentError.PURCHASE_DECLINED
    assert money.grants.grants == {}
    assert money.books.enabled


async def test_whoever_asks_again_while_the_bank_takes_its_time_is_answered(money: PaymentFlow) -> None:
    payment = await _processing(money)
    await money.until(lambda: money.books.only.state is PaymentState.PROCESSING)
    await money.handle.terminate("a lost workflow")
    await money.late_webhook(payment)
    assert (await money.authenticate(payment)).state is PaymentState.PROCESSING


async def test_a_decline_is_told_with_its_message(money: PaymentFlow) -> None:
    money.stripe.methods = [BAD_CARD]
    payment = await money.buy()
    assert (payment.state, payment.error) == (PaymentState.FAILED, PaymentError.PURCHASE_DECLINED)
    assert payment.message == (
        "The payment of 2,000 credits for 20.00 USD was declined: Your card was declined. Nothing was charged; use "
        "another card."
    )
    await money.ends()
    assert len(money.books.told(NoticeKind.PURCHASE_FAILED)) == 1
    assert money.books.enabled


async def test_an_authentication_is_asked_for_and_then_it_is_paid(money: PaymentFlow) -> None:
    money.stripe.cards[GOOD_CARD.payment_method_id] = REDIRECTS
    payment = await money.buy()
    assert (payment.state, payment.url) == (
        PaymentState.REQUIRES_ACTION,
        "https://hooks.stripe.example/authenticate",
    )
    money.stripe.becomes_paid()
    await money.webhook(payment)
    await money.ends()
    assert money.books.only.state is PaymentState.PAID
    assert money.books.net == 2400


async def test_an_outage_of_the_charge_fails_it_after_a_look(long_money: PaymentFlow) -> None:
    long_money.stripe.charges_away = True
    waiting = await _begins(long_money)
    await long_money.until(lambda: long_money.stripe.charges != [])
    await long_money.until(lambda: long_money.books.only.state is PaymentState.FAILED, after=GIVEN_UP)
    await long_money.ends()
    assert long_money.books.only.error == PaymentError.PURCHASE_OUTAGE
    assert long_money.stripe.looks == 1
    assert long_money.stripe.intents == {}
    assert (await waiting).error == PaymentError.PURCHASE_OUTAGE


async def test_an_outage_before_the_charge_fails_it_and_nobody_is_charged_when_it_ends(
    long_money: PaymentFlow,
) -> None:
    long_money.stripe.away = True
    waiting = await _begins(long_money)
    await long_money.until(lambda: long_money.books.payments != [])
    await long_money.until(lambda: long_money.books.only.state is PaymentState.FAILED, after=GIVEN_UP)
    long_money.stripe.away = False
    await long_money.ends()
    assert long_money.stripe.charges == []
    assert (await waiting).error == PaymentError.PURCHASE_OUTAGE


async def test_a_payment_that_was_given_up_and_that_stripe_made_all_the_same_gives_its_credits(
    long_money: PaymentFlow,
) -> None:
    long_money.stripe.charges_away = True
    waiting = await _begins(long_money)
    await long_money.until(lambda: long_money.stripe.charges != [])
    await long_money.until(lambda: long_money.books.only.state is PaymentState.FAILED, after=GIVEN_UP)
    await waiting
    await long_money.ends()
    long_money.stripe.make(long_money.stripe.charges[0])
    await long_money.late_webhook(long_money.books.only)
    await long_money.until(lambda: long_money.books.only.state is PaymentState.PAID)
    assert long_money.books.net == 2400


async def test_a_500_that_did_nothing_is_tried_under_the_next_key(long_money: PaymentFlow) -> None:
    long_money.stripe.script = [does_nothing_and_fails]
    waiting = await _begins(long_money)
    await long_money.until(lambda: long_money.stripe.looks == 1)
    await long_money.pass_time(timedelta(seconds=10))
    assert (await waiting).state is PaymentState.PAID
    assert len(long_money.stripe.keys_used) == 2


async def test_a_payment_that_fails_after_it_was_paid_is_taken_back_once(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.stripe.becomes(PaymentStatus.DECLINED)
    for _ in range(2):
        await money.late_webhook(payment, failed=True)
        await money.ends()
    assert (money.books.only.state, money.books.only.error) == (PaymentState.FAILED, PaymentError.REVERSED)
    assert "2,000 credits were taken back." in str(money.books.only.message)
    assert money.books.booked["pi_1"].changes == 1
    assert money.books.net == 400
    assert not money.books.enabled


async def test_a_refused_order_fails_benignly_and_writes_nothing(money: PaymentFlow) -> None:
    money.books.refusal = ApplicationError(
        "The id was used for something else.",
        {"operation_id": "x"},
        type=Failure.IDEMPOTENCY_CONFLICT,
        non_retryable=True,
    )
    with pytest.raises(FlowRefused) as told:
        await money.buy()
    assert told.value.failure == Failure.IDEMPOTENCY_CONFLICT
    assert told.value.details == {"operation_id": "x", "request_id": "request-1"}
    with pytest.raises(WorkflowFailureError):
        await money.ends()
    assert money.books.payments == []


async def test_the_owner_authenticates_a_top_up_and_gets_the_credits_of_the_same_attempt(money: PaymentFlow) -> None:
    waits = await _waiting_top_up(money)
    asked = await money.authenticate(waits)
    assert asked.url == "https://hooks.stripe.example/authenticate"
    (authentication,) = money.stripe.authentications
    assert (authentication.payment_intent_id, authentication.payment_method_id) == ("pi_1", "pm_good")
    money.stripe.becomes_paid()
    await money.webhook(money.books.only)
    await money.ends()
    assert (money.books.only.state, money.books.only.operation_id) == (PaymentState.PAID, waits.operation_id)
    assert len(money.stripe.charges) == len(money.grants.grants) == 1
    # Nothing but the owner's own word switches it on.
    assert not money.books.enabled


async def test_an_authentication_that_needs_no_page_gives_the_credits_at_once(money: PaymentFlow) -> None:
    waits = await _waiting_top_up(money)
    money.stripe.on_session = SUCCEEDS
    assert (await money.authenticate(waits)).url is None
    await money.ends()
    assert money.books.only.state is PaymentState.PAID


async def test_an_authentication_that_fails_leaves_it_to_the_owner_to_try_again(money: PaymentFlow) -> None:
    waits = await _waiting_top_up(money)
    money.stripe.on_session = DECLINES
    await money.authenticate(waits)
    await money.until(lambda: money.stripe.asked >= 2)
    assert (money.books.only.state, money.books.only.error) == (
        PaymentState.REQUIRES_ACTION,
        PaymentError.AUTHENTICATION_REQUIRED,
    )
    assert money.books.only.url == waits.url
    money.stripe.on_session = REDIRECTS
    assert (await money.authenticate(money.books.only)).url == "https://hooks.stripe.example/authenticate"
    keys = [each.idempotency_key for each in money.stripe.authentications]
    assert len(set(keys)) == 2


async def test_a_top_up_whose_place_was_taken_is_not_revived(money: PaymentFlow) -> None:
    waits = await _waiting_top_up(money)
    money.books.switch_on()
    money.stripe.cards[GOOD_CARD.payment_method_id] = SUCCEEDS
    assert (await money.top_up()).added == 4600
    await money.late_webhook(waits, failed=True)
    await money.ends()
    taken = money.books.payments[0]
    assert (taken.state, taken.error) == (PaymentState.FAILED, PaymentError.SUPERSEDED)
    assert not taken.granted


async def test_a_top_up_that_was_canceled_at_stripe_waits_for_nobody(money: PaymentFlow) -> None:
    waits = await _waiting_top_up(money)
    money.stripe.becomes(PaymentStatus.CANCELED)
    await money.late_webhook(waits, failed=True)
    await money.ends()
    assert money.books.only.state is PaymentState.FAILED
    assert len(money.books.notices) == 1


async def _begins(money: PaymentFlow) -> asyncio.Task[Payment]:
    """A caller waits however long it takes."""
    waiting = asyncio.create_task(money.buy_patiently())
    await money.until(lambda: money.books.payments != [])
    return waiting


async def _has_paused(money: PaymentFlow, *, times: int) -> list[float]:
    """How long the workflow has waited each time for its owner, in seconds, once it has begun to so often."""
    async with asyncio.timeout(REAL_SECONDS):
        while True:
            history = await money.handle.fetch_history()
            timers = [each for each in history.events if each.HasField("timer_started_event_attributes")]
            pauses = [each.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta() for each in timers]
            if len(pauses) >= times:
                return [pause.total_seconds() for pause in pauses]
            await asyncio.sleep(REAL_POLL_SECONDS)


async def _processing(money: PaymentFlow) -> Payment:
    money.stripe.cards[GOOD_CARD.payment_method_id] = PROCESSES
    payment = await money.buy()
    assert payment.state is PaymentState.PROCESSING
    await money.until(lambda: money.books.only.state is PaymentState.PROCESSING)
    return payment


async def _waiting_top_up(money: PaymentFlow) -> Payment:
    """An auto top-up whose bank wants to see the cardholder."""
    money.stripe.cards[GOOD_CARD.payment_method_id] = WANTS_AUTHENTICATION
    assert (await money.top_up()).error == PaymentError.AUTHENTICATION_REQUIRED
    await money.ends()
    assert money.books.only.state is PaymentState.REQUIRES_ACTION
    return money.books.only
