"""CreditGrantWorkflow against fakes, with time skipped: late answers, late webhooks, late operators."""

from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from messages import names
from messages.failures import Failure
from messages.grants import (
    GrantStage,
    GrantType,
    MirrorClosing,
    OperatorOrder,
    StripeGrant,
    StripeGrantConfirmation,
)
from tests.workflows.conftest import GrantFlow, new_order
from tests.workflows.fakes import outage, refused, stored_500

CONFIRMATION = StripeGrantConfirmation(stripe_grant_id="credgr_1", event_id="evt_1")
OPERATOR = OperatorOrder(actor="admin", reason="the price was mended")
WEBHOOK_PATIENCE = timedelta(minutes=1)


async def test_confirmed_by_the_webhook(flow: GrantFlow) -> None:
    granted = await flow.begin()
    assert granted.stage is GrantStage.LOCAL
    await flow.reaches(GrantStage.AWAITING_WEBHOOK)
    await flow.signal(names.STRIPE_GRANT_CONFIRMED, CONFIRMATION)
    status = await flow.reaches(GrantStage.CONFIRMED)
    assert status.stripe_grant_id == "credgr_1"
    assert flow.stripe.keys_used == [f"grant-{flow.order.operation_id}-1"]
    assert "Done" in status.details


async def test_the_same_update_again_answers_the_same(flow: GrantFlow) -> None:
    first = await flow.begin()
    assert await flow.begin() == first
    assert len(flow.ledger.grants) == 1


async def test_the_webhook_comes_before_stripe_answers(long_flow: GrantFlow) -> None:
    long_flow.stripe.always = outage
    await long_flow.begin()
    await long_flow.reaches(GrantStage.STRIPE_PENDING)
    await long_flow.signal(names.STRIPE_GRANT_CONFIRMED, CONFIRMATION)
    assert (await long_flow.reaches(GrantStage.CONFIRMED)).stripe_grant_id == "credgr_1"


async def test_the_webhook_comes_twice(flow: GrantFlow) -> None:
    await flow.begin()
    await flow.reaches(GrantStage.AWAITING_WEBHOOK)
    await flow.signal(names.STRIPE_GRANT_CONFIRMED, CONFIRMATION)
    await flow.signal(names.STRIPE_GRANT_CONFIRMED, replace(CONFIRMATION, event_id="evt_2"))
    assert (await flow.reaches(GrantStage.CONFIRMED)).stripe_grant_id == "credgr_1"


async def test_the_webhook_never_comes(long_flow: GrantFlow) -> None:
    await long_flow.begin()
    await long_flow.reaches(GrantStage.AWAITING_WEBHOOK)
    status = await long_flow.reaches(GrantStage.CONFIRMED, after=WEBHOOK_PATIENCE)
    assert status.stripe_grant_id == "credgr_1"


async def test_an_outage_uses_one_key(long_flow: GrantFlow) -> None:
    long_flow.stripe.always = outage
    await long_flow.begin()
    await long_flow.pass_time(timedelta(minutes=15))
    status = await long_flow.reaches(GrantStage.STRIPE_PENDING)
    assert "usable" in status.details
    long_flow.stripe.always = None
    await long_flow.reaches(GrantStage.CONFIRMED, after=timedelta(minutes=5))
    assert set(long_flow.stripe.keys_used) == {f"grant-{long_flow.order.operation_id}-1"}


async def test_an_outage_longer_than_the_key_lives(long_flow: GrantFlow) -> None:
    long_flow.ledger.first_key_age = timedelta(hours=19, minutes=55)
    long_flow.stripe.always = outage
    await long_flow.begin()
    await long_flow.reaches(GrantStage.STRIPE_PENDING)
    await long_flow.pass_time(timedelta(minutes=10))
    long_flow.stripe.always = None
    await long_flow.reaches(GrantStage.CONFIRMED, after=timedelta(minutes=10))
    assert long_flow.stripe.looks >= 1
    assert long_flow.stripe.keys_used[-1] == f"grant-{long_flow.order.operation_id}-2"
    assert len(long_flow.stripe.grants) == 1


async def test_a_500_that_did_nothing_is_looked_for_and_tried_under_the_next_key(long_flow: GrantFlow) -> None:
    long_flow.stripe.script = [stored_500()]
    await long_flow.begin()
    await long_flow.reaches(GrantStage.AWAITING_WEBHOOK, after=timedelta(seconds=10))
    operation_id = long_flow.order.operation_id
    assert long_flow.stripe.keys_used == [f"grant-{operation_id}-1", f"grant-{operation_id}-2"]
    assert long_flow.stripe.looks == 1


async def test_a_500_that_did_the_work_is_found_and_not_repeated(flow: GrantFlow) -> None:
    flow.stripe.script = [flow.stripe.make_and_fail]
    await flow.begin()
    status = await flow.reaches(GrantStage.AWAITING_WEBHOOK)
    assert status.stripe_grant_id == "credgr_1"
    assert flow.stripe.keys_used == [f"grant-{flow.order.operation_id}-1"]


async def test_a_refused_grant_is_stuck_until_an_operator_retries(flow: GrantFlow) -> None:
    flow.stripe.script = [refused()]
    await flow.begin()
    status = await flow.reaches(GrantStage.STUCK)
    assert status.reason == "Stripe refused: The price is not metered."
    assert "retry_stripe_grant" in status.details
    assert "usable" in status.details
    await flow.signal(names.RETRY_STRIPE_GRANT, OPERATOR)
    await flow.reaches(GrantStage.AWAITING_WEBHOOK)
    assert flow.stripe.keys_used[-1] == f"grant-{flow.order.operation_id}-2"
    await flow.signal(names.STRIPE_GRANT_CONFIRMED, CONFIRMATION)
    await flow.reaches(GrantStage.CONFIRMED)


async def test_a_stuck_grant_is_abandoned_and_keeps_its_credits(flow: GrantFlow) -> None:
    flow.stripe.script = [refused()]
    await flow.begin()
    await flow.reaches(GrantStage.STUCK)
    await flow.signal(names.ABANDON, OPERATOR)
    status = await flow.reaches(GrantStage.ABANDONED)
    assert status.reason == OPERATOR.reason
    assert flow.ledger.grants[flow.order.operation_id].balance == 1000


async def test_abandoned_during_an_outage(long_flow: GrantFlow) -> None:
    long_flow.stripe.always = outage
    await long_flow.begin()
    await long_flow.reaches(GrantStage.STRIPE_PENDING)
    await long_flow.signal(names.ABANDON, OPERATOR)
    await long_flow.reaches(GrantStage.ABANDONED)


async def test_a_stuck_grant_that_stripe_has_after_all(long_flow: GrantFlow) -> None:
    long_flow.stripe.script = [refused()]
    await long_flow.begin()
    await long_flow.reaches(GrantStage.STUCK)
    long_flow.stripe.grants["credgr_9"] = StripeGrant("credgr_9", long_flow.order.operation_id, closed=False)
    status = await long_flow.reaches(GrantStage.CONFIRMED, after=timedelta(hours=25))
    assert status.stripe_grant_id == "credgr_9"


async def test_at_stripes_limit_spent_mirrors_make_room(flow: GrantFlow) -> None:
    flow.stripe.script = [refused("This customer has 100 unused credit grants.")]
    flow.ledger.spent = [MirrorClosing("op-old", "credgr_old", "close-op-old")]
    await flow.begin()
    await flow.reaches(GrantStage.AWAITING_WEBHOOK)
    assert flow.stripe.closings == ["credgr_old"]
    assert flow.ledger.closed == ["op-old"]


async def test_a_spent_mirror_that_can_not_be_closed_is_passed_over(flow: GrantFlow) -> None:
    flow.stripe.script = [refused("This customer has 100 unused credit grants.")]
    flow.ledger.spent = [MirrorClosing("op-old", "credgr_old", "close-op-old")]
    flow.stripe.unclosable = {"credgr_old"}
    await flow.begin()
    assert (await flow.reaches(GrantStage.STUCK)).reason is not None
    assert flow.ledger.closed == []


async def test_a_grant_voided_at_stripe_is_stuck_and_made_again(long_flow: GrantFlow) -> None:
    await long_flow.begin()
    await long_flow.reaches(GrantStage.AWAITING_WEBHOOK)
    long_flow.stripe.grants["credgr_1"] = replace(long_flow.stripe.grants["credgr_1"], closed=True)
    status = await long_flow.reaches(GrantStage.STUCK, after=WEBHOOK_PATIENCE)
    assert status.reason == "credgr_1 was voided at Stripe."
    await long_flow.signal(names.RETRY_STRIPE_GRANT, OPERATOR)
    assert (await long_flow.reaches(GrantStage.AWAITING_WEBHOOK)).stripe_grant_id == "credgr_2"


async def test_a_missing_customer_is_made_first(long_flow: GrantFlow) -> None:
    long_flow.ledger.forget_customer()
    long_flow.stripe.customer_script = [outage(), stored_500()]
    await long_flow.begin()
    await long_flow.reaches(GrantStage.AWAITING_WEBHOOK, after=timedelta(seconds=10))
    assert long_flow.ledger.customer == "cus_new"
    assert long_flow.ledger.customer_key == "customer-1+"


async def test_a_refused_customer_makes_the_grant_stuck(flow: GrantFlow) -> None:
    flow.ledger.forget_customer()
    flow.stripe.customer_script = [refused("Invalid email address")]
    await flow.begin()
    assert (await flow.reaches(GrantStage.STUCK)).reason == "Stripe refused: Invalid email address"


async def test_rollover_has_no_mirror(flow: GrantFlow) -> None:
    flow.order = new_order(GrantType.ROLLOVER)
    granted = await flow.begin()
    assert granted.stage is GrantStage.NOT_MIRRORED
    await flow.handle.result()
    assert flow.stripe.keys_used == []


async def test_a_refused_order_fails_update_and_workflow_and_writes_nothing(flow: GrantFlow) -> None:
    flow.ledger.refusal = ApplicationError(
        "There is no account 'x'.", {"account_id": "x"}, type=Failure.UNKNOWN_ACCOUNT, non_retryable=True
    )
    with pytest.raises(WorkflowUpdateFailedError) as told:
        await flow.begin()
    cause = told.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.details[0]) == (Failure.UNKNOWN_ACCOUNT, {"account_id": "x", "request_id": "request-1"})
    with pytest.raises(WorkflowFailureError):
        await flow.handle.result()
    assert flow.ledger.grants == {}


async def test_a_grant_taken_over_half_way_goes_on_from_its_row(flow: GrantFlow) -> None:
    await flow.begin()
    await flow.reaches(GrantStage.AWAITING_WEBHOOK)
    await flow.handle.terminate("a lost workflow")
    again = await flow.begin_again()
    assert again.stage is GrantStage.AWAITING_WEBHOOK
    await flow.signal(names.STRIPE_GRANT_CONFIRMED, CONFIRMATION)
    await flow.reaches(GrantStage.CONFIRMED)
    assert len(flow.stripe.keys_used) == 1
