"""The one crossing from our errors to failures that workflows decide on."""

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from gateways.stripe.errors import (
    StripeAuthenticationRequired,
    StripeOutage,
    StripeOutcomeUnknown,
    StripeRefused,
)
from ledger.rules.errors import (
    IdempotencyConflict,
    InvalidOrder,
    LedgerError,
    LimitExceeded,
    PaymentAlreadyGranted,
    UnknownAccount,
    UnknownGrant,
    UnknownPayment,
    UnknownPurchase,
)
from messages.failures import Failure

_REFUSALS: dict[type[Exception], Failure] = {
    UnknownAccount: Failure.UNKNOWN_ACCOUNT,
    UnknownGrant: Failure.UNKNOWN_GRANT,
    IdempotencyConflict: Failure.IDEMPOTENCY_CONFLICT,
    PaymentAlreadyGranted: Failure.IDEMPOTENCY_CONFLICT,
    InvalidOrder: Failure.INVALID_ORDER,
    LimitExceeded: Failure.LIMIT_EXCEEDED,
    UnknownPayment: Failure.UNKNOWN_PAYMENT,
    UnknownPurchase: Failure.UNKNOWN_PAYMENT,
    StripeAuthenticationRequired: Failure.STRIPE_AUTHENTICATION_REQUIRED,
    StripeRefused: Failure.STRIPE_REFUSED,
}


@contextmanager
def final_failures(*, reading: bool = False) -> Iterator[None]:
    """Turns what must not be repeated into a failure with a name; everything else stays retryable and loud.

    ``reading`` says that the call changes nothing, so that an unknown outcome is no outcome and is asked again.
    """
    try:
        yield
    except StripeOutage as error:
        # Without the cause: the chain below a lost connection is long, and Temporal cuts failures that are too large.
        raise ApplicationError(error.message, type=Failure.STRIPE_OUTAGE) from None
    except StripeOutcomeUnknown as error:
        raise ApplicationError(error.message, type=Failure.STRIPE_OUTCOME_UNKNOWN, non_retryable=not reading) from None
    except (LedgerError, StripeRefused) as error:
        failure = _REFUSALS.get(type(error))
        if failure is None:
            raise
        raise ApplicationError(
            str(error),
            vars(error),
            type=failure,
            non_retryable=True,
            category=ApplicationErrorCategory.BENIGN,
        ) from error
