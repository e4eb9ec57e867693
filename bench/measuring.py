"""One measurement: a process that calls, or pgbench, started, awaited and read."""

import asyncio
import json
import re
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.accounts import account_tail
from bench.caller import Job
from bench.server import Database
from bench.sides import PLANNER_SETTINGS
from local.folders import project_dir

_SCRIPT = Path(__file__).with_name("one_call.pgbench")
_THREADS = 2
# Beyond its seconds: starting, connecting, and answering the last calls.
_GRACE_SECONDS = 90.0


class MeasurementFailed(RuntimeError):
    """A process that measures ended with an error; the message is what it wrote."""


@dataclass(frozen=True)
class Sample:
    """What one measurement found. ``total`` counts the warm-up too, ``retries`` belong to ``total``.

    Of pgbench's latencies only the mean is known; it stands in for the median. With several processes the latencies are
    those of the slowest, and ``least_share`` is its part of the answered calls. ``caller_cpu`` and ``server_cpu`` are
    the seconds of a core that the callers' processes and PostgreSQL's sessions took for ``total``.
    """

    rate: float
    total: int
    retries: int
    p50_milliseconds: float = 0.0
    p99_milliseconds: float = 0.0
    least_share: float = 1.0
    caller_cpu: float = 0.0
    server_cpu: float = 0.0

    @property
    def retries_a_call(self) -> float:
        """How many transactions were repeated for each that was committed."""
        return self.retries / self.total


async def call_in_processes(jobs: Sequence[Job]) -> Sample:
    """Runs the jobs at the same time, each in a process of its own that starts when all are ready.

    Raises:
        MeasurementFailed: if one of them fails.
    """
    processes = [await _started(job) for job in jobs]
    try:
        async with asyncio.timeout(max(job.seconds + job.warm_seconds for job in jobs) + _GRACE_SECONDS):
            for process in processes:
                await _ready(process)
            done = await asyncio.gather(*(_finished(process) for process in processes))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    answered = [each["answered"] for each in done]
    return Sample(
        rate=sum(each["answered"] / each["seconds"] for each in done),
        total=sum(each["total"] for each in done),
        retries=sum(each["retries"] for each in done),
        p50_milliseconds=max(each["p50Milliseconds"] for each in done),
        p99_milliseconds=max(each["p99Milliseconds"] for each in done),
        least_share=min(answered) / max(1, sum(answered)),
        caller_cpu=sum(each["cpuSeconds"] for each in done),
    )


async def _started(job: Job) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.caller", job.to_json()),
        cwd=project_dir(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None  # noqa: S101 - it has a pipe
    if await process.stdout.readline() != b"ready\n":
        _, said = await process.communicate()
        raise MeasurementFailed(said.decode())


async def _finished(process: asyncio.subprocess.Process) -> dict[str, Any]:
    answer, said = await process.communicate(b"go\n")
    if process.returncode != 0:
        raise MeasurementFailed(said.decode())
    found: dict[str, Any] = json.loads(answer)
    return found


@dataclass(frozen=True)
class PgbenchJob:
    """The yardstick by pgbench: ``clients`` sessions that spend from accounts ``first`` to ``last``.

    Its calls are those of ``run``, and its warm-up's those of the next run.
    """

    database: Database
    first: int
    last: int
    run: int
    clients: int
    seconds: int
    warm_seconds: int


async def call_by_pgbench(job: PgbenchJob) -> Sample:
    """Runs pgbench, first to warm up; retries are unlimited and counted.

    Raises:
        MeasurementFailed: if pgbench fails, or one of its transactions does for another reason than a conflict.
    """
    before = _cpu_of_finished_children()
    warmed = await _pgbench(replace(job, run=job.run + 1, seconds=job.warm_seconds)) if job.warm_seconds else None
    sample = await _pgbench(job)
    sample = replace(sample, caller_cpu=_cpu_of_finished_children() - before)
    if warmed is None:
        return sample
    return replace(sample, total=sample.total + warmed.total, retries=sample.retries + warmed.retries)


def _cpu_of_finished_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


async def _pgbench(job: PgbenchJob) -> Sample:
    options = "".join(f"-c {name}={value} " for name, value in PLANNER_SETTINGS.items())
    options += "-c default_transaction_isolation=serializable"
    process = await asyncio.create_subprocess_exec(
        *(job.database.pgbench, "-n", "-M", "prepared", "-c", str(job.clients), "-j", str(min(_THREADS, job.clients))),
        *("-T", str(job.seconds), "--max-tries=0", "-f", str(_SCRIPT)),
        *("-D", f"first={account_tail(job.first)}", "-D", f"last={account_tail(job.last)}"),
        *("-D", f"run={job.run}", "-D", "number=0"),
        f"{job.database.app_url}?options={quote(options)}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(job.seconds + _GRACE_SECONDS):
            answer, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise MeasurementFailed(said.decode())
    return _read(answer.decode())


def _read(answer: str) -> Sample:
    """pgbench's own words, in figures."""

    def figure(pattern: str) -> float:
        found = re.search(pattern, answer)
        if found is None:
            raise MeasurementFailed(f"pgbench said nothing of {pattern!r}:\n{answer}")
        return float(found.group(1))

    if figure(r"number of failed transactions: (\d+)"):
        raise MeasurementFailed(answer)
    return Sample(
        rate=figure(r"tps = ([\d.]+) \(without initial connection time\)"),
        total=int(figure(r"number of transactions actually processed: (\d+)")),
        retries=int(figure(r"total number of retries: (\d+)")),
        p50_milliseconds=figure(r"latency average = ([\d.]+) ms"),
    )
