"""Calls of the ledger and their answers, as plain data: a process can print them, and another can judge them."""

from dataclasses import asdict, dataclass
from typing import Any

# What was answered: {"is": what became of the call, ...the numbers that were told}.
Answer = dict[str, Any]

UNAVAILABLE = "service-unavailable"

_CHANGES = ("granted", "consumed", "revoked", "held", "extended", "settled", "released", "reversed")

# What every purchase has cost.
PAID_CENTS = 1000


def is_change(answer: Answer) -> bool:
    """Whether the account was changed, as far as its caller knows. A repeat's answer says that it was before."""
    if answer["is"] == "swept":
        return bool(answer["events"])
    return answer["is"] in _CHANGES and not answer.get("replayed", False)


@dataclass(frozen=True)
class Call:
    """One call on one account. ``kind`` is a method of the model and of the player; what a kind does not need is empty.

    ``policy`` is what becomes of a demand that credits do not cover, ``type`` a grant's type, ``expires_at`` (ISO) its
    expiry where it is told; ``ttl_seconds`` and ``made_by`` are a hold's. A reversal names the grant that was bought,
    and what of PAID_CENTS is reversed and frozen.
    """

    kind: str
    account_id: str
    operation_id: str = ""
    credits: int = 0
    policy: str = "refuse"
    type: str = "admin"
    expires_at: str | None = None
    ttl_seconds: int = 3600
    made_by: str = "account"
    reversed_cents: int = 0
    frozen_cents: int = 0

    @property
    def payload(self) -> tuple[Any, ...]:
        """What a repeat must have in common with the first call, or it is a conflict."""
        own: dict[str, tuple[Any, ...]] = {
            "grant": (self.account_id, self.type, self.expires_at),
            "consume": (self.policy,),
            "hold": (self.ttl_seconds, self.made_by),
        }
        credits = 0 if self.kind == "release" else self.credits
        return self.kind, credits, *own.get(self.kind, ())

    @property
    def payment_id(self) -> str | None:
        """The payment of what is bought, or is to be reversed."""
        return f"pi_{self.operation_id}" if self.type == "purchase" or self.kind == "reverse" else None

    def to_json(self) -> dict[str, Any]:
        """The call for a pipe; ``Call(**it)`` is its inverse."""
        return asdict(self)


@dataclass(frozen=True)
class Heard:
    """A call as its caller knows it: between which moments it ran, and what it was told.

    ``began`` and ``ended`` are of one clock for all callers, in nanoseconds. ``seq`` is the change of the account that
    the journal names for it, where it names one.
    """

    call: Call
    answer: Answer
    began: int
    ended: int
    seq: int | None = None
