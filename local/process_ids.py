"""Which process it is for certain: a pid alone may have been given to a stranger since it was written down."""

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STARTTIME = 19  # the place of `starttime` in /proc/PID/stat, counted after the name in brackets


@dataclass(frozen=True)
class ProcessId:
    """A process that ran or runs: its pid and when it started, in words that only compare equal for the same one."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """Identify a running process, or None if there is none with this pid (a zombie has ended)."""
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                return cls(pid=pid, started=_start_of(process))
        return None

    def is_running(self) -> bool:
        """Say whether this very process still runs."""
        return ProcessId.of(self.pid) == self

    async def end(self, stop_signal: signal.Signals, timeout_seconds: float) -> bool:
        """End the process, by force if it must be, unless it is gone or the pid is a stranger's by now.

        Args:
            stop_signal: how it is asked.
            timeout_seconds: how long it may take before it is killed.

        Returns:
            Whether there was anything to end.
        """
        if not self.is_running():
            return False
        for which in (stop_signal, signal.SIGKILL):
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(self.pid).send_signal(which)
            if await self._gone_within(timeout_seconds):
                break
        return True

    async def _gone_within(self, timeout_seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while self.is_running():
            if loop.time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True


def _start_of(process: psutil.Process) -> str:
    if not _BOOT_ID.exists():
        return str(process.create_time())
    # The kernel's own count since this boot; psutil's instant moves when the clock is set.
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return f"{_BOOT_ID.read_text().strip()}/{fields[_STARTTIME]}"
