"""A process that calls: ``python -m bench.caller JOB``, with the job in JSON.

It prints ``ready`` when it is connected, begins when a line comes on its standard input, and prints what came of it as
one JSON object. What is measured so has a process of its own, as in production.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from bench.loads import closed_loop, open_loop
from bench.sides import SIDES, Target
from gateways.run import collect_seldom


@dataclass(frozen=True)
class Job:
    """What to call (a key of ``SIDES``), for what, and how: ``callers`` in a closed loop, or at a ``rate`` a second.

    ``seed`` decides when the calls arrive that come at a rate.
    """

    side: str
    target: Target
    seconds: float
    warm_seconds: float
    callers: int = 0
    rate: float = 0
    seed: int = 0

    def to_json(self) -> str:
        """The job as an argument of the process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, words: str) -> "Job":
        """The job from the argument."""
        fields: dict[str, Any] = json.loads(words)
        return cls(**{**fields, "target": Target(**fields["target"])})


async def _run(job: Job) -> dict[str, Any]:
    async with SIDES[job.side](job.target) as side:
        _wait_for_the_start()
        before = time.process_time()
        if job.callers:
            load = await closed_loop(side.call, callers=job.callers, warm_seconds=job.warm_seconds, seconds=job.seconds)
        else:
            load = await open_loop(
                side.call, rate=job.rate, warm_seconds=job.warm_seconds, seconds=job.seconds, seed=job.seed
            )
        return {
            "answered": load.answered,
            "total": load.total,
            "seconds": load.seconds,
            "retries": side.retries(),
            "cpuSeconds": time.process_time() - before,
            "p50Milliseconds": load.percentile(50) * 1000,
            "p99Milliseconds": load.percentile(99) * 1000,
        }


def _wait_for_the_start() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    collect_seldom()  # as the API's process does
    outcome = asyncio.run(_run(Job.from_json(sys.argv[1])))
    sys.stdout.write(json.dumps(outcome) + "\n")
