"""What reversals do to the model, and what they must be told."""

from datetime import datetime

from tests.proof.calls import PAID_CENTS, Answer, Call
from tests.proof.model import ModelAccount, ModelGrant, ModelHold, ModelReversal, turn
from tests.proof.repeats import NOT_FOUND


def judge_reversal(account: ModelAccount, call: Call, now: datetime, grant_id: str) -> Answer:
    """The difference to what is booked moves; ``grant_id`` is the id of the grant that comes of what has no room."""
    bought = account.grants.get(call.operation_id)
    if bought is None or bought.type != "purchase":
        return NOT_FOUND
    booked = account.reversals.get(call.operation_id, ModelReversal())
    if (booked.reversed_cents, booked.frozen_cents) == (call.reversed_cents, call.frozen_cents):
        return _told(account, booked, now, replayed=True)
    account.change()
    account.reversals[call.operation_id] = booked
    booked.changes += 1
    booked.reversed_cents, booked.frozen_cents = call.reversed_cents, call.frozen_cents
    credits = bought.principal * call.reversed_cents // PAID_CENTS
    to_freeze = bought.principal * call.frozen_cents // PAID_CENTS
    if call.reversed_cents + call.frozen_cents == PAID_CENTS:
        to_freeze = bought.principal - credits
    if booked.freeze is not None and (credits, to_freeze) == (booked.credits, booked.to_freeze):
        return _told(account, booked, now)
    operation_id = f"reversal-{call.payment_id}-{booked.changes}"
    _thaw(account, booked, operation_id, now)
    difference, booked.credits, booked.to_freeze = credits - booked.credits, credits, to_freeze
    given_back, restored = 0, None
    if difference < 0:
        given_back = min(-difference, credits - difference - booked.covered)
        booked.covered -= -difference - given_back
        restored = _give(account, bought, given_back, operation_id, now, grant_id)
    missing = _not_covered(account, bought, booked)
    covers = max(0, min(missing, difference))
    booked.covered += covers
    taken, owed = _take(account, bought, max(0, difference) - covers, now)
    for name, part in taken:
        account.enter(operation_id, "reversed", name, -part, now)
    account.enter(operation_id, "reversed", None, -owed, now)
    account.debt += owed
    _freeze(account, bought, booked, to_freeze - min(to_freeze, missing - covers), now)
    parts = sum(part for _, part in taken)
    answer = _told(account, booked, now)
    return {
        **answer,
        "taken": parts,
        "givenBack": given_back,
        "debtIncurred": owed,
        "restored": restored,
        "grantId": "" if restored is None else grant_id,
    }


def _not_covered(account: ModelAccount, bought: ModelGrant, booked: ModelReversal) -> int:
    """What revocations took of the purchase, and no reversal has counted."""
    revoked = (entry for entry in account.entries if (entry.kind, entry.grant) == ("revoked", bought.operation_id))
    return -sum(entry.credits for entry in revoked) - booked.covered


def _thaw(account: ModelAccount, booked: ModelReversal, operation_id: str, now: datetime) -> None:
    if booked.freeze is not None:
        freeze = account.holds[booked.freeze]
        freeze.state = "released"
        account.give_back(freeze.parts, operation_id, now)
        booked.freeze = None


def _give(
    account: ModelAccount, bought: ModelGrant, credits: int, operation_id: str, now: datetime, grant_id: str
) -> str | None:
    """First to the debt, then to the purchase as far as it came, the rest as a grant of its own."""
    paid = min(account.debt, credits)
    account.debt -= paid
    room = 0 if bought.revoked else bought.principal - bought.left - bought.held
    kept = min(credits - paid, room)
    bought.left += kept
    account.enter(operation_id, "reinstated", bought.operation_id, paid + kept, now)
    account.enter(operation_id, "debt-paid", bought.operation_id, -paid, now)
    account.enter(operation_id, "debt-paid", None, paid, now)
    beyond = credits - paid - kept
    if not beyond:
        return None
    payment, _, number = operation_id.rpartition("-")
    restored = f"{payment}-restored-{number}"
    account.grants[restored] = ModelGrant(grant_id, restored, "rollover", beyond, beyond, None, now)
    account.came_of[restored] = bought.operation_id
    account.enter(operation_id, "reinstated", restored, beyond, now)
    return restored


def _take(account: ModelAccount, bought: ModelGrant, credits: int, now: datetime) -> tuple[list[tuple[str, int]], int]:
    """From the purchase, from what came of it, from the rest in burn order; and what nobody has."""

    def distance(grant: ModelGrant) -> int:
        if grant is bought:
            return 0
        return 1 if account.came_of.get(grant.operation_id) == bought.operation_id else 2

    parts = []
    for grant in sorted(account.in_burn_order(now), key=distance):
        part = min(grant.left, credits)
        if part:
            grant.left -= part
            credits -= part
            parts.append((grant.operation_id, part))
    return parts, credits


def _freeze(account: ModelAccount, bought: ModelGrant, booked: ModelReversal, credits: int, now: datetime) -> None:
    parts, _ = _take(account, bought, credits, now)
    if not parts:
        return
    for name, part in parts:
        account.grants[name].held += part
    booked.freeze = f"reversal-pi_{bought.operation_id}-freeze-{booked.changes}"
    parts.sort(key=lambda part: turn(account.grants[part[0]]))
    credits = sum(part for _, part in parts)
    account.holds[booked.freeze] = ModelHold(booked.freeze, credits, "system", now, None, parts)


def _told(account: ModelAccount, booked: ModelReversal, now: datetime, *, replayed: bool = False) -> Answer:
    return {
        "is": "reversed",
        "replayed": replayed,
        "changes": booked.changes,
        "reversed": booked.credits,
        "frozen": 0 if booked.freeze is None else account.holds[booked.freeze].credits,
        "taken": 0,
        "givenBack": 0,
        "debtIncurred": 0,
        "net": account.numbers(now)["net"],
        "restored": None,
        "grantId": "",
    }
