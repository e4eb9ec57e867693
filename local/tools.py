"""Run a tool such as `go` or `mvn` to its end, and show its last line while it works."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

_WIDTH_SHOWN = 90
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class ToolFailed(Exception):
    """A tool ended badly or took too long. `reason` is one line; `log` holds all of its output."""

    tool: str
    reason: str
    log: Path

    def __str__(self) -> str:
        """Say which tool failed, why, and where the rest is."""
        return f"{self.tool}: {self.reason} (see {self.log})"


def is_installed(tool: str) -> bool:
    """Say whether a tool is found on PATH."""
    return shutil.which(tool) is not None


def run_tool(
    argv: Sequence[str],
    *,
    log: Path,
    console: Console,
    doing: str,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a tool to its end and show what it does in one moving line.

    Args:
        argv: the tool and its arguments.
        log: the file for its output.
        console: where progress is shown.
        doing: what is being done, as a participle: "building temporal".
        timeout_seconds: after which it is killed.
        environment: added to this process's environment.
        folder: where it runs.

    Raises:
        ToolFailed: if it ends badly or takes too long.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            start_new_session=True,  # so that the tool's own children can be ended with it
        )
    try:
        code = _watch(process, log, console, doing, timeout_seconds)
    except subprocess.TimeoutExpired as late:
        _kill_group(process)
        raise ToolFailed(argv[0], f"not done after {timeout_seconds:.0f} s", log) from late
    except BaseException:  # also Ctrl-C: nothing of ours stays behind
        _kill_group(process)
        raise
    if code != 0:
        raise ToolFailed(argv[0], _last_line(log) or f"exit code {code}", log)


def _watch(process: subprocess.Popen[bytes], log: Path, console: Console, doing: str, timeout_seconds: float) -> int:
    started = time.monotonic()
    with console.status(doing) as status:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_POLL_SECONDS)
            seconds = time.monotonic() - started
            if seconds > timeout_seconds:
                raise subprocess.TimeoutExpired(process.args, timeout_seconds)
            status.update(f"{doing} [dim]({seconds:.0f} s) {_last_line(log)[:_WIDTH_SHOWN]}[/dim]")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].replace("[", "\\[") if lines else ""
