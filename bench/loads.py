"""The two ways to put load on: callers who each wait for their answer, and arrivals that wait for nobody."""

import asyncio
import random
import time
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

# One call: which caller, and the how-manieth of that caller.
Call = Callable[[int, int], Awaitable[None]]

# Those who came in time are answered in time, or the system cannot take this rate.
_STRAGGLERS_SECONDS = 30.0


@dataclass(frozen=True)
class Load:
    """What was answered: ``answered`` calls in ``seconds`` of measuring, ``total`` with the warm-up and the rest.

    ``latencies`` are those of the answered, in seconds, sorted.
    """

    answered: int
    total: int
    seconds: float
    latencies: "array[float]"

    def percentile(self, percent: float) -> float:
        """The latency that so many per cent of the calls did not exceed, in seconds; 0 where none was answered."""
        if not self.latencies:
            return 0.0
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * percent / 100))]


async def closed_loop(call: Call, *, callers: int, warm_seconds: float, seconds: float) -> Load:
    """Callers who send their next call when the last one was answered. What is answered in the time after the warm-up
    counts."""
    latencies: array[float] = array("d")
    clock = time.perf_counter
    begin = clock() + warm_seconds
    end = begin + seconds
    totals = [0] * callers

    async def go(caller: int) -> None:
        sent = clock()
        while sent < end:
            totals[caller] += 1
            await call(caller, totals[caller])
            answered = clock()
            if begin <= answered < end:
                latencies.append(answered - sent)
            sent = answered

    await asyncio.gather(*(go(caller) for caller in range(callers)))
    return _load(latencies, sum(totals), seconds)


async def open_loop(call: Call, *, rate: float, warm_seconds: float, seconds: float, seed: int) -> Load:
    """Calls that arrive at random (Poisson) at a rate per second, whatever becomes of the earlier ones.

    A latency counts from the instant at which the call should have been sent. The same seed gives the same arrivals.
    """
    chance = random.Random(seed)
    latencies: array[float] = array("d")
    clock = time.perf_counter
    start = clock()
    begin, end = start + warm_seconds, start + warm_seconds + seconds
    waiting: set[asyncio.Task[None]] = set()
    errors: list[Exception] = []

    async def go(number: int, scheduled: float) -> None:
        try:
            await call(0, number)
        except Exception as error:  # told below: nobody waits for this task
            errors.append(error)
        if scheduled >= begin:
            latencies.append(clock() - scheduled)

    number, scheduled = 0, start + chance.expovariate(rate)
    while scheduled < end and not errors:
        delay = scheduled - clock()
        if delay > 0:
            await asyncio.sleep(delay)
        number += 1
        task = asyncio.create_task(go(number, scheduled))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
        scheduled += chance.expovariate(rate)
    async with asyncio.timeout(_STRAGGLERS_SECONDS):
        await asyncio.gather(*waiting)
    if errors:
        raise ExceptionGroup("calls failed", errors[:10])
    return _load(latencies, number, seconds)


def _load(latencies: "array[float]", total: int, seconds: float) -> Load:
    return Load(len(latencies), total, seconds, array("d", sorted(latencies)))
