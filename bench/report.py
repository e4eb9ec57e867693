"""What a run leaves behind: ``results.json`` for programs, ``RESULTS.md`` for people."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.rows import GoalIs, Row

RESULTS, TABLE = "results.json", "RESULTS.md"
_COLUMNS = ("row", "what", "ours", "baseline", "ratio (range)", "goal", "met", "note")


def results_of(machine: dict[str, Any], commit: str, rows: Sequence[Row]) -> dict[str, Any]:
    """The whole of a run, as ``results.json`` has it."""
    return {"machine": machine, "commit": commit, "rows": [row.fields() for row in rows]}


def write_report(results: dict[str, Any], folder: Path) -> None:
    """Writes both files into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULTS).write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    (folder / TABLE).write_text(markdown_of(results))


def markdown_of(results: dict[str, Any]) -> str:
    """The results as a page: the machine, and the table."""
    machine, postgres = results["machine"], results["machine"]["postgres"]
    lines = [
        "# Results",
        "",
        "Written by `make bench`; [README.md](README.md) says how each row is measured.",
        "",
        f"Commit `{results['commit']}`, {machine['measuredAt']}: {machine['rounds']} rounds of {machine['seconds']} s. "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memoryBytes'] / 2**30:.0f} GiB, {machine['kernel']}, "
        f"{machine['disk']}, {machine['flushMicroseconds']} µs a flush, {machine['python']}, "
        f"PostgreSQL {postgres['server_version']}: "
        + ", ".join(f"{name} {value}" for name, value in postgres.items() if name != "server_version")
        + ".",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{'---|' * len(_COLUMNS)}",
        *(f"| {' | '.join(cells_of(row))} |" for row in results["rows"]),
    ]
    return "\n".join(lines) + "\n"


def cells_of(row: dict[str, Any]) -> list[str]:
    """A row of the results as the table's cells."""
    ratio = "" if row["ratio"] is None else f"{row['ratio']:,g}"
    spread = "" if row["spread"] is None else f" ({row['spread'][0]:,g} to {row['spread'][1]:,g})"
    stretch = f", stretch {row['stretch']:g}" if "stretch" in row else ""
    goal = row["goalIs"] if row["goalIs"] == GoalIs.REPORTED else f"{row['goalIs']} {row['goal']:g}{stretch}"
    return [
        row["name"],
        row["what"],
        f"{row['ours']:,g} {row['unit']}",
        f"{row['baseline']:,g} {row['unit']} ({row['baselineName']})",
        f"{ratio}{spread}",
        goal,
        "yes" if row["met"] else "**no**",
        row.get("note", ""),
    ]
