"""The way from a balance that is too low to the workflow that tops it up.

A crossing is signalled after the answer, and a lost one is found by the sweep. A request that can't be paid waits
some seconds; those of one account that wait at the same time share one question to the workflow.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from api.background import Background
from api.metrics import TOP_UPS_ASKED
from gateways.temporal.flows import FlowRefused, FlowUnavailable
from ledger.rules.errors import LedgerError
from ledger.topping_up import read_auto_topup
from messages.payments import PaymentError, TopUpDemand, TopUpOutcome

_log = logging.getLogger(__name__)

# The contract's patience of a request that waits for a top-up.
WAIT_SECONDS = 10.0
# An account that goes on spending crosses with every batch; its workflow needs to hear it once.
QUIET_SECONDS = 1.0


class TopUpFlows(Protocol):
    """What the desk needs of Temporal."""

    async def top_up_wanted(self, account_id: str, demand: TopUpDemand) -> None: ...

    async def top_up(self, account_id: str, demand: TopUpDemand) -> TopUpOutcome: ...


@dataclass(frozen=True)
class Want:
    """A request that lacks credits: the operation that it is about, and what that needs in all."""

    operation_id: str
    credits: int
    request_id: str = ""


class _Question:
    """What the waiting requests of an account ask for together. One that comes when it has been asked still hears the
    answer, tries again with what is there then, and asks anew if it has to. A request that was sent twice is one."""

    def __init__(self) -> None:
        self._wants: dict[str, Want] = {}

    def join(self, want: Want) -> None:
        self._wants.setdefault(want.operation_id, want)

    def demand(self) -> TopUpDemand:
        first, *others = self._wants.values()
        return TopUpDemand(first.credits, first.request_id, [each.credits for each in others])


class TopUpDesk:
    """The top-ups that this process asks for. It charges nobody: whether there is one, the workflow decides."""

    def __init__(
        self,
        engine: AsyncEngine,
        flows: TopUpFlows,
        background: Background,
        *,
        wait_seconds: float = WAIT_SECONDS,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._engine = engine
        self._flows = flows
        self._background = background
        self._wait_seconds = wait_seconds
        self._quiet_seconds = quiet_seconds
        self._quiet: set[str] = set()
        self._asked: dict[str, tuple[_Question, asyncio.Task[TopUpOutcome | None]]] = {}

    def crossed(self, account_id: str) -> None:
        """Hears that spending has left the account below its threshold. Returns at once and never raises."""
        if account_id in self._quiet:
            return
        self._quiet.add(account_id)
        if not self._background.start(self._signal_and_be_quiet(account_id)):
            self._quiet.discard(account_id)

    def chosen(self, account_id: str) -> None:
        """Hears that the owner has just switched auto top-up on below the threshold. It is signalled by all means: a
        signal that is on its way may be judged by the settings before."""
        if not self._background.start(self._signal(account_id)):
            _log.warning("The top-up of %s waits for the sweep: too much is under way.", account_id)

    def deadline(self) -> float:
        """Until when a request that comes now may wait, by the event loop's clock."""
        return asyncio.get_running_loop().time() + self._wait_seconds

    async def top_up(self, account_id: str, want: Want, *, deadline: float) -> TopUpOutcome | None:
        """Waits for a top-up, until the deadline at most, and says what came of it.

        None where there was nobody to ask: auto top-up is off, or Temporal or the ledger is away.
        """
        asked = self._asked.get(account_id)
        if asked is None:
            question = _Question()
            task = asyncio.create_task(self._ask(account_id, question))
            self._asked[account_id] = (question, task)
            task.add_done_callback(lambda _: self._asked.pop(account_id))
        else:
            question, task = asked
        question.join(want)
        try:
            # Whoever goes away takes only himself: the others still wait for the answer.
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(task)
        except TimeoutError:
            return TopUpOutcome(message="it takes longer than a request may wait. Ask again.")

    async def _ask(self, account_id: str, question: _Question) -> TopUpOutcome | None:
        try:
            chosen = await read_auto_topup(self._engine, account_id)
            if not chosen.enabled:
                return None
            if chosen.not_before is not None:
                return _limit_reached(chosen.not_before)
            outcome = await self._flows.top_up(account_id, question.demand())
        except (FlowUnavailable, FlowRefused, LedgerError) as error:
            TOP_UPS_ASKED.labels("unavailable").inc()
            _log.warning("A request of %s could not wait for a top-up: %s", account_id, error)
            return None
        TOP_UPS_ASKED.labels(outcome.error or ("added" if outcome.added else "nothing")).inc()
        return outcome

    async def _signal_and_be_quiet(self, account_id: str) -> None:
        try:
            await self._signal(account_id)
        finally:
            asyncio.get_running_loop().call_later(self._quiet_seconds, self._quiet.discard, account_id)

    async def _signal(self, account_id: str) -> None:
        try:
            await self._flows.top_up_wanted(account_id, TopUpDemand())
        except (FlowUnavailable, FlowRefused) as error:
            _log.warning("That %s is to be topped up waits for the sweep: %s", account_id, error)


def _limit_reached(until: datetime) -> TopUpOutcome:
    """Nothing can be bought before ``until``, and no workflow needs to say so to every request anew."""
    return TopUpOutcome(
        error=PaymentError.LIMIT_REACHED,
        message=f"it has reached its monthly limit and buys nothing before {until:%Y-%m-%d %H:%M} UTC. "
        "Raise the limit, or buy credits.",
    )
