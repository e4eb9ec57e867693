"""Consumption: credits are spent. Calls that arrive together are committed together (group commit).

One committer a process takes whatever has come while the last batch was committed, and settles it in one SERIALIZABLE
transaction. There is no delay to wait for company: one caller alone goes at once. Each caller is answered after the
commit, with its own result.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.changes import AccountChange, announce_all
from ledger.deciding import Allocation, Consumed, ConsumeOrder, Decision, Item, Outcome, answer_recorded, decide
from ledger.rules.burning import OnInsufficient
from ledger.rules.errors import InsufficientCredits, LedgerError, LedgerUnavailable, UnknownAccount
from ledger.rules.limits import MAX_DESCRIPTION_LENGTH
from ledger.rules.orders import check_credits, check_operation_id, check_text
from ledger.store.accounts import parse_account_id
from ledger.store.consumptions import find_operations, lock_spenders, write_consumptions
from ledger.transaction import LOCK_TIMEOUT, PATIENCE_SECONDS, with_serializable_transaction, with_transaction
from ledger.waiting import FairQueue

__all__ = ["Allocation", "ConsumeOrder", "Consumed", "Consumption", "OnInsufficient"]

# A larger batch is a longer wait for everybody in it, and gains little.
BATCH_MAX = 512
WAITING_MAX = 10_000
# One account leaves half of the queue to the others.
WAITING_MAX_PER_ACCOUNT = WAITING_MAX // 2
FINISH_SECONDS = 5

_WHAT = "consume"
_STOPPED = "the process ends"

BATCH_SIZES = Histogram(
    "grantflow_consumption_batch", "Consumptions in one transaction", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
WAITING = Gauge("grantflow_consumptions_waiting", "Consumptions that wait for their batch")
OUTCOMES = Counter("grantflow_consumptions", "Consumptions that were answered, by outcome", ["outcome"])

_log = logging.getLogger(__name__)


class _Taken(Exception):
    """An operation id of the batch is taken. Which one, and what it was used for, is looked up outside."""


@dataclass(slots=True, eq=False)
class _Call:
    """A caller that waits for its item since ``since_ns`` (monotonic)."""

    item: Item
    answer: asyncio.Future[Consumed]
    since_ns: int

    def settle(self, outcome: Outcome) -> None:
        """Tells the caller, unless it has gone."""
        if self.answer.done():
            return
        if isinstance(outcome, Consumed):
            OUTCOMES.labels("replayed" if outcome.replayed else "consumed").inc()
            self.answer.set_result(outcome)
        else:
            OUTCOMES.labels(outcome.code if isinstance(outcome, LedgerError) else "internal").inc()
            self.answer.set_exception(outcome)


class Consumption:
    """The process's way to spend credits. It keeps nothing that another process would need to know."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        batch_max: int = BATCH_MAX,
        waiting_max: int = WAITING_MAX,
        waiting_max_per_account: int = WAITING_MAX_PER_ACCOUNT,
    ) -> None:
        self._engine = engine
        self._batch_max = batch_max
        self._queue: FairQueue[UUID, _Call] = FairQueue(limit=waiting_max, limit_per_key=waiting_max_per_account)
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
            self._fail(self._queue.take(len(self._queue)), LedgerUnavailable(_WHAT, attempts=0, reason=_STOPPED))
            self._changed.set()
            await _end(announcer)

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
        account_id = parse_account_id(order.account_id)
        if not self._running:
            raise LedgerUnavailable(_WHAT, attempts=0, reason=_STOPPED)
        loop = asyncio.get_running_loop()
        call = _Call(Item.of(order, account_id), loop.create_future(), time.monotonic_ns())
        self._queue.put(account_id, call)
        self._arrived.set()
        return await call.answer

    async def _commit_again_and_again(self) -> None:
        while True:
            if not self._queue:
                if not self._running:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                # Those who were woken together come together.
                await asyncio.sleep(0)
            calls = self._next_calls()
            if not calls:
                continue
            try:
                await self._settle(calls)
            except asyncio.CancelledError:
                self._fail(calls, LedgerUnavailable(_WHAT, attempts=0, reason=_STOPPED))
                raise
            except Exception as error:
                # Nobody would ever be answered again if the committer ended here.
                _log.exception("A batch of consumptions failed.")
                self._fail(calls, error)

    def _next_calls(self) -> list[_Call]:
        """The next batch, without those who have gone and those who have waited too long; nothing is written yet."""
        taken = self._queue.take(self._batch_max)
        WAITING.set(len(self._queue))
        too_early = time.monotonic_ns() - int(PATIENCE_SECONDS * 10**9)
        calls = []
        for call in taken:
            if call.since_ns < too_early:
                call.settle(LedgerUnavailable(_WHAT, attempts=0, reason="too many wait"))
            elif not call.answer.done():
                calls.append(call)
        return calls

    async def _settle(self, calls: Sequence[_Call]) -> None:
        """Commits the calls and answers them; those that fail together are parted until the culprit is alone."""
        try:
            outcomes = await self._commit([call.item for call in calls])
        except LedgerUnavailable as error:
            self._fail(calls, error)
        except Exception as error:
            if len(calls) == 1:
                _log.exception("The consumption %r failed.", calls[0].item.order.operation_id)
                calls[0].settle(error)
                return
            middle = len(calls) // 2
            await self._settle(calls[:middle])
            await self._settle(calls[middle:])
        else:
            for call in calls:
                call.settle(outcomes[call.item])

    async def _commit(self, items: Sequence[Item]) -> dict[Item, Outcome]:
        """The outcome of every item, committed."""
        outcomes: dict[Item, Outcome] = {}
        waiting = items
        while waiting:
            try:
                decision = await self._transact(waiting)
            except _Taken:
                found = await self._recorded(waiting)
                if not found:
                    raise
            else:
                outcomes |= decision.outcomes
                self._tell(decision.changes)
                # Nobody who repeats an accepted request must hear that credits are lacking now.
                refused = [item for item in waiting if isinstance(outcomes[item], InsufficientCredits)]
                outcomes |= await self._recorded(refused)
                break
            outcomes |= found
            waiting = [item for item in waiting if item not in found]
        return outcomes

    async def _transact(self, items: Sequence[Item]) -> Decision:
        try:
            return await self._attempt(items, skip_locked=False)
        except LedgerUnavailable as held:
            if held.reason != LOCK_TIMEOUT:
                raise
            # Somebody sits on one of the accounts. The others need not suffer for it.
            decision = await self._attempt(items, skip_locked=True)
            for item, outcome in decision.outcomes.items():
                if isinstance(outcome, UnknownAccount):
                    decision.outcomes[item] = held
            return decision

    async def _attempt(self, items: Sequence[Item], *, skip_locked: bool) -> Decision:
        demands: dict[UUID, int] = {}
        for item in items:
            demands[item.account_id] = demands.get(item.account_id, 0) + item.order.credits

        async def work(tx: AsyncConnection) -> Decision:
            spenders = await lock_spenders(tx, demands, skip_locked=skip_locked)
            decision = decide(spenders, items)
            if decision.writes.operations:
                if not await write_consumptions(tx, decision.writes):
                    raise _Taken
                for item in items:
                    item.may_be_written = True
            return decision

        BATCH_SIZES.observe(len(items))
        return await with_serializable_transaction(self._engine, work, what=_WHAT)

    async def _recorded(self, items: Sequence[Item]) -> dict[Item, Outcome]:
        """The outcomes of those items whose operation ids are taken. What is recorded never changes, so that it may
        be read outside the transaction, where it is in nobody's way."""
        if not items:
            return {}
        keys = [item.key for item in items]
        recorded = await with_transaction(self._engine, lambda tx: find_operations(tx, keys), what="find consumptions")
        return {item: answer_recorded(item, recorded[item.key]) for item in items if item.key in recorded}

    def _fail(self, calls: Sequence[_Call], error: Exception) -> None:
        for call in calls:
            call.settle(error)

    def _tell(self, changes: dict[UUID, int]) -> None:
        self._changes |= changes
        self._changed.set()

    async def _announce_again_and_again(self) -> None:
        """Announces what a batch has changed while the next one is being committed."""
        while self._running or self._changes:
            await self._changed.wait()
            self._changed.clear()
            changes, self._changes = self._changes, {}
            await announce_all(self._engine, [AccountChange(account_id, seq) for account_id, seq in changes.items()])


async def _end(task: asyncio.Task[None]) -> None:
    """Lets the task finish what it has begun, for some seconds."""
    await asyncio.wait([task], timeout=FINISH_SECONDS)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
