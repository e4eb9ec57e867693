"""`grantflow demo`: a fresh stack on embedded parts, the main job walked on it with every step checked, and the end."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from client.errors import Refused, Unreachable
from local import screen
from local.demo_report import Report
from local.demo_walk import walk
from local.errors import LocalError

START_SECONDS = 180
STOP_SECONDS = 90
# The demo shows the embedded parts: what the person has set up for another stack must not reach it.
_FOREIGN = ("GRANTFLOW_", "TEMPORAL_", "STRIPE_")
_KEPT = frozenset({"TEMPORAL_CLI_PATH", "GRANTFLOW_CACHE_DIR"})


def run_demo(*, as_json: bool) -> int:
    """Walk the main job and give the exit code: 0 only if every check held and nothing is left running.

    Args:
        as_json: print one JSON object at the end instead of the story.
    """
    return asyncio.run(_demo(as_json=as_json))


async def _demo(*, as_json: bool) -> int:
    report = Report(console=screen.err if as_json else screen.out)
    with tempfile.TemporaryDirectory(prefix="grantflow-demo-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder) / "data"
        report.title("Everything comes up: PostgreSQL, Temporal, the Stripe stand-in, the worker, the API")
        try:
            stack = await _up(data_dir)
            _tell_where(report, stack)
            await _walk(stack, report)
        finally:
            report.title("Everything stops")
            stopped = await _grantflow("stop", "--json", "--data-dir", str(data_dir), seconds=STOP_SECONDS)
        report.check("the stack stopped in order", held=stopped.returncode == 0)
        left = _still_running(stack)
        report.check("no process is left", held=not left, seen=", ".join(left) or "none")
        await _grantflow("reset", "--yes", "--json", "--data-dir", str(data_dir), seconds=STOP_SECONDS)
    report.end()
    if as_json:
        screen.print_json(report.fields())
    return 0 if report.held else 1


def _tell_where(report: Report, stack: Mapping[str, Any]) -> None:
    """Say where the parts are, for who wants to look while the demo runs."""
    report.says("api", stack["apiUrl"])
    report.says("temporal", f"{stack['temporalUiUrl']} (its web UI)")
    report.says("stripe", f"{stack['stripeUrl']} (the stand-in)")
    report.says("ledger", str(stack["databaseUrl"]).rpartition("@")[2])
    report.check("all five parts run", held=len(stack["pids"]) == 5 and all(stack["pids"].values()))


async def _walk(stack: Mapping[str, Any], report: Report) -> None:
    try:
        await walk(stack, report)
    except (Refused, Unreachable, TimeoutError) as error:
        report.check("the walk went on", held=False, seen=f"{type(error).__name__}: {error}")


async def _up(data_dir: Path) -> dict[str, Any]:
    started = await _grantflow("up", "--detach", "--json", "--data-dir", str(data_dir), seconds=START_SECONDS)
    if started.returncode != 0:
        raise LocalError(f"the stack did not start:\n{started.errors.strip()}")
    stack: dict[str, Any] = json.loads(started.output)
    return stack


class _Ended:
    """How a command ended, and what it printed."""

    def __init__(self, returncode: int, output: str, errors: str) -> None:
        self.returncode = returncode
        self.output = output
        self.errors = errors


async def _grantflow(*arguments: str, seconds: float) -> _Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.program", *arguments),
        env={name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith(_FOREIGN)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise LocalError(f"`grantflow {arguments[0]}` took longer than {seconds:.0f} s") from None
    return _Ended(process.returncode or 0, output.decode(), errors.decode())


def _still_running(stack: Mapping[str, Any]) -> list[str]:
    pids = {**stack["pids"], "supervisor": stack["supervisorPid"]}
    return [f"{name} ({pid})" for name, pid in pids.items() if _runs(pid)]


def _runs(pid: int) -> bool:
    """A zombie has ended: only its parent has not looked yet, which is the machine's first process here."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
