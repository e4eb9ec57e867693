"""One run: its server, its settings, and the ways to put load on."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import asyncpg

from bench.caller import Job
from bench.comparing import Comparison, Measure, compare
from bench.measuring import PgbenchJob, Sample, call_by_pgbench, call_in_processes
from bench.rows import Row
from bench.seeding import Seed, seed
from bench.server import BenchServer, Database
from bench.sides import Target


class CallsAreMissing(RuntimeError):
    """The database has not recorded as many consumptions as were answered: the figures are not to be believed."""


@dataclass(frozen=True)
class Accounts:
    """Accounts ``first`` to ``last`` of a database, which the calls of a side choose from at random."""

    database: Database
    first: int
    last: int


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

    @property
    def fewer_rounds(self) -> int:
        """Three of five: for what takes long, or varies little."""
        return max(1, self.rounds * 3 // 5)

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
        return await self._count(accounts.database, call_in_processes([job]))

    async def by_pgbench(self, accounts: Accounts, clients: int) -> Sample:
        """The yardstick."""
        self._last_run += 2
        job = PgbenchJob(
            *(accounts.database, accounts.first, accounts.last, self._last_run, clients),
            *(self.seconds, self.warm_seconds),
        )
        return await self._count(accounts.database, call_by_pgbench(job))

    async def compare(
        self,
        sides: Mapping[str, Measure],
        comparisons: Sequence[Comparison],
        wanted: Collection[str],
        *,
        fewer: bool = False,
    ) -> list[Row]:
        """The wanted rows, measured in turns; in fewer rounds where a round takes long."""
        rounds = self.fewer_rounds if fewer else self.rounds
        return await compare(sides, comparisons, wanted, rounds=rounds, say=self.say)

    async def check_records(self, database: Database) -> None:
        """Raises CallsAreMissing unless the database has recorded every call that was answered, and no other."""
        await check_records(database.owner_url, self._recorded[database.name])

    async def _by_processes(self, side: str, accounts: Accounts, callers: Sequence[int]) -> Sample:
        jobs = [Job(side, self._target(accounts), self.seconds, self.warm_seconds, callers=each) for each in callers]
        return await self._count(accounts.database, call_in_processes(jobs))

    def _target(self, accounts: Accounts) -> Target:
        self._last_run += 2
        return Target(accounts.database.app_url, accounts.first, accounts.last, self._last_run)

    async def _count(self, database: Database, measuring: Awaitable[Sample]) -> Sample:
        before = await self.server.cpu_of_ended_sessions()
        sample = await measuring
        self._recorded[database.name] += sample.total
        return replace(sample, server_cpu=await self.server.cpu_of_ended_sessions() - before)


async def check_records(owner_url: str, answered: int) -> None:
    """Raises CallsAreMissing unless the database has recorded that many consumptions."""
    session = await asyncpg.connect(owner_url, timeout=10)
    try:
        words = "SELECT count(*) FROM operations WHERE kind = 'consume'"
        recorded = await session.fetchval(words, timeout=120)
    finally:
        await session.close()
    if recorded != answered:
        raise CallsAreMissing(f"{answered:,} were answered, {recorded:,} recorded")
