"""The way to a workflow that makes something once, whatever becomes of the answer on its way back."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateways.temporal.flows import FlowUnavailable

T = TypeVar("T")


async def make_once(
    ask: Callable[[], Awaitable[T]], find: Callable[[], Awaitable[T | None]], is_ours: Callable[[T], bool]
) -> tuple[T, bool]:
    """Asks the workflow; answers with what it has made, and whether this very call made it.

    Args:
        ask: asks the workflow by an id that names one thing for ever.
        find: what the database has under that id, or None. Raises IdempotencyConflict for another's payload.
        is_ours: whether this call is the one that made it.

    Raises:
        FlowUnavailable: the outcome is unknown; a repeat finds it.
        FlowRefused: the workflow has refused.
        LedgerError: what `find` raises.
    """
    try:
        made = await ask()
    except FlowUnavailable:
        # The answer is lost; what was made need not be.
        found = await find()
        if found is None:
            raise
        return found, is_ours(found)
    if is_ours(made):
        return made, True
    # Another call with the same id was first. Whether its payload was ours, the database knows.
    same = await find()
    if same is None:
        raise FlowUnavailable("It was made by another call and can't be read yet.")
    return same, False
