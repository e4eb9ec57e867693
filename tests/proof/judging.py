"""What each call does to the model, and what it must be told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from tests.proof.calls import Answer, Call
from tests.proof.judging_holds import judge_extension, judge_hold, judge_release, judge_settlement
from tests.proof.judging_reversals import judge_reversal
from tests.proof.model import EXPIRING, TYPES, ModelAccount, ModelGrant
from tests.proof.repeats import CONFLICT, NOT_FOUND, first_answer, known_answer, refused


@dataclass
class ModelLedger:
    """All accounts by their ids, and which account has the grant of an operation id: those are unique over all."""

    accounts: dict[str, ModelAccount] = field(default_factory=dict)
    granted_to: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "ModelLedger":
        """Another ledger that stands where this one stands."""
        return ModelLedger({key: account.copy() for key, account in self.accounts.items()}, dict(self.granted_to))

    def judge(self, call: Call, now: datetime, *, grant_id: str = "") -> Answer:
        """Does the call at that instant and gives its answer. ``grant_id`` is the id that a new grant has got."""
        account = self.accounts[call.account_id]
        account.catch_up(now)
        if call.kind == "grant":
            return self._grant(account, call, now, grant_id)
        if call.kind == "reverse":
            return judge_reversal(account, call, now, grant_id)
        return _JUDGES[call.kind](account, call, now)

    def _grant(self, account: ModelAccount, call: Call, now: datetime, grant_id: str) -> Answer:
        known = known_answer(account, call)
        if known is not None:
            return known
        if call.operation_id in self.granted_to:
            return CONFLICT
        expires_at = _expiry(account, call, now)
        if expires_at is not None and expires_at <= now:
            return {"is": "invalid-request"}
        account.change()
        self.granted_to[call.operation_id] = call.account_id
        paid = min(account.debt, call.credits)
        account.debt -= paid
        account.grants[call.operation_id] = ModelGrant(
            grant_id, call.operation_id, call.type, call.credits, call.credits - paid, expires_at, now
        )
        account.enter(call.operation_id, "granted", call.operation_id, call.credits, now)
        account.enter(call.operation_id, "debt-paid", call.operation_id, -paid, now)
        account.enter(call.operation_id, "debt-paid", None, paid, now)
        answer = {
            "is": "granted",
            "replayed": False,
            "grantId": grant_id,
            "type": call.type,
            "principal": call.credits,
            "expiresAt": None if expires_at is None else expires_at.isoformat(),
        }
        return first_answer(account, call, answer)


def _expiry(account: ModelAccount, call: Call, now: datetime) -> datetime | None:
    if call.type not in EXPIRING:
        return None
    return account.reset_after(now) if call.expires_at is None else datetime.fromisoformat(call.expires_at)


def _consume(account: ModelAccount, call: Call, now: datetime) -> Answer:
    known = known_answer(account, call)
    if known is not None:
        return known
    remaining = account.spendable(now)
    room = max(0, account.debt_cap - account.debt) if call.policy == "debt" else 0
    if call.credits > remaining + room:
        return refused(call, remaining + room, remaining)
    account.change()
    drawn, owed = account.burn(call.credits, now)
    answer = {"is": "consumed", "replayed": False, **account.spent(call, drawn, owed, call.operation_id, now)}
    return first_answer(account, call, {**answer, **account.numbers(now)})


def _revoke(account: ModelAccount, call: Call, now: datetime) -> Answer:
    operation_id = f"revoke/{call.operation_id}"
    if call.operation_id not in account.grants:
        return NOT_FOUND
    if operation_id in account.taken:
        return {**account.taken[operation_id][1], "replayed": True}
    account.change()
    grant = account.grants[call.operation_id]
    revoked, grant.left, grant.revoked = grant.left, 0, True
    account.enter(operation_id, "revoked", call.operation_id, -revoked, now)
    return first_answer(account, call, {"is": "revoked", "replayed": False, "revoked": revoked}, operation_id)


def _sweep(account: ModelAccount, call: Call, now: datetime) -> Answer:
    events = account.events
    if events:
        account.change()
    return {"is": "swept", "events": events}


def _balance(account: ModelAccount, call: Call, now: datetime) -> Answer:
    return {
        "is": "balance",
        "seq": account.seq,
        "usage": account.usage,
        "held": account.held,
        "breakdown": {
            name: sum(grant.left + grant.held for grant in account.grants.values() if grant.type == name)
            for name in TYPES
        },
        **account.numbers(now),
    }


_JUDGES: dict[str, Callable[[ModelAccount, Call, datetime], Answer]] = {
    "consume": _consume,
    "revoke": _revoke,
    "sweep": _sweep,
    "balance": _balance,
    "hold": judge_hold,
    "extend": judge_extension,
    "settle": judge_settlement,
    "release": judge_release,
}
