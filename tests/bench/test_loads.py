"""How load is put on: nobody is counted twice, nothing that fails is passed over, arrivals wait for nobody."""

import asyncio

import pytest

from bench.loads import closed_loop, open_loop


async def test_callers_of_a_closed_loop_have_one_call_each_under_way() -> None:
    under_way: set[int] = set()
    seen: list[tuple[int, int]] = []

    async def call(caller: int, number: int) -> None:
        assert caller not in under_way
        under_way.add(caller)
        await asyncio.sleep(0.001)
        under_way.remove(caller)
        seen.append((caller, number))

    load = await closed_loop(call, callers=3, warm_seconds=0.02, seconds=0.05)
    assert len(seen) == len(set(seen)) == load.total > load.answered == len(load.latencies) > 0
    assert {caller for caller, _ in seen} == {0, 1, 2}


async def test_a_call_that_fails_fails_the_measurement() -> None:
    async def call(caller: int, number: int) -> None:
        raise ValueError(number)

    with pytest.raises(ValueError, match="1"):
        await closed_loop(call, callers=1, warm_seconds=0, seconds=1)
    with pytest.raises(ExceptionGroup) as failed:
        await open_loop(call, rate=100, warm_seconds=0, seconds=1, seed=1)
    assert failed.group_contains(ValueError)


async def test_arrivals_wait_for_no_answer_and_are_the_same_for_a_seed() -> None:
    totals = []
    for _ in range(2):
        answered = asyncio.Event()
        waiting: list[int] = []

        async def call(
            caller: int, number: int, waiting: list[int] = waiting, answered: asyncio.Event = answered
        ) -> None:
            waiting.append(number)
            if len(waiting) == 5:
                answered.set()
            await answered.wait()

        load = await open_loop(call, rate=200, warm_seconds=0, seconds=0.2, seed=7)
        assert waiting == list(range(1, load.total + 1))
        totals.append(load.total)
    assert totals[0] == totals[1] > 5


async def test_a_latency_counts_from_the_instant_the_call_was_due() -> None:
    """A caller that blocks the process makes later calls late, and they count as late."""
    lateness = 0.1
    blocked = False

    async def call(caller: int, number: int) -> None:
        nonlocal blocked
        if not blocked:
            blocked = True
            loop = asyncio.get_running_loop()
            until = loop.time() + lateness
            while loop.time() < until:
                pass

    load = await open_loop(call, rate=200, warm_seconds=0, seconds=0.1, seed=7)
    assert sum(latency > lateness / 4 for latency in load.latencies) > 3
