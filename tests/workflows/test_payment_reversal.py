"""PaymentReversalWorkflow against fakes: what has gone back is taken back, once, in whatever order it is told."""

from dataclasses import replace
from datetime import timedelta

from messages.payments import NoticeKind, PaymentError, PaymentState
from tests.workflows.payment_flow import PaymentFlow
from tests.workflows.stripe_payments_fake import GOOD_CARD, PROCESSES


async def test_partial_refunds_add_up_to_the_whole(money: PaymentFlow) -> None:
    payment = await money.bought()
    for refunded, reversed_credits in ((500, 500), (1250, 1250), (2000, 2000)):
        money.stands(payment, refunded=refunded)
        await _told(money)
        assert money.books.booked["pi_1"].reversed_credits == reversed_credits
    assert money.books.net == 400
    assert [notice.message for notice in money.books.told(NoticeKind.PAYMENT_REVERSED)] == [
        "A payment has been reversed (refund). 500 credits were taken back.",
        "A payment has been reversed (refund). 750 credits were taken back.",
        "A payment has been reversed (refund). 750 credits were taken back.",
    ]


async def test_a_reversal_switches_auto_top_up_off_and_says_so(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.books.spent = 1500
    money.stands(payment, refunded=2000)
    await _told(money)
    off = money.books.off_because
    assert off is not None
    assert off.error == PaymentError.REVERSED
    (notice,) = money.books.told(NoticeKind.PAYMENT_REVERSED)
    assert notice.message == (
        "A payment has been reversed (refund). 500 credits were taken back, and 1,500 that were spent are owed."
    )


async def test_a_dispute_freezes_and_its_loss_takes(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.stands(payment, disputed=True)
    await _told(money)
    booked = money.books.booked["pi_1"]
    assert (booked.reversed_credits, booked.frozen_credits) == (0, 2000)
    money.stands(payment, withdrawn=2000, disputed=True)
    await _told(money)
    assert (booked.reversed_credits, booked.frozen_credits) == (2000, 0)
    money.stands(payment, withdrawn=2000)
    await _told(money)
    assert (booked.reversed_credits, booked.changes) == (2000, 2)
    messages = [notice.message for notice in money.books.told(NoticeKind.PAYMENT_REVERSED)]
    assert messages[0].endswith("2,000 credits are frozen while the dispute is open.")
    assert len(messages) == 2


async def test_a_dispute_that_is_won_gives_back_and_tells_so(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.stands(payment, withdrawn=2000, disputed=True)
    await _told(money)
    money.books.switch_on()
    money.stands(payment, withdrawn=2000, reinstated=2000)
    await _told(money)
    assert money.books.booked["pi_1"].reversed_credits == 0
    assert money.books.net == 2400
    given_back = money.books.told(NoticeKind.PAYMENT_REVERSED)[-1]
    assert given_back.message == "A payment has been restored (dispute): 2,000 credits were given back."
    assert given_back.error is None
    # To be given something is no reason to switch anything off.
    assert money.books.enabled


async def test_a_second_dispute_after_a_won_one_is_told_as_well(money: PaymentFlow) -> None:
    payment = await money.bought()
    for disputed in (True, False, True):
        money.stands(payment, disputed=disputed)
        await _told(money)
    assert money.books.booked["pi_1"].frozen_credits == 2000
    assert len(money.books.told(NoticeKind.PAYMENT_REVERSED)) == 3


async def test_the_same_news_any_number_of_times_is_booked_and_told_once(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.stands(payment, refunded=1000)
    for _ in range(5):
        await money.reversal_webhook("pi_1")
    await money.ends()
    money.books.switch_on()
    for _ in range(2):
        await _told(money)
    assert money.books.booked["pi_1"].changes == 1
    assert len(money.books.told(NoticeKind.PAYMENT_REVERSED)) == 1
    # Old news does not undo what the owner has said since.
    assert money.books.enabled


async def test_a_reversal_whose_answer_was_lost_is_told_all_the_same(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.books.lost_answers = 1
    money.stands(payment, refunded=1000)
    await _told(money)
    assert money.books.booked["pi_1"].changes == 1
    (notice,) = money.books.told(NoticeKind.PAYMENT_REVERSED)
    assert notice.message == "A payment has been reversed (refund). 1,000 credits were taken back."


async def test_a_refund_that_is_told_before_the_credits_are_given_waits_for_them(long_money: PaymentFlow) -> None:
    long_money.stripe.cards[GOOD_CARD.payment_method_id] = PROCESSES
    payment = await long_money.buy()
    await long_money.until(lambda: long_money.books.only.state is PaymentState.PROCESSING)
    long_money.stands(payment, refunded=2000)
    await long_money.reversal_webhook("pi_1")
    await long_money.pass_time(timedelta(minutes=5))
    assert long_money.books.booked == {}
    long_money.stripe.becomes_paid()
    await long_money.webhook(long_money.books.only)
    await long_money.until(lambda: long_money.books.only.granted)
    # It looks again by itself; it is told again here, because the server's time is slow to pass with so much under way.
    await long_money.reversal_webhook("pi_1")
    await long_money.ends()
    assert long_money.books.booked["pi_1"].reversed_credits == 2000


async def test_news_during_the_work_is_not_lost(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.stands(payment, refunded=500)
    told = 0

    async def refund_more() -> None:
        nonlocal told
        told += 1
        if told == 1:
            money.stands(payment, refunded=1500)
            await money.reversal_webhook("pi_1")

    money.stripe.on_standing = refund_more
    await _told(money)
    await money.ends()
    assert money.books.booked["pi_1"].reversed_credits == 1500


async def test_nothing_reversed_is_nothing_told(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.stands(payment)
    await _told(money)
    assert money.books.told(NoticeKind.PAYMENT_REVERSED) == []
    assert money.books.enabled


async def test_a_payment_that_failed_is_left_to_who_carries_it(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.stands(payment)
    money.stripe.standings["pi_1"] = replace(money.stripe.standings["pi_1"], failed=True, paid_cents=0)
    await _told(money)
    assert money.books.booked == {}


async def _told(money: PaymentFlow) -> None:
    """Stripe tells, and all that follows is done."""
    await money.reversal_webhook("pi_1")
    await money.ends()
