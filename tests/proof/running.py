"""Runs the machine on a database, in an event loop of its own."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proof.machine import LedgerMachine
from tests.proof.world import open_world

EVERYTHING = (Phase.explicit, Phase.generate, Phase.shrink, Phase.explain)


def run_machine(
    app_url: str,
    owner_url: str,
    *,
    examples: int,
    steps: int,
    seeded: int | None = None,
    phases: Sequence[Phase] = EVERYTHING,
) -> Counter[str]:
    """Runs that many examples of that many steps and gives how often which call was told what.

    ``seeded`` is Hypothesis' seed; without it the profile decides. Raises whatever is found.
    """
    loop = asyncio.new_event_loop()
    resources = AsyncExitStack()

    class Machine(LedgerMachine):
        pass

    try:
        Machine.loop, Machine.found = loop, []
        Machine.world = loop.run_until_complete(resources.enter_async_context(open_world(app_url, owner_url)))
        chosen = settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=phases,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        run_state_machine_as_test(Machine if seeded is None else seed(seeded)(Machine), settings=chosen)
        return Machine.world.told
    except BaseException as failure:
        if not Machine.found:
            raise
        # Hypothesis has its own words for a difference that it could not find again.
        raise Machine.found[-1] from failure
    finally:
        loop.run_until_complete(resources.aclose())
        loop.close()
