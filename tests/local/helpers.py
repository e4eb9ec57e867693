"""What the tests of the local stack share."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from local.folders import project_dir
from local.records import RunRecord
from local.state import DataDir

T = TypeVar("T")
SOON_SECONDS = 30.0


async def soon(what: Callable[[], T | None]) -> T:
    """Wait until something is there (not None, not False), and give it."""
    deadline = time.monotonic() + SOON_SECONDS
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)
    return found


class SmallStack:
    """A supervisor of small programs, in a process of its own."""

    def __init__(self, folder: Path, *habits: str) -> None:
        """Start it."""
        self.data_dir = DataDir(folder)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.local.small_stack", str(folder), *habits],
            cwd=project_dir(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def run(self) -> RunRecord:
        """What the supervisor has written down."""
        run = self.data_dir.read_run()
        assert run is not None
        return run

    @property
    def journal(self) -> list[str]:
        """What the small programs have written down."""
        return (self.data_dir.path / "journal").read_text().splitlines()

    def pid(self, name: str) -> int:
        """Give the process of a part."""
        process = self.run.parts[name].process
        assert process is not None
        return process.pid

    def running(self) -> list[str]:
        """Give the parts whose process runs."""
        parts = self.run.parts.items()
        return [name for name, part in parts if part.process is not None and part.process.is_running()]

    async def ready(self) -> None:
        """Wait until every part is ready."""

        def is_ready() -> bool:
            run = self.data_dir.read_run()
            return run is not None and run.phase == "ready" and run.supervisor.pid == self.process.pid

        await soon(is_ready)

    async def end(self, which: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Ask the supervisor to end; gives its exit code and what it said."""
        self.process.send_signal(which)
        return await self.ended()

    async def ended(self) -> tuple[int, str]:
        """Wait for its end; gives its exit code and what it said."""
        said, _ = await asyncio.to_thread(self.process.communicate, timeout=SOON_SECONDS)
        return self.process.returncode, said


@contextlib.contextmanager
def small_stack(folder: Path, *habits: str) -> Iterator[SmallStack]:
    """Run a small stack, and leave nothing of it behind."""
    stack = SmallStack(folder, *habits)
    try:
        yield stack
    finally:
        if stack.process.poll() is None:
            os.killpg(stack.process.pid, signal.SIGKILL)
        stack.process.communicate()
