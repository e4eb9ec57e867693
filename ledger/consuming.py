"""Consumption and holds: credits are spent, or set aside. Calls that arrive together are committed together (group
commit).

One committer a process takes whatever has come while the last batch was committed, reads what it needs to decide it,
and writes what was decided in one SERIALIZABLE transaction. There is no delay to wait for company: one caller alone
goes at once. Each caller is answered after the commit, with its own result; if more are waiting, while the next batch
is already on its way.
"""

import asyncio
import logging
import time
from collections import Counter as Tally
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.batch import Batches, OperationTaken
from ledger.changes import ANNOUNCE_PAUSE_SECONDS, AccountChange, announce_all
from ledger.deciding import Item
from ledger.demands import (
    Allocation,
    Answer,
    Consumed,
    ConsumeOrder,
    ExtendOrder,
    Held,
    HoldDemand,
    HoldOrder,
    Outcome,
    Released,
    ReleaseOrder,
    Settled,
    SettleOrder,
)
from ledger.repeating import LOCK_TIMEOUT, PATIENCE_SECONDS
from ledger.rules.burning import OnInsufficient
from ledger.rules.errors import HoldClosed, InsufficientCredits, LedgerError, LedgerUnavailable
from ledger.rules.limits import MAX_DESCRIPTION_LENGTH
from ledger.rules.orders import check_cost, check_credits, check_hold_id, check_operation_id, check_text, check_ttl
from ledger.store.accounts import check_account_id
from ledger.waiting import FairQueue

__all__ = [
    "Allocation",
    "ConsumeOrder",
    "Consumed",
    "Consumption",
    "ExtendOrder",
    "Held",
    "HoldOrder",
    "OnInsufficient",
    "ReleaseOrder",
    "Released",
    "SettleOrder",
    "Settled",
]

# A larger batch is a longer wait for everybody in it, and gains little; and what does not fit is got ready by its
# callers while this one is being written.
BATCH_MAX = 256
WAITING_MAX = 10_000
# One account leaves half of the queue to the others.
WAITING_MAX_PER_ACCOUNT = WAITING_MAX // 2
FINISH_SECONDS = 5

_WHAT = "consume"
_DONE = {"consume": "consumed", "hold": "held", "extend": "extended", "settle": "settled", "release": "released"}

BATCH_SIZES = Histogram(
    "grantflow_consumption_batch", "Consumptions in one transaction", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
WAITING = Gauge("grantflow_consumptions_waiting", "Consumptions that wait for their batch")
OUTCOMES = Counter("grantflow_consumptions", "Consumptions that were answered, by outcome", ["outcome"])

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Call:
    """A caller that waits for its item since ``since_ns`` (monotonic)."""

    item: Item
    answer: asyncio.Future[Answer]
    since_ns: int


def _nobody_cares(_: str) -> None:
    """For a process that starts no top-ups: the sweep finds what has crossed."""


# What is to be said to whom.
_Answers = list[tuple[_Call, Outcome]]


class Consumption:
    """The process's way to spend credits. It keeps nothing that another process would need to know."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        batch_max: int = BATCH_MAX,
        waiting_max: int = WAITING_MAX,
        waiting_max_per_account: int = WAITING_MAX_PER_ACCOUNT,
        on_crossing: Callable[[str], None] = _nobody_cares,
    ) -> None:
        """``on_crossing`` hears, after the commit, of an account that spending has left below the threshold of its
        auto top-up; it returns at once."""
        self._on_crossing = on_crossing
        self._engine = engine
        self._batches = Batches(engine)
        self._batch_max = batch_max
        self._queue: FairQueue[str, _Call] = FairQueue(limit=waiting_max, limit_per_key=waiting_max_per_account)
        self._arrived = asyncio.Event()
        self._changed = asyncio.Event()
        self._changes: dict[UUID, int] = {}
        self._running = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Commits for as long as the context is open, and some seconds longer what is waiting then."""
        self._running = True
        committer = asyncio.create_task(self._commit_again_and_again())
        announcer = asyncio.create_task(self._announce_again_and_again())
        try:
            yield
        finally:
            self._running = False
            self._arrived.set()
            await _end(committer)
            _tell([(call, _stopped()) for call in self._queue.take(len(self._queue))])
            self._changed.set()
            await _end(announcer)
            await self._batches.close()

    async def consume(self, order: ConsumeOrder) -> Consumed:
        """Spends the credits; answers when that is committed. A repeat gets the first answer, with ``replayed``.

        A caller that is cancelled may or may not have spent: the repeat tells. Raises InvalidOrder, UnknownAccount,
        InsufficientCredits (nothing is written, and the id stays free), IdempotencyConflict, Overloaded or
        LedgerUnavailable.
        """
        check_operation_id(order.operation_id)
        check_credits(order.credits)
        if order.description is not None:
            check_text("description", order.description, longest=MAX_DESCRIPTION_LENGTH)
        check_account_id(order.account_id)
        return cast(Consumed, await self._answered(Item.of(order)))

    async def hold(self, order: HoldOrder) -> Held:
        """Sets credits aside; answers, and raises, as :meth:`consume` does."""
        check_operation_id(order.operation_id)
        check_credits(order.credits)
        check_ttl(order.ttl_seconds)
        return cast(Held, await self._about_hold(order))

    async def extend(self, order: ExtendOrder) -> Held:
        """Lets a hold live longer, never shorter, and a day in all at most. It may be repeated.

        Raises InvalidOrder, UnknownAccount, UnknownHold, HoldOfAnother, HoldClosed, Overloaded or LedgerUnavailable.
        """
        check_ttl(order.ttl_seconds)
        return cast(Held, await self._about_hold(order))

    async def settle(self, order: SettleOrder) -> Settled:
        """Ends a hold and books the real cost in full, also when its time is over. A repeat gets the first answer.

        Raises as :meth:`extend` does, IdempotencyConflict for other credits than the first time, or LimitExceeded.
        """
        check_cost(order.credits)
        return cast(Settled, await self._about_hold(order))

    async def release(self, order: ReleaseOrder) -> Released:
        """Ends a hold with nothing spent. A repeat gets the first answer. Raises as :meth:`extend` does."""
        return cast(Released, await self._about_hold(order))

    async def _about_hold(self, order: HoldDemand) -> Answer:
        check_hold_id(order.operation_id)
        check_account_id(order.account_id)
        return await self._answered(Item.of_hold(order))

    async def _answered(self, item: Item) -> Answer:
        if not self._running:
            raise _stopped()
        call = _Call(item, asyncio.get_running_loop().create_future(), time.monotonic_ns())
        self._queue.put(item.order.account_id, call)
        self._arrived.set()
        return await call.answer

    async def _commit_again_and_again(self) -> None:
        answers: _Answers = []
        while self._running or self._queue:
            if not self._queue:
                _tell(answers)
                answers = []
                self._arrived.clear()
                await self._arrived.wait()
                # Those who were woken together come together.
                await asyncio.sleep(0)
                continue
            calls = self._next_calls()
            batch = asyncio.create_task(self._settle(calls))
            _tell(answers)
            try:
                answers = await batch
            except asyncio.CancelledError:
                _tell([(call, _stopped()) for call in calls])
                raise
            except Exception as error:
                # Nobody would ever be answered again if the committer ended here.
                _log.exception("A batch of consumptions failed.")
                answers = [(call, error) for call in calls]
        _tell(answers)

    def _next_calls(self) -> list[_Call]:
        """The next batch, without those who have gone and those who have waited too long; nothing is written yet."""
        taken = self._queue.take(self._batch_max)
        WAITING.set(len(self._queue))
        too_early = time.monotonic_ns() - int(PATIENCE_SECONDS * 10**9)
        calls = []
        for call in taken:
            if call.since_ns < too_early:
                _tell([(call, LedgerUnavailable(_WHAT, attempts=0, reason="too many wait"))])
            elif not call.answer.done():
                calls.append(call)
        return calls

    async def _settle(self, calls: Sequence[_Call]) -> _Answers:
        """Commits the calls; those that fail together are parted until the culprit is alone."""
        if not calls:
            return []
        try:
            outcomes = await self._commit([call.item for call in calls])
        except LedgerUnavailable as error:
            return [(call, error) for call in calls]
        except Exception as error:
            if len(calls) == 1:
                _log.exception("The consumption %r failed.", calls[0].item.order.operation_id)
                return [(calls[0], error)]
            middle = len(calls) // 2
            return [*await self._settle(calls[:middle]), *await self._settle(calls[middle:])]
        return [(call, outcomes[call.item]) for call in calls]

    async def _commit(self, items: Sequence[Item]) -> dict[Item, Outcome]:
        """The outcome of every item, committed."""
        outcomes: dict[Item, Outcome] = {}
        waiting = items
        while waiting:
            BATCH_SIZES.observe(len(waiting))
            try:
                decision = await self._batches.settle(waiting, what=_WHAT)
            except OperationTaken:
                found = await self._batches.recorded(waiting)
                if not found:
                    raise
            except LedgerUnavailable as error:
                if error.reason != LOCK_TIMEOUT:
                    raise
                # Somebody sits on one of the accounts. The others need not suffer for it.
                free = await self._batches.free_accounts(list({item.order.account_id for item in waiting}))
                found = {item: error for item in waiting if item.order.account_id not in free}
                if not found:
                    raise
            else:
                outcomes |= decision.outcomes
                self._announce(decision.changes)
                for account_id in decision.crossings:
                    self._on_crossing(account_id)
                # Nobody who repeats an accepted request must hear that credits are lacking now, or the hold is closed.
                refused = [item for item in waiting if isinstance(outcomes[item], InsufficientCredits | HoldClosed)]
                outcomes |= await self._batches.recorded(refused)
                break
            outcomes |= found
            waiting = [item for item in waiting if item not in found]
        return outcomes

    def _announce(self, changes: dict[UUID, int]) -> None:
        self._changes |= changes
        self._changed.set()

    async def _announce_again_and_again(self) -> None:
        """Announces what the batches have changed, while the next ones are being committed; not each by itself."""
        while self._running or self._changes:
            await self._changed.wait()
            self._changed.clear()
            changes, self._changes = self._changes, {}
            await announce_all(self._engine, [AccountChange(account_id, seq) for account_id, seq in changes.items()])
            await asyncio.sleep(ANNOUNCE_PAUSE_SECONDS if self._running else 0)


def _tell(answers: _Answers) -> None:
    """Tells those callers that have not gone."""
    tally: Tally[str] = Tally()
    for call, outcome in answers:
        if call.answer.done():
            continue
        if isinstance(outcome, Exception):
            tally[outcome.code if isinstance(outcome, LedgerError) else "internal"] += 1
            call.answer.set_exception(outcome)
        else:
            tally["replayed" if outcome.replayed else _DONE[call.item.kind]] += 1
            call.answer.set_result(outcome)
    for outcome_code, count in tally.items():
        OUTCOMES.labels(outcome_code).inc(count)


def _stopped() -> LedgerUnavailable:
    return LedgerUnavailable(_WHAT, attempts=0, reason="the process ends")


async def _end(task: asyncio.Task[None]) -> None:
    """Lets the task finish what it has begun, for some seconds."""
    await asyncio.wait([task], timeout=FINISH_SECONDS)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
