"""What a stack is made of: parts that run for as long as it does, and jobs that are done once at its start."""

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from local.children import Child, Command

# What a process that used the Temporal SDK may end with after it was asked to end: SIGABRT and SIGSEGV.
_SDK_ABORTS = frozenset({134, 139, -signal.SIGABRT, -signal.SIGSEGV})


@dataclass(frozen=True, kw_only=True)
class Part:
    """A program that is kept running.

    Attributes:
        name: as `grantflow status` shows it.
        url: where it is reached, for people.
        command: gives the command line; called before each start.
        is_ready: says whether the running child can be used now.
        before_start: what must be done before each start, also after a crash.
        stop_signal: asks it to end.
        stop_timeout_seconds: how long it may take to end before it is killed.
        ready_timeout_seconds: how long it may take to become ready.
        uses_temporal_sdk: it may abort while it exits, which is no failure after a requested stop.
    """

    name: str
    url: str
    command: Callable[[], Command]
    is_ready: Callable[[Child], Awaitable[bool]]
    before_start: Callable[[], Awaitable[None]] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_seconds: float = 15.0
    ready_timeout_seconds: float = 60.0
    uses_temporal_sdk: bool = False

    def ended_well(self, exit_code: int) -> bool:
        """Say whether an exit code is one of an orderly end, after the part was asked to end."""
        asked = {0, -self.stop_signal, 128 + self.stop_signal}
        return exit_code in asked or (self.uses_temporal_sdk and exit_code in _SDK_ABORTS)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something that is done once, after the steps before it are ready and before the next one begins."""

    name: str
    run: Callable[[], Awaitable[None]]


Step = Part | Job
