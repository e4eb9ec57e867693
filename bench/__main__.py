"""``python -m bench``: measures the ledger beside its baselines, and writes the results down."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import latency, memory, scale, throughput
from bench.machine import NotDurable, commit, describe_machine
from bench.report import cells_of, results_of, write_report
from bench.rows import Row
from bench.run import Run
from bench.server import running_server
from local.errors import LocalError

REFUSED, INTERRUPTED = 1, 130

_HERE = Path(__file__).parent
_FAMILIES = (
    (throughput.NAMES, throughput.measure_throughput),
    (latency.NAMES, latency.measure_latency),
    (scale.NAMES[:1], scale.measure_exhausted),
    (scale.NAMES[1:2], scale.measure_journal),
    (scale.NAMES[2:], scale.measure_processes),
    (memory.NAMES, memory.measure_memory),
)
ROWS = tuple(name for names, _ in _FAMILIES for name in names)

_screen = Console(stderr=True)
_began = time.monotonic()


def main(arguments: Sequence[str]) -> int:
    """Runs the command; gives the exit code: 0 when everything was measured, whatever the figures are.

    Args:
        arguments: the command line's, without the program.
    """
    wanted = _parser().parse_args(arguments)
    rows = tuple(name for name in ROWS if not wanted.rows or name in wanted.rows)
    folder = wanted.output or (_HERE if rows == ROWS and not wanted.quick else _HERE / "partial")
    try:
        results = asyncio.run(_measure(rows, wanted))
    except (LocalError, NotDurable) as no:
        say(str(no))
        return REFUSED
    write_report(results, folder)
    if wanted.json:
        sys.stdout.write(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    else:
        _print_table(results)
    say(f"written to {folder}")
    return 0


def say(words: str) -> None:
    """Tells the person what is being done, with the time since the start."""
    seconds = int(time.monotonic() - _began)
    _screen.print(f"{seconds // 60:2}:{seconds % 60:02}  {words}", soft_wrap=True, markup=False, highlight=False)


async def _measure(names: Collection[str], wanted: argparse.Namespace) -> dict[str, Any]:
    rounds, seconds = (1, 1) if wanted.quick else (wanted.rounds, wanted.seconds)
    measured = commit()
    say("starting PostgreSQL")
    async with running_server(wanted.data_dir) as server:
        settings = {"measuredAt": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "rounds": rounds, "seconds": seconds}
        machine = {**await describe_machine(server.app_url, server.folder), **settings, "quick": wanted.quick}
        run = Run(server, rounds=rounds, seconds=seconds, warm_seconds=1, quick=wanted.quick, say=say)
        rows: list[Row] = []
        for family, measure in _FAMILIES:
            if set(family) & set(names):
                rows += await measure(run, names)
    return results_of(machine, measured, rows)


def _print_table(results: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("row", "what", "ours", "baseline", "ratio (range)", "goal", "met"):
        table.add_column(column, overflow="fold")
    for row in results["rows"]:
        table.add_row(*cells_of(row)[:7])
    Console(width=max(160, _screen.width)).print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW", help=f"only these: {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=_positive, default=5, help="how often each side is measured (5)")
    parser.add_argument("--seconds", type=_positive, default=3, help="how long each time (3)")
    parser.add_argument(
        "--quick", action="store_true", help="one round of a second on small data: does it work at all?"
    )
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")
    parser.add_argument(
        "--data-dir", type=Path, help="where the server keeps its data meanwhile; on the disk to measure"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="the folder for results.json and RESULTS.md; bench/ unless told, bench/partial/ when not all was measured",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
