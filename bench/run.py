"""One run: the sides that rows compare, measured in turns, round by round."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from bench.caller import Job
from bench.measuring import PgbenchJob, Sample, call_by_pgbench, call_in_processes
from bench.rows import Goal, Row
from bench.seeding import Seed, seed
from bench.server import BenchServer, Database
from bench.sides import Target

# A measurement of one round, by its number.
Measure = Callable[[int], Awaitable[Sample]]


class CallsAreMissing(RuntimeError):
    """The database has not recorded as many consumptions as were answered: the figures are not to be believed."""


@dataclass(frozen=True)
class Accounts:
    """Accounts ``first`` to ``last`` of a database, which the calls of a side choose from at random."""

    database: Database
    first: int
    last: int


@dataclass(frozen=True)
class Comparison:
    """A row to be: two sides by their names, the figure of a sample that is compared, and the goal.

    ``baseline_at_least`` is what the baseline must show for the row to mean anything.
    """

    name: str
    what: str
    ours: str
    baseline: str
    baseline_name: str
    goal: Goal
    unit: str = "calls/s"
    figure: Callable[[Sample], float] = lambda sample: sample.rate
    baseline_at_least: float = 0.0
    note: str = ""


@dataclass
class Run:
    """The run's server and settings, and what it has counted so far."""

    server: BenchServer
    rounds: int
    seconds: int
    warm_seconds: int
    quick: bool
    say: Callable[[str], None]
    _last_run: int = 0
    _recorded: dict[str, int] = field(default_factory=dict)

    async def fill(self, database: Database, wanted: Seed) -> None:
        """Seeds a database, and settles the disk."""
        await seed(database.superuser_url, wanted, lambda words: self.say(f"seeding {database.name}: {words}"))
        await self.server.checkpoint()
        self._recorded[database.name] = wanted.consumptions

    async def by_ledger(self, accounts: Accounts, *callers: int) -> Sample:
        """The ledger's public function in a closed loop; a process for each number of callers."""
        return await self._by_processes("ledger", accounts, callers)

    async def by_naive(self, accounts: Accounts, callers: int) -> Sample:
        """The naive pattern in a closed loop."""
        return await self._by_processes("naive", accounts, [callers])

    async def by_bare_call(self, accounts: Accounts) -> Sample:
        """One caller of the yardstick's function by asyncpg."""
        return await self._by_processes("bare", accounts, [1])

    async def at_rate(self, side: str, accounts: Accounts, rate: float, *, round_number: int) -> Sample:
        """``ledger`` or ``naive`` under calls that arrive at random; the same ones for all sides of a round."""
        # A percentile needs calls, and there are few at the naive pattern's rate.
        job = Job(side, self._target(accounts), self.seconds * 2, self.warm_seconds, rate=rate, seed=round_number)
        return self._count(accounts.database, await call_in_processes([job]))

    async def by_pgbench(self, accounts: Accounts, clients: int = 16) -> Sample:
        """The yardstick."""
        self._last_run += 2
        job = PgbenchJob(
            *(accounts.database, accounts.first, accounts.last, self._last_run, clients),
            *(self.seconds, self.warm_seconds),
        )
        return self._count(accounts.database, await call_by_pgbench(job))

    async def compare(
        self, sides: Mapping[str, Measure], comparisons: Sequence[Comparison], wanted: Collection[str]
    ) -> list[Row]:
        """The wanted rows: in every round each side that they need is measured once, in the order of ``sides``."""
        chosen = [each for each in comparisons if each.name in wanted]
        needed = {name for each in chosen for name in (each.ours, each.baseline)}
        samples: dict[str, list[Sample]] = {name: [] for name in sides if name in needed}
        for round_number in range(1, self.rounds + 1):
            for name in samples:
                sample = await sides[name](round_number)
                samples[name].append(sample)
                self.say(f"round {round_number}/{self.rounds} · {name}: {_in_words(sample)}")
        return [_row(each, samples) for each in chosen]

    async def check_records(self, database: Database) -> None:
        """Raises CallsAreMissing unless the database has recorded every call that was answered, and no other."""
        session = await asyncpg.connect(database.owner_url, timeout=10)
        try:
            words = "SELECT count(*) FROM operations WHERE kind = 'consume'"
            recorded = await session.fetchval(words, timeout=120)
        finally:
            await session.close()
        if recorded != self._recorded[database.name]:
            raise CallsAreMissing(f"{self._recorded[database.name]:,} were answered, {recorded:,} recorded")

    async def _by_processes(self, side: str, accounts: Accounts, callers: Sequence[int]) -> Sample:
        jobs = [Job(side, self._target(accounts), self.seconds, self.warm_seconds, callers=each) for each in callers]
        return self._count(accounts.database, await call_in_processes(jobs))

    def _target(self, accounts: Accounts) -> Target:
        self._last_run += 2
        return Target(accounts.database.app_url, accounts.first, accounts.last, self._last_run)

    def _count(self, database: Database, sample: Sample) -> Sample:
        self._recorded[database.name] += sample.total
        return sample


def _row(comparison: Comparison, samples: Mapping[str, Sequence[Sample]]) -> Row:
    baseline = [comparison.figure(sample) for sample in samples[comparison.baseline]]
    return Row(
        name=comparison.name,
        what=comparison.what,
        unit=comparison.unit,
        ours=[comparison.figure(sample) for sample in samples[comparison.ours]],
        baseline=baseline,
        baseline_name=comparison.baseline_name,
        goal=comparison.goal,
        note=comparison.note,
        kept=min(baseline) >= comparison.baseline_at_least,
    )


def _in_words(sample: Sample) -> str:
    words = f"{sample.rate:,.0f}/s, {sample.retries_a_call:.3f} retries a call, {sample.p50_milliseconds:.2f} ms"
    return f"{words}, p99 {sample.p99_milliseconds:.1f} ms" if sample.p99_milliseconds else words
