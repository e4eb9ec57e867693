"""What holds, extensions, settlements and releases do to the model, and what they must be told."""

from datetime import datetime, timedelta

from tests.proof.calls import Answer, Call
from tests.proof.model import LONGEST_HOLD, ModelAccount, ModelHold
from tests.proof.repeats import NOT_FOUND, first_answer, known_answer, refused

FORBIDDEN: Answer = {"is": "forbidden"}
CLOSED: Answer = {"is": "hold-closed"}


def judge_hold(account: ModelAccount, call: Call, now: datetime) -> Answer:
    """A hold draws in burn order, and is never made of debt."""
    known = known_answer(account, call)
    if known is not None:
        return known
    remaining = account.spendable(now)
    if call.credits > remaining:
        return refused(call, remaining, remaining)
    account.change()
    parts, _ = account.burn(call.credits, now)
    for name, credits in parts:
        account.grants[name].held += credits
    until = now + timedelta(seconds=call.ttl_seconds)
    hold = ModelHold(call.operation_id, call.credits, call.made_by, now, until, parts)
    account.holds[call.operation_id] = hold
    return first_answer(account, call, {"is": "held", **_kept(account, hold, now)})


def judge_extension(account: ModelAccount, call: Call, now: datetime) -> Answer:
    """Now + ttl, never shorter, a day in all."""
    hold = account.holds.get(call.operation_id)
    no = _not_for(hold, call)
    if hold is None or no is not None:
        return no or NOT_FOUND
    if hold.state != "open":
        return CLOSED
    account.change()
    wanted = min(now + timedelta(seconds=call.ttl_seconds), hold.made_at + LONGEST_HOLD)
    assert hold.until is not None, "nobody extends a freeze"
    hold.until = max(hold.until, wanted)
    return {"is": "extended", **_kept(account, hold, now)}


def judge_settlement(account: ModelAccount, call: Call, now: datetime) -> Answer:
    """The real cost is always booked: from what is held, then from what there is, then as debt."""
    operation_id = f"settle/{call.operation_id}"
    hold = account.holds.get(call.operation_id)
    no = _not_for(hold, call) or known_answer(account, call, operation_id)
    if hold is None or no is not None:
        return no or NOT_FOUND
    if hold.state not in ("open", "lapsed"):
        return CLOSED
    account.change()
    wanted = call.credits
    drawn: dict[str, int] = {}
    left: list[tuple[str, int]] = []
    for name, credits in hold.parts if hold.state == "open" else []:
        part = min(credits, wanted)
        wanted -= part
        account.grants[name].held -= part
        if part:
            drawn[name] = part
        if part < credits:
            left.append((name, credits - part))
    more, owed = account.burn(wanted, now)
    for name, credits in more:
        drawn[name] = drawn.get(name, 0) + credits
    spent = account.spent(call, list(drawn.items()), owed, operation_id, now)
    account.give_back(left, operation_id, now)
    hold.state = "settled"
    answer = {"is": "settled", "replayed": False, **spent, "givenBack": sum(credits for _, credits in left)}
    return first_answer(account, call, {**answer, **account.numbers(now)}, operation_id)


def judge_release(account: ModelAccount, call: Call, now: datetime) -> Answer:
    """Everything goes back; of a hold that has lapsed, nothing is left to go."""
    operation_id = f"release/{call.operation_id}"
    hold = account.holds.get(call.operation_id)
    no = _not_for(hold, call) or known_answer(account, call, operation_id)
    if hold is None or no is not None:
        return no or NOT_FOUND
    if hold.state not in ("open", "lapsed"):
        return CLOSED
    account.change()
    given_back = 0
    if hold.state == "open":
        given_back = hold.credits
        account.give_back(hold.parts, operation_id, now)
    hold.state = "released"
    answer = {"is": "released", "replayed": False, "givenBack": given_back}
    return first_answer(account, call, {**answer, **account.numbers(now)}, operation_id)


def _not_for(hold: ModelHold | None, call: Call) -> Answer | None:
    """Only the kind of token that made a hold may change it."""
    if hold is None:
        return NOT_FOUND
    return FORBIDDEN if hold.made_by != call.made_by else None


def _kept(account: ModelAccount, hold: ModelHold, now: datetime) -> Answer:
    return {
        "replayed": False,
        "credits": hold.credits,
        "held": account.held,
        "state": "open",
        "expiresAt": None if hold.until is None else hold.until.isoformat(),
        "createdAt": hold.made_at.isoformat(),
        "allocations": account.allocations(hold.parts),
        **account.numbers(now),
    }
