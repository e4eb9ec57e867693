"""The row of memory: what a process weighs when its queue is full, and that the queue has an end."""

import asyncio
import json
import sys
from collections.abc import Collection, Sequence
from statistics import median

from bench.measuring import MeasurementFailed
from bench.queued import Weight
from bench.rows import Goal, GoalIs, Row
from bench.run import Run
from bench.seeding import Seed
from local.folders import project_dir

NAMES = ("memory",)
_ACCOUNTS = 1_000
_SECONDS = 60
_MIB = 2**20


async def measure_memory(run: Run, wanted: Collection[str]) -> list[Row]:
    """The row, if it is wanted; each round is a process."""
    if not set(NAMES) & set(wanted):
        return []
    weights = []
    for number in range(1, run.fewer_rounds + 1):
        async with run.server.database(f"memory_{number}") as database:
            await run.fill(database, Seed(_ACCOUNTS))
            weight = await _weigh(database.app_url)
        weights.append(weight)
        run.say(
            f"round {number}/{run.fewer_rounds} · memory: {weight.before_bytes / _MIB:.0f} MiB, "
            f"{weight.full_bytes / _MIB:.0f} MiB with {weight.queued:,} queued calls"
        )
    return [_row(weights)]


async def _weigh(app_url: str) -> Weight:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.queued", app_url, str(_ACCOUNTS)),
        cwd=project_dir(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            answer, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise MeasurementFailed(said.decode())
    return Weight(**json.loads(answer))


def _row(weights: Sequence[Weight]) -> Row:
    first = weights[0]
    a_call = median((each.full_bytes - each.before_bytes) / each.queued for each in weights)
    peak, after = (max(each.peak_bytes for each in weights), max(each.after_bytes for each in weights))
    refused = all(each.one_too_many_was_refused for each in weights)
    return Row(
        name="memory",
        what=f"resident memory of a process with {first.queued:,} queued calls",
        unit="MiB",
        ours=[each.full_bytes / _MIB for each in weights],
        baseline=[each.before_bytes / _MIB for each in weights],
        baseline_name="the same process before them",
        goal=Goal(GoalIs.REPORTED),
        note=(
            f"{a_call:,.0f} bytes a queued call with its waiting caller; call {first.queued + 1:,} was "
            f"{'refused' if refused else 'not refused'}; peak {peak / _MIB:.0f} MiB while they were answered, "
            f"{after / _MIB:.0f} MiB after"
        ),
        kept=refused and all(each.answered == each.queued + 1 for each in weights),
    )
