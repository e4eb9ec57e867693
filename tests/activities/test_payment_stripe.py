"""The payments' steps at Stripe: which of their failures are final."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.payment_stripe import PaymentStripe
from messages.checkouts import CheckoutId
from messages.failures import Failure
from messages.payments import (
    Authentication,
    Cancellation,
    MethodQuestion,
    PaymentIntentId,
    PaymentQuestion,
    PaymentStatus,
)
from tests.gateways.odd_stripe import OddParts, odd_parts
from tests.gateways.stripe_parts import new_charge, new_checkout

WRITING: dict[str, Any] = {
    "charge": new_charge("cus_1", "pm_1"),
    "authenticate_payment": Authentication("pi_1", "pm_1", "authenticate-1", "https://example.com/back"),
    "cancel_payment": Cancellation("pi_1", "cancel-pi_1-1"),
    "open_checkout": new_checkout("cus_1"),
}
READING: dict[str, Any] = {
    "choose_payment_method": MethodQuestion("cus_1", []),
    "find_payment": PaymentQuestion("op-1", "cus_1", datetime(2027, 1, 1, tzinfo=UTC)),
    "retrieve_payment": PaymentIntentId("pi_1"),
    "retrieve_checkout": CheckoutId("cs_1"),
    "retrieve_standing": PaymentIntentId("pi_1"),
}
BROKEN = {"error": {"type": "api_error", "message": "oops"}}
BUSY = {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "busy"}}
WRONG = {"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "customer", "message": "no"}}


@pytest.fixture
async def odd() -> AsyncIterator[OddParts]:
    """A gateway to something that answers as it is told."""
    async with odd_parts() as begun:
        yield begun


async def failed(odd: OddParts, worker: ActivityEnvironment, step: str, argument: Any) -> ApplicationError:
    """How the step fails."""
    run: Callable[[Any], Awaitable[object]] = getattr(
        PaymentStripe(odd.gateway, public_url="https://grantflow.test"), step
    )
    with pytest.raises(ApplicationError) as told:
        await worker.run(run, argument)
    return told.value


@pytest.mark.parametrize("step", [*WRITING, *READING])
async def test_an_unknown_outcome_is_final_for_calls_and_asked_again_for_questions(
    odd: OddParts, worker: ActivityEnvironment, step: str
) -> None:
    odd.server.says(500, BROKEN)
    failure = await failed(odd, worker, step, {**WRITING, **READING}[step])
    assert (failure.type, failure.non_retryable) == (Failure.STRIPE_OUTCOME_UNKNOWN, step in WRITING)


@pytest.mark.parametrize("step", [*WRITING, *READING])
async def test_an_outage_is_tried_again_and_a_refusal_is_not(
    odd: OddParts, worker: ActivityEnvironment, step: str
) -> None:
    argument = {**WRITING, **READING}[step]
    odd.server.says(429, BUSY)
    failure = await failed(odd, worker, step, argument)
    assert (failure.type, failure.non_retryable) == (Failure.STRIPE_OUTAGE, False)
    odd.server.says(400, WRONG)
    failure = await failed(odd, worker, step, argument)
    assert (failure.type, failure.non_retryable) == (Failure.STRIPE_REFUSED, True)


async def test_a_decline_is_no_failure(odd: OddParts, worker: ActivityEnvironment) -> None:
    odd.server.says(402, {"error": {"type": "card_error", "code": "card_declined", "message": "no"}})
    declined = await worker.run(
        PaymentStripe(odd.gateway, public_url="https://grantflow.test").charge, WRITING["charge"]
    )
    assert declined.status is PaymentStatus.DECLINED
