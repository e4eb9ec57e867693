"""Auto top-up in line: a request that can't be paid waits for a top-up, and then goes on by itself."""

from typing import TypeVar

from api.middleware.paid import PaidAction
from api.parts import Parts
from api.problems import Problem
from api.topping_up import Want
from ledger.rules.errors import InsufficientCredits
from messages.payments import TopUpOutcome

T = TypeVar("T")


async def auto_topup(parts: Parts, action: PaidAction[T]) -> T:
    """Runs the action; where credits are lacking, again after a top-up, as long as top-ups come and ten seconds in all:
    another request may have been quicker to spend what came.

    What still can't be paid is refused as before, and the refusal says why the top-up could not help.
    """
    outcome: TopUpOutcome | None = None
    deadline = parts.top_ups.deadline()
    while True:
        try:
            return await action.run()
        except InsufficientCredits as refusal:
            # Even after a top-up that failed the action was run: somebody else may have added credits.
            if outcome is not None and not outcome.added:
                raise _refused(refusal, outcome, public_url=parts.settings.public_url) from refusal
            order = action.order
            want = Want(order.operation_id, order.credits, order.request_id)
            outcome = await parts.top_ups.top_up(order.account_id, want, deadline=deadline)
            if outcome is None:
                raise


def _refused(refusal: InsufficientCredits, outcome: TopUpOutcome, *, public_url: str) -> Problem:
    members = dict(vars(refusal))
    if outcome.error is not None:
        members["auto_topup_error"] = outcome.error
    if outcome.action_url is not None:
        # Workflows name our own pages by their paths alone.
        ours = outcome.action_url.startswith("/")
        members["action_url"] = public_url + outcome.action_url if ours else outcome.action_url
    detail = f"{refusal} Auto top-up could not help: {outcome.message}"
    return Problem(refusal.code, detail, members=members)
