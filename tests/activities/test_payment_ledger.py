"""The payments' steps as workflows call them: refusals are final and have a name, our own paths become addresses."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.payment_ledger import PaymentLedger
from ledger.balances import read_balance
from ledger.granting import process_and_grant_credit
from ledger.noticing import untold_notices
from ledger.paying import read_payment
from ledger.topping_up import read_auto_topup
from messages.customers import AccountId
from messages.failures import Failure
from messages.grants import GrantType
from messages.payments import (
    BlockedMethods,
    Decline,
    NoticeOrder,
    PaymentId,
    PaymentNews,
    PaymentState,
    PurchaseOrder,
    SwitchOff,
    TopUpDecision,
    TopUpQuestion,
    grant_order,
)
from messages.reversals import ReversalTarget
from tests.store.paying import buy_credits, topped_up_user
from tests.store.support import grant, open_user

PUBLIC_URL = "https://grantflow.example"
NOBODY = "01970000-0000-7000-8000-000000000001"


@pytest.fixture
async def steps(engine: AsyncEngine) -> PaymentLedger:
    """The steps on a real ledger."""
    return PaymentLedger(engine, public_url=PUBLIC_URL)


async def test_a_top_up_goes_from_its_question_to_its_end(engine: AsyncEngine, steps: PaymentLedger) -> None:
    account_id = await topped_up_user(engine)
    question = TopUpQuestion(account_id, "auto-topup-1", [], "r-1")
    made = (await steps.open_top_up(question)).payment
    assert made is not None
    assert await steps.read_payment(PaymentId("auto-topup-1")) == made
    assert await steps.still_wanted(PaymentId("auto-topup-1"))
    renewed = await steps.renew_payment_key(made)
    assert renewed.idempotency_key == "payment-auto-topup-1-2"
    charged = await steps.record_payment(
        PaymentNews("auto-topup-1", PaymentState.SUCCEEDED, payment_method_id="pm_1", payment_intent_id="pi_1")
    )
    assert charged == await read_payment(engine, "auto-topup-1")
    assert await steps.open_top_up(question) == TopUpDecision(charged)
    await process_and_grant_credit(engine, grant_order(charged, "pi_1"))
    assert (await steps.record_payment(PaymentNews("auto-topup-1", PaymentState.PAID))).granted
    assert (await steps.open_top_up(question)).payment is None
    assert (await read_balance(engine, account_id)).remaining == 2_000


async def test_a_purchase_is_opened_once_and_taken_back(engine: AsyncEngine, steps: PaymentLedger) -> None:
    order = PurchaseOrder("bought", await open_user(engine), 1_000)
    made = await steps.open_purchase(order)
    assert await steps.open_purchase(order) == made
    await process_and_grant_credit(engine, grant_order(made, "pi_1"))
    await steps.reverse_payment(ReversalTarget("pi_1", 1_000, 1_000, reason="refund"))
    assert (await read_balance(engine, made.account_id)).remaining == 0


async def test_a_declined_method_is_blocked_and_auto_top_up_off(engine: AsyncEngine, steps: PaymentLedger) -> None:
    account_id = await topped_up_user(engine)
    assert await steps.blocked_methods(AccountId(account_id)) == BlockedMethods([])
    await steps.open_top_up(TopUpQuestion(account_id, "auto-topup-1", [], "r-1"))
    no = Decline("Stolen.", decline_code="stolen_card", never_again=True)
    await steps.record_payment(
        PaymentNews("auto-topup-1", PaymentState.FAILED, payment_method_id="pm_1", error="e", decline=no)
    )
    assert await steps.blocked_methods(AccountId(account_id)) == BlockedMethods(["pm_1"])
    for message in ("Your card was declined.", "Later."):
        await steps.switch_off(SwitchOff(account_id, "auto-topup-declined", message))
    shown = await read_auto_topup(engine, account_id)
    assert (shown.enabled, shown.disabled_message) == (False, "Your card was declined.")


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("/payments/bought/authenticate", PUBLIC_URL + "/payments/bought/authenticate"),
        ("https://checkout.stripe.com/c/pay", "https://checkout.stripe.com/c/pay"),
        (None, None),
    ],
)
async def test_our_own_paths_become_addresses(
    engine: AsyncEngine, steps: PaymentLedger, told: str | None, kept: str | None
) -> None:
    account_id = await open_user(engine)
    await buy_credits(engine, account_id)
    recorded = await steps.record_payment(PaymentNews("bought", PaymentState.REQUIRES_ACTION, url=told))
    assert recorded.url == kept
    for _ in range(2):
        await steps.give_notice(NoticeOrder(account_id, "purchase-failed", "bought", "Pay.", action_url=told))
    [notice] = await untold_notices(engine, account_id, limit=10)
    assert notice.payload.get("actionUrl") == kept


async def _of_nobody(steps: PaymentLedger, _: str) -> object:
    return await steps.open_top_up(TopUpQuestion(NOBODY, "auto-topup-1", [], ""))


async def _purchase_of_nobody(steps: PaymentLedger, _: str) -> object:
    return await steps.open_purchase(PurchaseOrder("bought", NOBODY, 1_000))


async def _notice_for_nobody(steps: PaymentLedger, _: str) -> None:
    await steps.give_notice(NoticeOrder(NOBODY, "purchase-paid", "bought", "Paid."))


async def _off_for_nobody(steps: PaymentLedger, _: str) -> None:
    await steps.switch_off(SwitchOff(NOBODY, "auto-topup-declined", "No."))


async def _methods_of_nonsense(steps: PaymentLedger, _: str) -> object:
    return await steps.blocked_methods(AccountId("x"))


async def _too_little(steps: PaymentLedger, account_id: str) -> object:
    return await steps.open_purchase(PurchaseOrder("bought", account_id, 499))


async def _taken_for_a_top_up(steps: PaymentLedger, account_id: str) -> object:
    return await steps.open_top_up(TopUpQuestion(account_id, "taken", [], ""))


async def _taken_for_a_purchase(steps: PaymentLedger, account_id: str) -> object:
    return await steps.open_purchase(PurchaseOrder("taken", account_id, 1_000))


async def _read_nothing(steps: PaymentLedger, _: str) -> object:
    return await steps.read_payment(PaymentId("nothing"))


async def _want_nothing(steps: PaymentLedger, _: str) -> object:
    return await steps.still_wanted(PaymentId("nothing"))


async def _record_nothing(steps: PaymentLedger, _: str) -> object:
    return await steps.record_payment(PaymentNews("nothing", PaymentState.OPEN))


async def _reverse_nothing(steps: PaymentLedger, _: str) -> object:
    return await steps.reverse_payment(ReversalTarget("pi_nothing", 10, 10))


@pytest.mark.parametrize(
    ("call", "failure"),
    [
        (_of_nobody, Failure.UNKNOWN_ACCOUNT),
        (_purchase_of_nobody, Failure.UNKNOWN_ACCOUNT),
        (_notice_for_nobody, Failure.UNKNOWN_ACCOUNT),
        (_off_for_nobody, Failure.UNKNOWN_ACCOUNT),
        (_methods_of_nonsense, Failure.UNKNOWN_ACCOUNT),
        (_too_little, Failure.INVALID_ORDER),
        (_taken_for_a_top_up, Failure.IDEMPOTENCY_CONFLICT),
        (_taken_for_a_purchase, Failure.IDEMPOTENCY_CONFLICT),
        (_read_nothing, Failure.UNKNOWN_PAYMENT),
        (_want_nothing, Failure.UNKNOWN_PAYMENT),
        (_record_nothing, Failure.UNKNOWN_PAYMENT),
        (_reverse_nothing, Failure.UNKNOWN_PAYMENT),
    ],
)
async def test_a_refusal_is_final_and_has_a_name(
    engine: AsyncEngine,
    steps: PaymentLedger,
    call: Callable[[PaymentLedger, str], Awaitable[object]],
    failure: Failure,
) -> None:
    account_id = await topped_up_user(engine)
    await grant(engine, account_id, "taken", 5, GrantType.ADMIN)
    with pytest.raises(ApplicationError) as refused:
        await call(steps, account_id)
    assert (refused.value.type, refused.value.non_retryable) == (failure, True)


async def test_the_renewal_of_no_payment_is_final(engine: AsyncEngine, steps: PaymentLedger) -> None:
    made = await buy_credits(engine, await open_user(engine))
    with pytest.raises(ApplicationError) as refused:
        await steps.renew_payment_key(replace(made, operation_id="nothing"))
    assert refused.value.type == Failure.UNKNOWN_PAYMENT
