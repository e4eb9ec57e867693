"""How the stand-in misbehaves on request: what `POST /_sandbox/behaviour` sets.

It is kept in the file, so that a stand-in that was killed comes back as awkward as it was.
"""

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from stripe_sandbox.database import Database

SETTING = "behaviour"
DELAY_MS_MAX = 86_400_000


class ControlModel(BaseModel):
    """A test control's JSON body: camelCase, strict types, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


class Fault(ControlModel):
    """The next `times` requests that match are answered with `status`.

    Attributes:
        method: an HTTP method, or `*` for any.
        path: an address; `{name}` stands for one part of it, `*` for any rest.
        status: 400 to 599; 429 is answered before the idempotency layer. 0, only together with `cut`.
        code: the error's `code` (of a 402 also a decline code); None takes what Stripe would use.
        times: how many requests are still to fail.
        after_work: the work is done and kept, and then the fault is answered all the same.
        cut: instead of an answer the connection is cut.
    """

    path: str
    status: int = 0
    method: str = "*"
    code: str | None = None
    times: int = Field(default=1, ge=1, le=1_000_000)
    after_work: bool = False
    cut: bool = False

    @model_validator(mode="after")
    def _answers_or_cuts(self) -> Self:
        if self.cut and self.status:
            raise ValueError("a fault that cuts the connection has no status")
        if not self.cut and not 400 <= self.status <= 599:
            raise ValueError("status must be from 400 to 599")
        if self.after_work and 400 <= self.status <= 499:
            raise ValueError("afterWork is for statuses from 500 on and for cut: a refusal has done nothing")
        return self

    def hits(self, method: str, path: str) -> bool:
        """Say whether a request is one of those meant."""
        return self.method.upper() in ("*", method) and _pattern(self.path).fullmatch(path) is not None


class Behaviour(ControlModel):
    """What differs from a well-behaved Stripe. The default is to behave.

    Attributes:
        webhook_delay_ms: how long after its request an event is first posted.
        drop_webhooks: True: events are recorded, never posted; a number: only the next so many events.
        duplicate_webhooks: how many times more than once every event is posted.
        shuffle_webhooks: events are posted up to a second late, each by its own chance.
        outage: every API request has its connection cut, and webhooks wait.
        latency_ms: how long every API request takes more.
        fail: faults; a request meets the first that matches.
    """

    webhook_delay_ms: int = Field(default=0, ge=0, le=DELAY_MS_MAX)
    drop_webhooks: bool | Annotated[int, Field(ge=0, le=1_000_000)] = False
    duplicate_webhooks: int = Field(default=0, ge=0, le=100)
    shuffle_webhooks: bool = False
    outage: bool = False
    latency_ms: int = Field(default=0, ge=0, le=DELAY_MS_MAX)
    fail: list[Fault] = Field(default_factory=list, max_length=100)


class BehaviourControl:
    """The behaviour in force, kept in the file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        kept = database.setting(SETTING)
        self.current = Behaviour() if kept is None else Behaviour.model_validate_json(kept)

    def set(self, behaviour: Behaviour) -> None:
        """Replace the behaviour; what the new one does not name is as by default."""
        self.current = behaviour
        self._database.remember(SETTING, behaviour.model_dump_json(by_alias=True))

    def take_fault(self, method: str, path: str, *, rate_limits: bool) -> Fault | None:
        """Return the fault that the request meets, and count it as met.

        Args:
            method: the request's.
            path: the request's.
            rate_limits: only 429s (True) or only the others (False): they strike at different places.
        """
        for fault in self.current.fail:
            if (fault.status == 429) is rate_limits and fault.hits(method, path):
                self._count(fault)
                return fault
        return None

    def drops_next_event(self) -> bool:
        """Say whether an event that happens now is dropped, and count it."""
        drop = self.current.drop_webhooks
        if not isinstance(drop, bool) and drop > 0:
            self.set(self.current.model_copy(update={"drop_webhooks": drop - 1}))
        return bool(drop)

    def _count(self, met: Fault) -> None:
        left = [
            fault if fault is not met else fault.model_copy(update={"times": fault.times - 1})
            for fault in self.current.fail
            if fault is not met or fault.times > 1
        ]
        self.set(self.current.model_copy(update={"fail": left}))


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^{}/]*\}|\*)", path)
    wild = {"*": ".*"}
    return re.compile("".join(wild.get(part, r"[^/]+" if part.startswith("{") else re.escape(part)) for part in parts))
