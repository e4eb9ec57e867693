"""AutoTopupWorkflow against fakes: one charge, one grant, told once; and what switches it off."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from messages.payments import (
    NoticeKind,
    Payment,
    PaymentError,
    PaymentState,
    PaymentStatus,
    TopUpDemand,
    TopUpOutcome,
)
from tests.workflows.payment_flow import WEBHOOK_PATIENCE, PaymentFlow
from tests.workflows.stripe_payments_fake import (
    BAD_CARD,
    GOOD_CARD,
    PROCESSES,
    REDIRECTS,
    SUCCEEDS,
    WANTS_AUTHENTICATION,
    brings_less,
    refuses,
)

# What the fake account wants: from 400 credits to 5,000.
TOP_UP = 4600


async def test_one_charge_one_grant_and_paid_when_the_webhook_has_come(money: PaymentFlow) -> None:
    await money.wants_top_up()
    await money.until(lambda: money.books.payments != [] and money.books.only.state is PaymentState.SUCCEEDED)
    await money.webhook(money.books.only)
    await money.ends()
    payment = money.books.only
    assert (payment.state, payment.credits, payment.amount_cents) == (PaymentState.PAID, TOP_UP, TOP_UP)
    assert payment.receipt_url is not None
    assert money.stripe.keys_used == [f"payment-{payment.operation_id}-1"]
    assert [(grant.principal, grant.operation_id) for grant in money.grants.grants.values()] == [
        (TOP_UP, payment.operation_id)
    ]
    (notice,) = money.books.notices.values()
    assert (notice.kind, notice.credits) == (NoticeKind.AUTO_TOPUP_ADDED, TOP_UP)
    assert money.books.enabled


async def test_without_a_webhook_stripe_is_asked(long_money: PaymentFlow) -> None:
    await long_money.wants_top_up()
    await long_money.until(
        lambda: long_money.books.payments != [] and long_money.books.only.state is PaymentState.SUCCEEDED
    )
    await long_money.until(lambda: long_money.books.only.state is PaymentState.PAID, after=WEBHOOK_PATIENCE)
    assert long_money.stripe.asked == 1


async def test_a_webhook_that_overtakes_the_charges_answer_is_not_lost(money: PaymentFlow) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[None]] = []

    async def overtake() -> None:
        await money.webhook(money.books.only)
        told.set()

    money.stripe.on_charge = lambda _: tasks.append(loop.create_task(overtake()))
    await money.wants_top_up()
    await told.wait()
    # No time passes.
    await money.ends()
    assert money.books.only.state is PaymentState.PAID


async def test_a_request_is_answered_when_the_credits_are_there_and_not_when_they_are_confirmed(
    money: PaymentFlow,
) -> None:
    assert await money.top_up(TopUpDemand(needed=600, request_id="consume-1")) == TopUpOutcome(added=TOP_UP)
    assert money.books.only.request_id == "consume-1"
    assert money.books.only.state in (PaymentState.OPEN, PaymentState.SUCCEEDED)
    await money.until(lambda: money.books.only.state is PaymentState.SUCCEEDED)


async def test_twenty_requests_at_once_share_one_charge(money: PaymentFlow) -> None:
    outcomes = await asyncio.gather(*(money.top_up(TopUpDemand(needed=200)) for _ in range(20)))
    assert {outcome.error for outcome in outcomes} == {None}
    assert TopUpOutcome(added=TOP_UP) in outcomes
    assert len(money.stripe.intents) == len(money.books.payments) == len(money.grants.grants) == 1


async def test_what_waits_together_is_bought_together(money: PaymentFlow) -> None:
    money.books.base = 3000
    demand = TopUpDemand(needed=2500, others=[1000, 3000])
    assert await money.top_up(demand) == TopUpOutcome(added=3500)
    assert money.books.only.credits == 3500


async def test_nothing_to_do_is_answered_with_the_reason(money: PaymentFlow) -> None:
    money.books.base = 3000
    outcome = await money.top_up()
    assert outcome == TopUpOutcome(message="the balance is not below the threshold")
    await money.ends()
    assert money.books.payments == []
    assert money.stripe.charges == []


async def test_a_request_that_needs_more_than_there_is_gets_it_though_the_threshold_is_not_reached(
    money: PaymentFlow,
) -> None:
    money.books.base = 3000
    assert await money.top_up(TopUpDemand(needed=3500)) == TopUpOutcome(added=2000)


async def test_at_the_limit_the_owner_is_told_once_and_it_stays_on(money: PaymentFlow) -> None:
    money.books.rule = replace(money.books.rule, monthly_limit_cents=100)
    for _ in range(3):
        outcome = await money.top_up()
        assert outcome.error == PaymentError.LIMIT_REACHED
    await money.ends()
    assert money.failures() == [PaymentError.LIMIT_REACHED]
    assert money.books.enabled
    assert money.stripe.charges == []


async def test_without_a_usable_method_it_goes_off_and_nothing_is_charged(money: PaymentFlow) -> None:
    money.stripe.methods = [BAD_CARD]
    money.books.blocked = [BAD_CARD.payment_method_id]
    outcome = await money.top_up()
    assert outcome.error == PaymentError.NO_PAYMENT_METHOD
    for _ in range(3):
        assert (await money.top_up()).message == "auto top-up is off"
    assert money.failures() == [PaymentError.NO_PAYMENT_METHOD]
    assert money.books.off_because is not None
    assert money.stripe.charges == []


async def test_a_decline_switches_it_off_with_the_reason(money: PaymentFlow) -> None:
    money.stripe.methods = [BAD_CARD]
    outcome = await money.top_up()
    assert outcome.error == PaymentError.DECLINED
    assert "Your card was declined." in outcome.message
    await money.ends()
    payment = money.books.only
    assert (payment.state, payment.error, payment.payment_intent_id) == (
        PaymentState.FAILED,
        PaymentError.DECLINED,
        "pi_1",
    )
    assert money.books.off_because is not None
    assert money.books.off_because.error == PaymentError.DECLINED
    assert money.grants.grants == {}


async def test_a_card_that_always_declines_is_charged_once_until_the_owner_acts(long_money: PaymentFlow) -> None:
    long_money.stripe.methods = [BAD_CARD]
    for _ in range(30):
        await long_money.wants_top_up()
        assert (await long_money.top_up(TopUpDemand(needed=600))).added == 0
        await long_money.ends()
        await long_money.pass_time(timedelta(days=1))
    assert len(long_money.stripe.charges) == 1
    assert long_money.failures() == [PaymentError.DECLINED]
    long_money.stripe.methods = [GOOD_CARD]
    assert (await long_money.top_up(TopUpDemand(needed=600))).added == 0
    long_money.books.switch_on()
    assert (await long_money.top_up(TopUpDemand(needed=600))).added == TOP_UP
    assert len(long_money.stripe.charges) == 2


async def test_a_charge_that_stripe_refuses_as_such_switches_it_off(money: PaymentFlow) -> None:
    money.stripe.script = [refuses]
    outcome = await money.top_up()
    assert outcome.error == PaymentError.DECLINED
    assert "No such customer" in outcome.message
    assert not money.books.enabled


async def test_a_needed_authentication_gives_no_credits_and_offers_the_owner_where_to_go(money: PaymentFlow) -> None:
    money.stripe.cards[GOOD_CARD.payment_method_id] = WANTS_AUTHENTICATION
    outcome = await money.top_up()
    assert outcome.error == PaymentError.AUTHENTICATION_REQUIRED
    await money.ends()
    payment = money.books.only
    assert (payment.state, payment.payment_intent_id) == (PaymentState.REQUIRES_ACTION, "pi_1")
    assert payment.url == f"https://grantflow.example/payments/{payment.operation_id}/authenticate"
    (notice,) = money.books.notices.values()
    assert (notice.error, notice.action_url) == (PaymentError.AUTHENTICATION_REQUIRED, payment.url)
    assert not money.books.enabled
    assert money.grants.grants == {}


async def test_a_redirect_that_nobody_is_there_for_is_a_needed_authentication(money: PaymentFlow) -> None:
    money.stripe.cards[GOOD_CARD.payment_method_id] = REDIRECTS
    for _ in range(3):
        assert (await money.top_up()).added == 0
    await money.ends()
    assert len(money.stripe.charges) == 1
    assert money.failures() == [PaymentError.AUTHENTICATION_REQUIRED]
    assert money.books.only.state is PaymentState.REQUIRES_ACTION


async def test_processing_gives_the_credits_at_once_and_succeeds_later(long_money: PaymentFlow) -> None:
    long_money.stripe.cards[GOOD_CARD.payment_method_id] = PROCESSES
    assert (await long_money.top_up()).added == TOP_UP
    await long_money.until(lambda: long_money.books.only.state is PaymentState.PROCESSING)
    await long_money.pass_time(timedelta(hours=6))
    long_money.stripe.becomes_paid()
    await long_money.webhook(long_money.books.only)
    await long_money.until(lambda: long_money.books.only.state is PaymentState.PAID, after=WEBHOOK_PATIENCE)
    assert long_money.books.net == 5000
    assert len(long_money.books.notices) == 1


async def test_processing_that_fails_takes_everything_back_and_switches_it_off(money: PaymentFlow) -> None:
    money.stripe.cards[GOOD_CARD.payment_method_id] = PROCESSES
    assert (await money.top_up()).added == TOP_UP
    money.books.spent = 1000
    await money.until(lambda: money.books.only.state is PaymentState.PROCESSING)
    money.stripe.becomes(PaymentStatus.DECLINED)
    await money.webhook(money.books.only, failed=True)
    await money.ends()
    _was_taken_back(money)
    assert "3,600 credits were taken back, and 1,000 that were spent are owed" in str(money.books.only.message)


async def test_succeeded_that_fails_after_all_takes_everything_back(long_money: PaymentFlow) -> None:
    assert (await long_money.top_up()).added == TOP_UP
    await long_money.until(lambda: long_money.books.only.state is PaymentState.SUCCEEDED)
    long_money.stripe.becomes(PaymentStatus.DECLINED)
    long_money.books.lost_answers = 1
    await long_money.until(lambda: long_money.books.only.state is PaymentState.FAILED, after=WEBHOOK_PATIENCE)
    await long_money.ends()
    _was_taken_back(long_money)
    assert "4,600 credits were taken back." in str(long_money.books.only.message)


async def test_a_payment_that_brings_less_gives_no_credits_and_is_told(money: PaymentFlow) -> None:
    money.stripe.script = [brings_less]
    outcome = await money.top_up()
    assert outcome.error == PaymentError.WRONG_AMOUNT
    await money.ends()
    assert money.failures() == [PaymentError.WRONG_AMOUNT]
    assert "brought 23.00 USD and not 46.00 USD" in outcome.message
    assert money.grants.grants == {}
    assert money.books.only.payment_intent_id == "pi_1"


async def test_a_request_after_the_credits_waits_for_no_webhook_and_gets_its_own_top_up(money: PaymentFlow) -> None:
    assert (await money.top_up()).added == TOP_UP
    await money.until(lambda: money.books.only.state is PaymentState.SUCCEEDED)
    money.books.base = -4000
    # Whoever does not wait for it is no reason to ask Stripe before its webhook has come.
    await money.wants_top_up()
    assert money.stripe.asked == 0
    assert (await money.top_up(TopUpDemand(needed=1200))).added == 4400
    assert money.stripe.asked == 1
    assert money.books.payments[0].state is PaymentState.PAID
    assert len(money.stripe.charges) == 2


async def test_while_a_bank_takes_its_time_requests_are_told_so_at_once(money: PaymentFlow) -> None:
    money.stripe.cards[GOOD_CARD.payment_method_id] = PROCESSES
    assert (await money.top_up()).added == TOP_UP
    await money.until(lambda: money.books.only.state is PaymentState.PROCESSING)
    money.books.base = -4000
    # No time passes.
    outcomes = [await money.top_up(TopUpDemand(needed=1200)) for _ in range(3)]
    assert {(outcome.added, outcome.error) for outcome in outcomes} == {(0, None)}
    assert "bank has not answered" in outcomes[0].message
    assert len(money.stripe.charges) == 1
    money.stripe.becomes_paid()
    await money.webhook(money.books.only)
    await money.until(lambda: money.books.payments[0].state is PaymentState.SUCCEEDED)
    money.stripe.cards[GOOD_CARD.payment_method_id] = SUCCEEDS
    assert (await money.top_up(TopUpDemand(needed=1200))).added == 4400
    assert money.books.payments[0].state is PaymentState.PAID


async def _waits_for_its_owner(money: PaymentFlow) -> Payment:
    """A top-up that nobody has authenticated; its owner has switched auto top-up on again, with a good card."""
    money.stripe.cards[GOOD_CARD.payment_method_id] = WANTS_AUTHENTICATION
    assert (await money.top_up()).error == PaymentError.AUTHENTICATION_REQUIRED
    await money.ends()
    money.stripe.cards[GOOD_CARD.payment_method_id] = SUCCEEDS
    money.books.switch_on()
    return money.books.only


async def test_a_top_up_whose_place_is_taken_can_be_paid_no_more(money: PaymentFlow) -> None:
    before = await _waits_for_its_owner(money)
    assert (await money.top_up()).added == TOP_UP
    assert money.stripe.intents[str(before.payment_intent_id)].status is PaymentStatus.CANCELED
    assert money.books.to_cancel == []
    assert len(money.grants.grants) == 1
    # Once, though the first try was of unknown outcome.
    money.books.base = -4000
    assert (await money.top_up()).added == 4400
    assert money.stripe.canceled == [f"cancel-{before.payment_intent_id}-{number}" for number in (1, 2)]


async def test_where_it_was_paid_before_nothing_more_is_charged(money: PaymentFlow) -> None:
    before = await _waits_for_its_owner(money)
    money.stripe.becomes_paid()
    outcome = await money.top_up(TopUpDemand(needed=600))
    assert (outcome.added, outcome.error) == (0, None)
    assert "paid after all" in outcome.message
    await money.until(lambda: money.books.net == 5000)
    paid, aside = money.books.payments
    assert paid.operation_id == before.operation_id
    await money.until(lambda: money.books.payments[0].state is PaymentState.PAID)
    assert (aside.state, aside.error) == (PaymentState.FAILED, PaymentError.SUPERSEDED)
    assert len(money.stripe.charges) == 1
    assert money.books.enabled


async def test_a_payment_that_was_disputed_before_it_was_confirmed_is_looked_at(money: PaymentFlow) -> None:
    assert (await money.top_up()).added == TOP_UP
    await money.until(lambda: money.books.only.state is PaymentState.SUCCEEDED)
    money.stripe.becomes(PaymentStatus.SUCCEEDED, disputed=True)
    money.stands(money.books.only, disputed=True)
    await money.webhook(money.books.only)
    await money.ends()
    await money.until(lambda: money.books.told(NoticeKind.PAYMENT_REVERSED) != [])
    assert money.books.booked["pi_1"].frozen_credits == TOP_UP
    assert not money.books.enabled


def _was_taken_back(money: PaymentFlow) -> None:
    payment, booked = money.books.only, money.books.booked["pi_1"]
    assert (payment.state, payment.error) == (PaymentState.FAILED, PaymentError.REVERSED)
    assert (booked.reversed_credits, booked.changes, money.books.net) == (TOP_UP, 1, 400)
    assert booked.target.reversed_cents == booked.target.paid_cents == TOP_UP
    assert money.books.off_because is not None
    assert money.books.off_because.error == PaymentError.REVERSED
    (notice,) = money.books.told(NoticeKind.PAYMENT_REVERSED)
    assert notice.error == PaymentError.REVERSED
