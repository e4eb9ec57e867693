"""How workflows call steps: with the patience of the dependency, and no other."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow

from workflows.patience import LEDGER, STRIPE, Patience

Argument = TypeVar("Argument")
Answer = TypeVar("Answer")


async def in_ledger(step: Callable[[Any, Argument], Awaitable[Answer]], argument: Argument) -> Answer:
    """One transaction, as a local activity: 50 ms to the caller where an ordinary one takes 150.

    Raises ApplicationError for the ledger's refusals: a local activity's failure comes without an ActivityError around.
    """
    return await workflow.execute_local_activity_method(
        step, argument, start_to_close_timeout=LEDGER.attempt, retry_policy=LEDGER.retry
    )


def at_stripe(
    step: Callable[[Any, Argument], Awaitable[Answer]],
    argument: Argument,
    *,
    summary: str,
    patience: Patience = STRIPE,
    whole: timedelta | None = None,
) -> workflow.ActivityHandle[Answer]:
    """One call to Stripe, begun; ``whole`` bounds all its attempts, and ``summary`` names it in the UI."""
    return workflow.start_activity_method(
        step,
        argument,
        start_to_close_timeout=patience.attempt,
        schedule_to_close_timeout=whole or patience.whole,
        retry_policy=patience.retry,
        summary=summary,
    )


async def wait_for(call: workflow.ActivityHandle[Answer]) -> Answer:
    """The call's answer, however long it takes."""
    return await call
