"""The results: their form, what counts as met, and the page that people read."""

import json
from pathlib import Path

import pytest

from bench.report import RESULTS, TABLE, results_of, write_report
from bench.rows import Goal, GoalIs, Row

REQUIRED = {"name", "ours", "baseline", "baselineName", "ratio", "goal", "met", "rounds", "spread"}
MACHINE = {
    "cpu": "C",
    "cores": 2,
    "memoryBytes": 2**34,
    "kernel": "Linux 6",
    "disk": "ext4",
    "flushMicroseconds": 100,
    "python": "CPython 3.11",
    "measuredAt": "2026-11-20 23:40 UTC",
    "rounds": 3,
    "seconds": 3,
    "postgres": {"server_version": "18.4", "fsync": "on"},
}


def row(ours: list[float], baseline: list[float], goal: Goal, *, kept: bool = True, note: str = "") -> Row:
    return Row("name", "what it is", "calls/s", ours, baseline, "the other", goal, note, kept)


@pytest.mark.parametrize(
    ("ours", "baseline", "goal", "met"),
    [
        ([20, 30, 10], [10, 10, 10], Goal(GoalIs.RATIO_AT_LEAST, 2), True),
        ([19, 30, 10], [10, 10, 10], Goal(GoalIs.RATIO_AT_LEAST, 2), False),
        ([5], [10], Goal(GoalIs.RATIO_AT_MOST, 0.5), True),
        ([6], [10], Goal(GoalIs.RATIO_AT_MOST, 0.5), False),
        ([0.02], [5], Goal(GoalIs.OURS_AT_MOST, 0.02), True),
        ([0.03], [5], Goal(GoalIs.OURS_AT_MOST, 0.02), False),
        ([0], [0], Goal(GoalIs.OURS_AT_MOST, 0.02), True),
        ([5], [0], Goal(GoalIs.RATIO_AT_LEAST, 2), False),
        ([1], [1], Goal(GoalIs.REPORTED), True),
    ],
)
def test_a_goal_is_held_against_the_medians(ours: list[float], baseline: list[float], goal: Goal, met: bool) -> None:
    assert row(ours, baseline, goal).met is met


def test_nothing_is_met_when_what_else_the_row_demands_was_not_seen() -> None:
    assert not row([1], [1], Goal(GoalIs.REPORTED), kept=False).met


def test_a_row_has_the_fields_of_the_contract_and_the_ranges() -> None:
    fields = row([20, 30, 10], [10, 10, 5], Goal(GoalIs.RATIO_AT_LEAST, 2, stretch=4)).fields()
    assert fields.keys() >= REQUIRED
    assert "note" not in fields
    assert (fields["ours"], fields["baseline"], fields["ratio"], fields["spread"]) == (20, 10, 2, [2, 3])
    assert (fields["goal"], fields["goalIs"], fields["stretch"], fields["rounds"]) == (2, "ratio ≥", 4, 3)


def test_both_files_are_written(tmp_path: Path) -> None:
    rows = [row([20], [10], Goal(GoalIs.RATIO_AT_LEAST, 3), note="why"), row([1], [0], Goal(GoalIs.REPORTED))]
    results = results_of(MACHINE, "abc", rows)
    write_report(results, tmp_path / "new")
    read = json.loads((tmp_path / "new" / RESULTS).read_text())
    assert read == results
    assert set(read) == {"machine", "commit", "rows"}
    page = (tmp_path / "new" / TABLE).read_text()
    assert "| name | what it is | 20 calls/s | 10 calls/s (the other) | 2 (2 to 2) | ratio ≥ 3 | **no** | why |" in page
    assert "Commit `abc`" in page
