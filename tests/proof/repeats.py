"""What the model says to a repeat, and to a refusal."""

from tests.proof.calls import Answer, Call
from tests.proof.model import ModelAccount

CONFLICT: Answer = {"is": "idempotency-conflict"}
NOT_FOUND: Answer = {"is": "not-found"}


def known_answer(account: ModelAccount, call: Call, operation_id: str | None = None) -> Answer | None:
    """The first answer again, the conflict, or None for an id that is free."""
    if (operation_id or call.operation_id) not in account.taken:
        return None
    first, answer = account.taken[operation_id or call.operation_id]
    return {**answer, "replayed": True} if first.payload == call.payload else CONFLICT


def first_answer(account: ModelAccount, call: Call, answer: Answer, operation_id: str | None = None) -> Answer:
    """The answer, which its repeats will be given too."""
    account.taken[operation_id or call.operation_id] = call, answer
    return answer


def refused(call: Call, available: int, remaining: int) -> Answer:
    """The refusal of a demand that can't be paid. It claims nothing: the same id is judged afresh."""
    return {"is": "insufficient-credits", "needed": call.credits, "available": available, "remaining": remaining}
