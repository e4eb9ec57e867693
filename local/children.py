"""Child processes that end with the process that started them."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.process_ids import ProcessId
from local.users import OsUser

_LEASH = Path(__file__).with_name("leash.py")
_KEEP_USER = "-1"
_KILLED_WITHIN_SECONDS = 10.0


@dataclass(frozen=True)
class Command:
    """A program to run as a child.

    `environment` is the whole environment; `log` receives both output streams, appended. `death_signal` is what the
    kernel sends to the child when this process dies without having stopped it.
    """

    argv: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: Path | None = None
    user: OsUser | None = None
    death_signal: signal.Signals = signal.SIGKILL


class Child:
    """A started child process. Made by `spawn`."""

    def __init__(self, process: asyncio.subprocess.Process, identity: ProcessId, command: Command, log_start: int):
        """Hold a process; use `spawn`."""
        self._process = process
        self.identity = identity
        self.command = command
        self._log_start = log_start

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative is the number of the signal that ended it."""
        return self._process.returncode

    @property
    def output(self) -> str:
        """What this child, and not an earlier one, has written to its log."""
        with self.command.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    async def wait(self) -> int:
        """Wait until it has ended; gives the exit code."""
        return await self._process.wait()

    async def stop(self, stop_signal: signal.Signals, timeout_seconds: float) -> int:
        """Ask it to end, and kill it if it has not by then.

        Args:
            stop_signal: how it is asked.
            timeout_seconds: how long it may take.
        """
        if self.exit_code is None:
            self._send(stop_signal)
        try:
            return await asyncio.wait_for(self.wait(), timeout_seconds)
        except TimeoutError:
            self._send(signal.SIGKILL)
            return await asyncio.wait_for(self.wait(), _KILLED_WITHIN_SECONDS)

    async def finish(self, timeout_seconds: float) -> int:
        """Wait until it has ended by itself, and kill it if that takes too long; gives the exit code.

        Args:
            timeout_seconds: how long it may run.
        """
        try:
            return await asyncio.wait_for(self.wait(), timeout_seconds)
        except TimeoutError:
            return await self.stop(signal.SIGKILL, _KILLED_WITHIN_SECONDS)
        except asyncio.CancelledError:  # nobody waits for it any longer
            await self.stop(signal.SIGKILL, _KILLED_WITHIN_SECONDS)
            raise

    def _send(self, which: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(which)


async def spawn(command: Command) -> Child:
    """Start a child on the leash. Call it from the main thread: the kernel watches the thread, not the process.

    Args:
        command: what to run.

    Raises:
        ChildProcessError: if it ended before it could be identified.
    """
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as log:
        log_start = log.tell()
        process = await asyncio.create_subprocess_exec(
            *_on_leash(command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(command.environment),
            cwd=command.folder,
        )
    identity = ProcessId.of(process.pid)
    if identity is None:
        code = await process.wait()
        raise ChildProcessError(f"{command.argv[0]} ended at once with exit code {code}; see {command.log}")
    return Child(process, identity, command, log_start)


def _on_leash(command: Command) -> tuple[str, ...]:
    uid, gid = (str(command.user.uid), str(command.user.gid)) if command.user else (_KEEP_USER, _KEEP_USER)
    leash = (sys.executable, "-I", "-S", str(_LEASH), str(int(command.death_signal)), uid, gid, str(os.getpid()))
    return (*leash, *command.argv)
