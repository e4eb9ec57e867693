"""Rows of latency: the 99th percentile at a rate that the naive pattern can just half fill, and one caller alone."""

from collections.abc import Collection
from dataclasses import replace

from bench.comparing import Comparison, Measure
from bench.rows import Goal, GoalIs, Row
from bench.run import Accounts, Run
from bench.seeding import Seed
from bench.throughput import SPREAD_ACCOUNTS

_NAIVE = "naive SERIALIZABLE pattern at the same offered rate"
_CALLERS_OF_SATURATION = 64

_AT_RATE = tuple(
    Comparison(
        name=f"p99-{place}",
        what=f"p99 at half of the naive pattern's saturation, {accounts}",
        ours=f"ledger {place} at a rate",
        baseline=f"naive {place} at a rate",
        baseline_name=_NAIVE,
        goal=Goal(GoalIs.RATIO_AT_MOST, at_most),
        unit="ms",
        figure=lambda sample: sample.p99_milliseconds,
    )
    for place, accounts, at_most in (("hot", "one account", 0.5), ("spread", "10,000 accounts", 1.2))
)
_ALONE = Comparison(
    name="alone",
    what="one caller alone: median latency",
    ours="ledger alone",
    baseline="bare call",
    baseline_name="the yardstick's function as one prepared statement by asyncpg, one caller",
    goal=Goal(GoalIs.RATIO_AT_MOST, 1.5),
    unit="ms",
    figure=lambda sample: sample.p50_milliseconds,
)
NAMES = (*(each.name for each in _AT_RATE), _ALONE.name)


async def measure_latency(run: Run, wanted: Collection[str]) -> list[Row]:
    """The wanted rows of these, on a database of their own."""
    async with run.server.database("latency") as database:
        await run.fill(database, Seed(accounts=SPREAD_ACCOUNTS + 1))
        spread = Accounts(database, 0, SPREAD_ACCOUNTS - 1)
        hot = Accounts(database, SPREAD_ACCOUNTS, SPREAD_ACCOUNTS)
        rows = []
        for comparison, accounts in zip(_AT_RATE, (hot, spread), strict=True):
            if comparison.name in wanted:
                rows.append(await _at_half_of_saturation(run, comparison, accounts))
        sides: dict[str, Measure] = {
            "ledger alone": lambda _: run.by_ledger(spread, 1),
            "bare call": lambda _: run.by_bare_call(spread),
        }
        rows += await run.compare(sides, [_ALONE], wanted, fewer=True)
        await run.check_records(database)
    return rows


async def _at_half_of_saturation(run: Run, comparison: Comparison, accounts: Accounts) -> Row:
    saturation = (await run.by_naive(accounts, _CALLERS_OF_SATURATION)).rate
    run.say(f"naive saturation for {comparison.name}: {saturation:,.0f}/s")
    rate = max(1.0, saturation / 2)
    sides: dict[str, Measure] = {
        comparison.ours: lambda number: run.at_rate("ledger", accounts, rate, round_number=number),
        comparison.baseline: lambda number: run.at_rate("naive", accounts, rate, round_number=number),
    }
    (row,) = await run.compare(sides, [comparison], [comparison.name], fewer=True)
    note = f"{rate:,.0f} calls/s offered, at random (Poisson); the naive pattern's saturation was {saturation:,.0f}/s"
    return replace(row, note=note)
