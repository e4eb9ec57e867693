"""The failures that cross Temporal, by name. Workflows and callers decide on the name, so it never changes."""

from enum import StrEnum

from temporalio.exceptions import ActivityError, ApplicationError


class Failure(StrEnum):
    """The type of an ApplicationError that one of our activities or workflows raises on purpose."""

    UNKNOWN_ACCOUNT = "unknown-account"
    UNKNOWN_GRANT = "unknown-grant"
    IDEMPOTENCY_CONFLICT = "idempotency-conflict"
    INVALID_ORDER = "invalid-order"
    LIMIT_EXCEEDED = "limit-exceeded"
    UNKNOWN_PAYMENT = "unknown-payment"
    STRIPE_REFUSED = "stripe-refused"
    STRIPE_AUTHENTICATION_REQUIRED = "stripe-authentication-required"
    STRIPE_OUTAGE = "stripe-outage"
    STRIPE_OUTCOME_UNKNOWN = "stripe-outcome-unknown"


def refusal(error: BaseException) -> ApplicationError | None:
    """The ApplicationError behind an activity's failure, or None when it failed for another reason."""
    cause = error.cause if isinstance(error, ActivityError) else error
    return cause if isinstance(cause, ApplicationError) else None


def failed_with(error: BaseException, *failures: Failure) -> bool:
    """Whether an activity's failure carries one of these names."""
    cause = refusal(error)
    return cause is not None and cause.type in failures
