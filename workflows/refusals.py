"""A refusal of the ledger as a workflow's own failure."""

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory


def benign(error: ApplicationError, request_id: str) -> ApplicationError:
    """The refusal, expected, so that it raises no alarm, and never retried.

    It names the request that was judged, so that a later one with the same id knows an old refusal from its own.
    """
    numbers = error.details[0] if error.details and isinstance(error.details[0], dict) else {}
    return ApplicationError(
        error.message,
        {**numbers, "request_id": request_id},
        type=error.type,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )
