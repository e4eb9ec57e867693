"""A process of its own that lets its queue run full: ``python -m bench.queued URL ACCOUNTS``; it prints what it weighs.

The committer is held up by a lock on one account's row, and every other call waits in the queue; one more than the
queue holds is sent. Then the lock is released, and all are answered.
"""

import asyncio
import gc
import json
import resource
import sys
from dataclasses import asdict, dataclass

import asyncpg
import psutil

from bench.accounts import account_id
from bench.sides import sqlalchemy_url
from ledger.consuming import WAITING_MAX, ConsumeOrder, Consumption
from ledger.rules.errors import Overloaded
from ledger.transaction import open_engine

# The ledger waits no longer than this for a lock.
_LOCK_SECONDS = 5


@dataclass(frozen=True)
class Weight:
    """The resident bytes of the process before, with the queue full, at most, and after; and how the calls ended."""

    before_bytes: int
    full_bytes: int
    peak_bytes: int
    after_bytes: int
    queued: int
    one_too_many_was_refused: bool
    answered: int


async def _weigh(app_url: str, accounts: int) -> Weight:
    engine = open_engine(sqlalchemy_url(app_url))
    consumption = Consumption(engine)
    blocker = await asyncpg.connect(app_url, timeout=10)
    async with consumption.running():
        # Whatever is set up at the first call is not the queue's weight.
        await consumption.consume(_order(0, "first"))
        gc.collect()
        before = _resident_bytes()
        lock = blocker.transaction()
        await lock.start()
        await blocker.execute("SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", account_id(0))
        held_up = asyncio.create_task(consumption.consume(_order(0, "held-up")))
        # The committer has taken it, and waits.
        await _until_somebody_waits(app_url)
        waiting = [
            asyncio.create_task(consumption.consume(_order(1 + number % (accounts - 1), f"queued-{number}")))
            for number in range(WAITING_MAX)
        ]
        await asyncio.sleep(0)
        full = _resident_bytes()
        refused = await _is_refused(consumption)
        await lock.rollback()
        await blocker.close()
        answered = await asyncio.gather(held_up, *waiting)
        gc.collect()
        after = _resident_bytes()
    await engine.dispose()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Weight(before, full, peak, after, len(waiting), refused, len(answered))


def _order(account: int, operation_id: str) -> ConsumeOrder:
    return ConsumeOrder(account_id(account), operation_id, 1, actor="bench", request_id=operation_id)


async def _is_refused(consumption: Consumption) -> bool:
    try:
        await asyncio.wait_for(consumption.consume(_order(1, "one-too-many")), 1)
    except Overloaded:
        return True
    except TimeoutError:
        return False
    return False


async def _until_somebody_waits(app_url: str) -> None:
    watcher = await asyncpg.connect(app_url, timeout=10)
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    try:
        async with asyncio.timeout(_LOCK_SECONDS):
            while not await watcher.fetchval(waits):  # noqa: ASYNC110 - the event is in another process
                await asyncio.sleep(0.01)
    finally:
        await watcher.close()


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    weight = asyncio.run(_weigh(sys.argv[1], int(sys.argv[2])))
    sys.stdout.write(json.dumps(asdict(weight)) + "\n")
