"""Auto top-up in line: a request that can't be paid waits for a top-up, and then goes on by itself."""

from typing import TypeVar

from api.middleware.paid import PaidAction
from api.parts import Parts
from api.problems import Problem
from ledger.rules.errors import InsufficientCredits
from messages.payments import TopUpDemand, TopUpOutcome

T = TypeVar("T")


async def auto_topup(parts: Parts, action: PaidAction[T]) -> T:
    """Runs the action; where credits are lacking, once more after a top-up.

    What still can't be paid is refused as before, and the refusal says why the top-up failed, if it did.
    """
    try:
        return await action.run()
    except InsufficientCredits:
        demand = TopUpDemand(needed=action.credits, request_id=action.request_id)
        outcome = await parts.top_ups.top_up(action.account_id, demand)
        if outcome is None:
            raise
    try:
        # Even where this top-up has failed, somebody may have added credits: the ledger judges.
        return await action.run()
    except InsufficientCredits as refusal:
        if outcome.error is None:
            raise
        raise _refused(refusal, outcome, public_url=parts.settings.public_url) from refusal


def _refused(refusal: InsufficientCredits, outcome: TopUpOutcome, *, public_url: str) -> Problem:
    members = {**vars(refusal), "auto_topup_error": outcome.error}
    if outcome.action_url is not None:
        # Workflows name our own pages by their paths alone.
        ours = outcome.action_url.startswith("/")
        members["action_url"] = public_url + outcome.action_url if ours else outcome.action_url
    detail = f"{refusal} Auto top-up could not help: {outcome.message}"
    return Problem(refusal.code, detail, members=members)
