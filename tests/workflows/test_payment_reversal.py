"""PaymentReversalWorkflow against fakes: what has gone back is taken back, once, in whatever order it is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from messages.payments import NoticeKind, NoticeOrder, Payment, PaymentError, PaymentKind, PaymentState
from messages.reversals import Reversal, ReversalTarget
from tests.workflows.payment_flow import PaymentFlow
from tests.workflows.stripe_payments_fake import GOOD_CARD, PROCESSES
from workflows.payment_words import reversed_late, reversed_words

OFF = "Auto top-up is off; switch it on again when that is settled."
WAS_OFF = "Write to support if you did not expect that."
ON_AGAIN = "If auto top-up was switched off for it, switch it on again."
MAY_BE_OFF = "Auto top-up may have been switched off; switch it on again when that is settled."
FROZEN = "are frozen while the dispute is open"
REVOKED = "No credits were taken back: they had been revoked before, or it was less than a credit."
NOTHING_DONE = Reversal("pi_1", "account", "bought", 0, 0, 0, 0, 0, net=0, changed=True, changes=1)


async def test_partial_refunds_add_up_to_the_whole(money: PaymentFlow) -> None:
    payment = await money.bought()
    for refunded, reversed_credits in ((500, 500), (1250, 1250), (2000, 2000)):
        money.stands(payment, refunded=refunded)
        await _told(money)
        assert money.books.booked["pi_1"].reversed_credits == reversed_credits
    assert money.books.net == 400
    assert [notice.message for notice in _told_of_reversals(money)] == [
        f"A payment has been reversed (refund). 500 credits were taken back. {OFF}",
        f"A payment has been reversed (refund). 750 credits were taken back. {WAS_OFF}",
        f"A payment has been reversed (refund). 750 credits were taken back. {WAS_OFF}",
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
        f"A payment has been reversed (refund). 500 credits were taken back, and 1,500 that were spent are owed. {OFF}"
    )
    assert notice.error == PaymentError.REVERSED


async def test_a_dispute_of_what_is_spent_is_told_as_an_error(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.books.spent = 2000
    money.stands(payment, disputed=True)
    await _told(money)
    assert not money.books.enabled
    (notice,) = _told_of_reversals(money)
    assert notice.error == PaymentError.REVERSED
    assert notice.message == f"A payment has been disputed. No credits were left to freeze. {OFF}"


async def test_a_refund_of_what_was_revoked_is_told_as_an_error(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.books.revoked = True
    money.stands(payment, refunded=2000)
    await _told(money)
    (notice,) = _told_of_reversals(money)
    assert notice.error == PaymentError.REVERSED
    assert notice.message == f"A payment has been reversed (refund). {REVOKED} {OFF}"


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
    frozen, lost = _told_of_reversals(money)
    assert frozen.message == (f"A payment has been disputed. 2,000 credits are frozen while the dispute is open. {OFF}")
    # It was known that the money might go. That it has gone is told as an error as well.
    assert lost.message == f"A payment has been reversed (dispute). 2,000 credits were taken back. {WAS_OFF}"
    assert (frozen.error, lost.error) == (PaymentError.REVERSED, PaymentError.REVERSED)


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
    assert given_back.message == f"A payment has been restored: 2,000 credits were given back. {ON_AGAIN}"
    assert given_back.error is None
    # To be given something is no reason to switch anything off.
    assert money.books.enabled


async def test_a_second_dispute_after_a_won_one_is_told_as_well(money: PaymentFlow) -> None:
    payment = await money.bought()
    for disputed in (True, False, True):
        money.stands(payment, disputed=disputed)
        await _told(money)
    assert money.books.booked["pi_1"].frozen_credits == 2000
    errors = [notice.error for notice in _told_of_reversals(money)]
    assert errors == [PaymentError.REVERSED, None, PaymentError.REVERSED]


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
    assert notice.message == f"A payment has been reversed (refund). 1,000 credits were taken back. {MAY_BE_OFF}"
    assert notice.error == PaymentError.REVERSED


async def test_a_restoration_whose_answer_was_lost_is_no_error(money: PaymentFlow) -> None:
    payment = await money.bought()
    money.stands(payment, disputed=True)
    await _told(money)
    money.books.lost_answers = 1
    money.stands(payment)
    await _told(money)
    restored = _told_of_reversals(money)[-1]
    assert (restored.error, restored.message) == (None, f"A payment has been restored. {ON_AGAIN}")


@pytest.mark.parametrize(
    ("done", "cents", "message"),
    [
        (
            replace(NOTHING_DONE, debt_incurred=40),
            (1000, 0),
            f"reversed (why). 40 credits that were spent are owed. {WAS_OFF}",
        ),
        (
            replace(NOTHING_DONE, taken=60, frozen_credits=20, switched_off=True),
            (600, 200),
            f"reversed (why). 60 credits were taken back. 20 credits {FROZEN}. {OFF}",
        ),
        # A refund failed, and the rest is disputed.
        (
            replace(NOTHING_DONE, given_back=30, frozen_credits=80),
            (200, 800),
            f"reversed (why). 30 credits were given back. 80 credits {FROZEN}. {WAS_OFF}",
        ),
        (
            replace(NOTHING_DONE, frozen_credits=90, changed=False),
            (0, 1000),
            f"disputed. 90 credits {FROZEN}. {MAY_BE_OFF}",
        ),
        (replace(NOTHING_DONE, changed=False), (0, 1000), f"disputed. No credits were left to freeze. {MAY_BE_OFF}"),
    ],
)
def test_what_was_done_against_the_account_is_said(done: Reversal, cents: tuple[int, int], message: str) -> None:
    said = reversed_words(done, ReversalTarget("pi_1", 1000, *cents, "why"), against=True)
    assert said == f"A payment has been {message}"


def test_what_is_given_back_is_said_with_what_is_frozen_still() -> None:
    reversal = replace(NOTHING_DONE, given_back=1000, frozen_credits=1000)
    said = reversed_words(reversal, ReversalTarget("pi_1", 1000, 0, 1000, "why"), against=False)
    assert said == (
        "A payment has been restored: 1,000 credits were given back. 1,000 are frozen while the dispute is open. "
        f"{ON_AGAIN}"
    )


@pytest.mark.parametrize(
    ("switched_off", "changed", "ending"), [(True, True, OFF), (False, True, WAS_OFF), (False, False, MAY_BE_OFF)]
)
def test_a_late_failure_says_what_is_known_of_auto_top_up(switched_off: bool, changed: bool, ending: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    payment = Payment(
        "bought", "account", PaymentKind.PURCHASE, 1000, 1000, "usd", PaymentState.PAID, "key-1", now, now, "r-1"
    )
    done = replace(NOTHING_DONE, reversed_credits=1000, taken=1000 if changed else 0)
    said = reversed_late(payment, replace(done, switched_off=switched_off, changed=changed))
    assert said == (
        "The payment of 1,000 credits for 10.00 USD has failed after all. 1,000 credits were taken back. " + ending
    )


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


def _told_of_reversals(money: PaymentFlow) -> list[NoticeOrder]:
    return money.books.told(NoticeKind.PAYMENT_REVERSED)


async def _told(money: PaymentFlow) -> None:
    """Stripe tells, and all that follows is done."""
    await money.reversal_webhook("pi_1")
    await money.ends()
