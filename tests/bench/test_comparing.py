"""What a run keeps to: turns, the rows that were asked for, durability, and the count of what was answered."""

from pathlib import Path

import pytest

from bench.comparing import Comparison, Measure, compare
from bench.machine import NotDurable, describe_machine
from bench.measuring import Sample
from bench.rows import Goal, GoalIs
from bench.run import CallsAreMissing, check_records
from bench.seeding import Seed, seed
from tests.conftest import Database

TWICE = Goal(GoalIs.RATIO_AT_LEAST, 2)


def sides(order: list[str], rates: dict[str, float]) -> dict[str, Measure]:
    """Sides that answer with a rate times the round, and note when they were measured."""

    def side(name: str) -> Measure:
        async def measure(round_number: int) -> Sample:
            order.append(f"{name} {round_number}")
            return Sample(rate=rates[name] * round_number, total=10, retries=round_number)

        return measure

    return {name: side(name) for name in rates}


async def test_sides_take_turns_and_only_those_that_a_wanted_row_needs() -> None:
    order: list[str] = []
    told: list[str] = []
    comparisons = [
        Comparison("a", "", "ours", "theirs", "them", TWICE),
        Comparison("b", "", "ours", "other", "it", TWICE),
    ]
    measured = sides(order, {"ours": 20, "theirs": 10, "other": 1})
    (row,) = await compare(measured, comparisons, ["a"], rounds=3, say=told.append)
    assert order == ["ours 1", "theirs 1", "ours 2", "theirs 2", "ours 3", "theirs 3"]
    assert (row.ours, row.baseline, row.ratio, row.met) == ([20, 40, 60], [10, 20, 30], 2, True)
    assert len(told) == 6


async def test_a_baseline_that_does_not_show_what_it_is_there_for_meets_nothing() -> None:
    comparison = Comparison(
        *("retries", "", "ours", "theirs", "them", Goal(GoalIs.OURS_AT_MOST, 1)),
        figure=lambda sample: sample.retries_a_call,
        baseline_at_least=0.2,
    )
    (row,) = await compare(sides([], {"ours": 1, "theirs": 1}), [comparison], ["retries"], rounds=2, say=lambda _: None)
    assert row.baseline == [0.1, 0.2]
    assert not row.met


async def test_nothing_is_measured_on_a_server_that_may_lose_commits(plain_database: Database, tmp_path: Path) -> None:
    """The tests' own server does not flush."""
    with pytest.raises(NotDurable, match="fsync, full_page_writes must be on"):
        await describe_machine(plain_database.app_url, tmp_path)


async def test_figures_are_refused_when_the_database_has_recorded_more_or_less(plain_database: Database) -> None:
    await seed(plain_database.superuser_url, Seed(accounts=2, spent=3), lambda words: None)
    await check_records(plain_database.owner_url, 6)
    for wrong in (5, 7):
        with pytest.raises(CallsAreMissing, match="6 recorded"):
            await check_records(plain_database.owner_url, wrong)
