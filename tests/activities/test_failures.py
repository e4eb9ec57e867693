"""The crossing from our errors to failures that workflows decide on."""

import json

import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.failures import final_failures
from gateways.stripe.errors import (
    StripeAuthenticationRequired,
    StripeOutage,
    StripeOutcomeUnknown,
    StripeRefused,
)
from ledger.rules.errors import (
    IdempotencyConflict,
    InvalidOrder,
    LedgerUnavailable,
    LimitExceeded,
    PaymentAlreadyGranted,
    UnknownAccount,
    UnknownGrant,
)
from messages.failures import Failure

REFUSALS: list[tuple[Exception, Failure]] = [
    (UnknownAccount("acc"), Failure.UNKNOWN_ACCOUNT),
    (UnknownGrant("op"), Failure.UNKNOWN_GRANT),
    (IdempotencyConflict("op"), Failure.IDEMPOTENCY_CONFLICT),
    (PaymentAlreadyGranted("pi"), Failure.IDEMPOTENCY_CONFLICT),
    (InvalidOrder("credits", "too many"), Failure.INVALID_ORDER),
    (LimitExceeded("The account", limit=1, would_be=2), Failure.LIMIT_EXCEEDED),
    (StripeRefused("no", code="card_declined", status=402, decline_code="lost_card"), Failure.STRIPE_REFUSED),
    (StripeAuthenticationRequired("see the bank", status=402), Failure.STRIPE_AUTHENTICATION_REQUIRED),
]


def crossed(error: Exception, *, reading: bool = False) -> ApplicationError:
    """What the error is on the other side."""
    with pytest.raises(ApplicationError) as told, final_failures(reading=reading):
        raise error
    return told.value


@pytest.mark.parametrize(("error", "failure"), REFUSALS, ids=[type(error).__name__ for error, _ in REFUSALS])
def test_a_refusal_is_final_and_expected_and_keeps_its_fields(error: Exception, failure: Failure) -> None:
    told = crossed(error)
    assert (told.type, told.non_retryable, told.category) == (failure, True, ApplicationErrorCategory.BENIGN)
    assert told.message == str(error)
    assert json.loads(json.dumps(told.details[0])) == vars(error)


@pytest.mark.parametrize("reading", [False, True])
def test_an_outage_is_tried_again(reading: bool) -> None:
    told = crossed(StripeOutage("busy", status=429), reading=reading)
    assert (told.type, told.non_retryable) == (Failure.STRIPE_OUTAGE, False)


def test_an_unknown_outcome_is_looked_at_unless_nothing_was_written() -> None:
    told = crossed(StripeOutcomeUnknown("oops", status=500))
    assert (told.type, told.non_retryable) == (Failure.STRIPE_OUTCOME_UNKNOWN, True)
    assert not crossed(StripeOutcomeUnknown("oops", status=500), reading=True).non_retryable


@pytest.mark.parametrize(
    "error", [LedgerUnavailable("grant", attempts=3, reason="deadlock"), ValueError("a bug"), TimeoutError()]
)
def test_everything_else_passes_as_it_is_and_stays_retryable(error: Exception) -> None:
    with pytest.raises(type(error)), final_failures():
        raise error
