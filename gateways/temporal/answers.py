"""What Temporal's client answers and raises, in our words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

# A caller waits so long for Temporal and its worker, and is then told that the outcome is unknown.
ANSWER_SECONDS = 5
RPC_TIMEOUT = timedelta(seconds=ANSWER_SECONDS)
# When a worker dies in the middle of a workflow's task, another gets it after so long (Temporal's default is 10 s).
TASK_TIMEOUT = timedelta(seconds=5)


class FlowRefused(Exception):
    """A workflow said no. ``failure`` is one of ``messages.failures.Failure``; ``details`` are its numbers."""

    def __init__(self, failure: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message
        self.details = details


class FlowUnavailable(Exception):
    """Temporal or its worker did not answer in time. Whether the work will be done is unknown; a repeat finds out."""


def begun(start: WithStartWorkflowOperation[Any, Any]) -> WithStartWorkflowOperation[Any, Any]:
    """The same start, whose own future does not complain in the log when nobody looks how it ended."""
    started = asyncio.ensure_future(start.workflow_handle())
    started.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return start


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncIterator[None]:
    """Bounds what is inside by ``seconds``; turns what Temporal's client raises into FlowRefused or FlowUnavailable."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except (WorkflowUpdateFailedError, WorkflowFailureError) as error:
        raise _refusal(error.cause) from error
    except WorkflowAlreadyStartedError as error:
        raise FlowUnavailable("Another request with this id has just been finished; repeat this one.") from error
    except (
        TimeoutError,
        RPCError,
        RuntimeError,
        WorkflowQueryFailedError,
        WorkflowQueryRejectedError,
        WorkflowUpdateRPCTimeoutOrCancelledError,
    ) as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # The SDK tells a cancelled caller of a timeout; who was cancelled must not go on.
            raise asyncio.CancelledError from error
        raise FlowUnavailable(f"Temporal did not answer within {seconds:g} s ({type(error).__name__}).") from error


def _refusal(cause: BaseException | None) -> Exception:
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    if cause is None or cause.type is None:
        return FlowUnavailable("The workflow ended without an answer; repeat the request.")
    details = cause.details[0] if cause.details and isinstance(cause.details[0], dict) else {}
    return FlowRefused(cause.type, cause.message, details)
