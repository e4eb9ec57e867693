"""Rows of scale: with 10,000 exhausted grants an account, with 5 million journal rows, and with two processes."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from bench.comparing import Comparison, Measure
from bench.measuring import Sample
from bench.rows import Goal, GoalIs, Row
from bench.run import Accounts, Run
from bench.seeding import Seed
from bench.throughput import SPREAD_ACCOUNTS

_CALLERS = 64
_CALLERS_OF_PROCESSES = (64, 512)
_EXHAUSTED_ACCOUNTS = 20
_SMALL = 50  # a quick run makes this much less of everything

_AS_FAST = Goal(GoalIs.RATIO_AT_LEAST, 0.9)

_EXHAUSTED = Comparison(
    name="exhausted-grants",
    what=f"10,000 exhausted grants an account, {_EXHAUSTED_ACCOUNTS} accounts, {_CALLERS} callers",
    ours="ledger with many exhausted grants",
    baseline="ledger with one exhausted grant",
    baseline_name="the same with 1 exhausted grant an account",
    goal=_AS_FAST,
)
_JOURNAL = Comparison(
    name="long-journal",
    what=f"5 million journal rows, 10,000 accounts, {_CALLERS} callers",
    ours="ledger with a long journal",
    baseline="ledger with a short journal",
    baseline_name="the same with 50 thousand journal rows",
    goal=_AS_FAST,
)


def _two(callers: int) -> str:
    return f"two processes, {callers // 2} callers each"


def _one(callers: int) -> str:
    return f"one process, {callers} callers"


def _in_shares(samples: Sequence[Sample]) -> str:
    """Whether both get on, and not only their sum."""
    shares = sorted(sample.least_share for sample in samples)
    p99s = sorted(sample.p99_milliseconds for sample in samples)
    retries = max(sample.retries_a_call for sample in samples)
    return (
        f"the slower process had {shares[0]:.0%} to {shares[-1]:.0%} of the calls, its p99 was {p99s[0]:,.0f} to "
        f"{p99s[-1]:,.0f} ms; at most {retries:.3f} retries per consumption"
    )


_PROCESSES = tuple(
    Comparison(
        name=f"two-processes-{callers}",
        what=f"two processes on one account, {callers} callers in all",
        ours=_two(callers),
        baseline=_one(callers),
        baseline_name="one process with as many callers",
        goal=Goal(GoalIs.RATIO_AT_LEAST, 0.7),
        remark=_in_shares,
    )
    for callers in _CALLERS_OF_PROCESSES
)
NAMES = (_EXHAUSTED.name, _JOURNAL.name, *(each.name for each in _PROCESSES))


async def measure_exhausted(run: Run, wanted: Collection[str]) -> list[Row]:
    """The row of exhausted grants, if it is wanted."""
    exhausted = 10_000 // (_SMALL if run.quick else 1)
    few, many = Seed(_EXHAUSTED_ACCOUNTS, exhausted=1), Seed(_EXHAUSTED_ACCOUNTS, exhausted=exhausted)
    return await _by_size(run, _EXHAUSTED, few, many, wanted)


async def measure_journal(run: Run, wanted: Collection[str]) -> list[Row]:
    """The row of the long journal, if it is wanted."""
    accounts = SPREAD_ACCOUNTS // (_SMALL if run.quick else 1)
    # Three entries of each account are those of its grants.
    return await _by_size(run, _JOURNAL, Seed(accounts, spent=2), Seed(accounts, spent=497), wanted)


async def _by_size(run: Run, comparison: Comparison, small: Seed, large: Seed, wanted: Collection[str]) -> list[Row]:
    if comparison.name not in wanted:
        return []
    async with run.server.database("small") as first, run.server.database("large") as second:
        await run.fill(first, small)
        await run.fill(second, large)
        of_small, of_large = Accounts(first, 0, small.accounts - 1), Accounts(second, 0, large.accounts - 1)
        # What was never read since the start of the server is read once.
        await run.by_ledger(of_small, _CALLERS)
        await run.by_ledger(of_large, _CALLERS)
        rows = await run.compare(
            {
                comparison.ours: lambda _: run.by_ledger(of_large, _CALLERS),
                comparison.baseline: lambda _: run.by_ledger(of_small, _CALLERS),
            },
            [comparison],
            wanted,
        )
        await run.check_records(first)
        await run.check_records(second)
    note = f"{large.journal_rows:,} journal rows against {small.journal_rows:,} at the start"
    return [replace(row, note=note) for row in rows]


async def measure_processes(run: Run, wanted: Collection[str]) -> list[Row]:
    """The rows of two processes that are wanted."""
    async with run.server.database("processes") as database:
        await run.fill(database, Seed(accounts=1))
        hot = Accounts(database, 0, 0)
        sides: dict[str, Measure] = {}
        for callers in _CALLERS_OF_PROCESSES:
            sides[_two(callers)] = _by_processes(run, hot, callers // 2, callers // 2)
            sides[_one(callers)] = _by_processes(run, hot, callers)
        rows = await run.compare(sides, _PROCESSES, wanted)
        await run.check_records(database)
    return rows


def _by_processes(run: Run, accounts: Accounts, *callers: int) -> Measure:
    async def measure(_: int) -> Sample:
        return await run.by_ledger(accounts, *callers)

    return measure
