"""Rows of throughput: 10,000 accounts and one hot account, by the ledger, by pgbench and by the naive pattern."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from operator import itemgetter
from statistics import median

from bench.comparing import Comparison, Measure
from bench.rows import Goal, GoalIs, Row
from bench.run import Accounts, Run
from bench.seeding import Seed

SPREAD_ACCOUNTS = 10_000

_CLIENTS = 16
_PGBENCH = f"pgbench, one PL/pgSQL call a SERIALIZABLE transaction, {_CLIENTS} clients"
_NAIVE = "naive SERIALIZABLE pattern, asyncpg, pool of 16, as many callers"
_SPREAD = "10,000 accounts"
_HOT = "one account"


def _at_least(value: float, stretch: float | None = None) -> Goal:
    return Goal(GoalIs.RATIO_AT_LEAST, value, stretch)


_COMPARISONS = (
    Comparison(
        "spread-64", f"{_SPREAD}, 64 callers", "ledger spread 64", "pgbench spread", _PGBENCH, _at_least(2, 2.5)
    ),
    Comparison(
        "spread-512", f"{_SPREAD}, 512 callers", "ledger spread 512", "pgbench spread", _PGBENCH, _at_least(2.5, 3.5)
    ),
    Comparison("hot-64", f"{_HOT}, 64 callers", "ledger hot 64", "pgbench hot", _PGBENCH, _at_least(30, 40)),
    Comparison("hot-512", f"{_HOT}, 512 callers", "ledger hot 512", "pgbench hot", _PGBENCH, _at_least(40, 50)),
    Comparison("hot-64-naive", f"{_HOT}, 64 callers", "ledger hot 64", "naive hot 64", _NAIVE, _at_least(40, 50)),
    Comparison("hot-512-naive", f"{_HOT}, 512 callers", "ledger hot 512", "naive hot 512", _NAIVE, _at_least(40, 50)),
    Comparison(
        "retries-hot",
        f"serialization retries per consumption, {_HOT}, 64 callers",
        "ledger hot 64",
        "naive hot 64",
        _NAIVE,
        Goal(GoalIs.OURS_AT_MOST, 0.02),
        unit="retries/call",
        figure=lambda sample: sample.retries_a_call,
        baseline_at_least=1.0,
    ),
    Comparison(
        "retries-spread",
        f"serialization retries per consumption, {_SPREAD}, 512 callers",
        "ledger spread 512",
        "pgbench spread",
        _PGBENCH,
        Goal(GoalIs.OURS_AT_MOST, 0.02),
        unit="retries/call",
        figure=lambda sample: sample.retries_a_call,
    ),
)
NAMES = tuple(each.name for each in _COMPARISONS)

# pgbench's other numbers of clients, tried once, so that nobody need wonder whether 16 is a bad choice.
_OTHER_CLIENTS = (1, 8, 32)


async def measure_throughput(run: Run, wanted: Collection[str]) -> list[Row]:
    """The wanted rows of these, on a database of their own."""
    async with run.server.database("throughput") as database:
        # The hot account is the last one, and none of the spread.
        await run.fill(database, Seed(accounts=SPREAD_ACCOUNTS + 1))
        spread = Accounts(database, 0, SPREAD_ACCOUNTS - 1)
        hot = Accounts(database, SPREAD_ACCOUNTS, SPREAD_ACCOUNTS)
        sides: dict[str, Measure] = {
            "ledger spread 64": lambda _: run.by_ledger(spread, 64),
            "pgbench spread": lambda _: run.by_pgbench(spread, _CLIENTS),
            "ledger spread 512": lambda _: run.by_ledger(spread, 512),
            "ledger hot 64": lambda _: run.by_ledger(hot, 64),
            "pgbench hot": lambda _: run.by_pgbench(hot, _CLIENTS),
            "ledger hot 512": lambda _: run.by_ledger(hot, 512),
            "naive hot 64": lambda _: run.by_naive(hot, 64),
            "naive hot 512": lambda _: run.by_naive(hot, 512),
        }
        rows = await run.compare(sides, _COMPARISONS, wanted)
        others = {
            "spread": await _other_clients(run, spread, "spread", rows),
            "hot": await _other_clients(run, hot, "hot", rows),
        }
        await run.check_records(database)
    return [_noted(row, others) for row in rows]


async def _other_clients(run: Run, accounts: Accounts, place: str, rows: Sequence[Row]) -> dict[int, float]:
    """The rates of pgbench with other numbers of clients; only where a row is beside pgbench's rate."""
    if run.quick or not any(_is_beside_pgbench(row, place) for row in rows):
        return {}
    rates = {}
    for clients in _OTHER_CLIENTS:
        rates[clients] = (await run.by_pgbench(accounts, clients)).rate
        run.say(f"pgbench {place} with {clients} client(s), once: {rates[clients]:,.0f}/s")
    return rates


def _is_beside_pgbench(row: Row, place: str) -> bool:
    return row.baseline_name == _PGBENCH and row.name.startswith(f"{place}-")


def _noted(row: Row, others: dict[str, dict[int, float]]) -> Row:
    for place, rates in others.items():
        if rates and _is_beside_pgbench(row, place):
            best = max((*rates.items(), (_CLIENTS, median(row.baseline))), key=itemgetter(1))
            told = ", ".join(f"{rate:,.0f}/s with {clients}" for clients, rate in rates.items())
            return replace(row, note=f"pgbench with other numbers of clients, once each: {told}; best with {best[0]}")
    return row
