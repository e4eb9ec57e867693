"""A worker that kills itself (SIGKILL) where an operation id says so: ``crash-{before|after}-{step}-…``.

It is the real worker with an interceptor around its activities. Each operation kills one worker; a marker file
remembers that it did. Usage: ``python -m tests.faults.crashing_worker FOLDER``.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from gateways.run import run_process
from settings import load_settings
from worker import run


class CrashPoints(Interceptor):
    """Kills the process at the points that the operations name, once for each."""

    def __init__(self, markers: Path) -> None:
        self.markers = markers

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Goes around every activity."""
        return _CrashingActivity(next, self)

    def reach(self, moment: str, step: str, operation_id: str) -> None:
        """Dies here, if the operation wants it and has not died before."""
        marker = self.markers / operation_id
        if operation_id.startswith(f"crash-{moment}-{step}-") and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class _CrashingActivity(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, points: CrashPoints) -> None:
        super().__init__(following)
        self._points = points

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        step, operation_id = _names(input)
        self._points.reach("before", step, operation_id)
        result = await super().execute_activity(input)
        self._points.reach("after", step, operation_id)
        return result


def _names(call: ExecuteActivityInput) -> tuple[str, str]:
    """The step, with the stage where it writes one, and the operation; a customer bears the operation as its name."""
    argument = call.args[0] if call.args else None
    stage = getattr(argument, "stage", None)
    step = call.fn.__name__ if stage is None else f"{call.fn.__name__}.{stage}"
    return step, str(getattr(argument, "operation_id", None) or getattr(argument, "name", ""))


def main() -> None:
    """Runs the worker until it kills itself or is told to stop."""
    points = CrashPoints(Path(sys.argv[1]))
    settings = load_settings()
    run_process(lambda: run(settings, interceptors=[points]))


if __name__ == "__main__":
    main()
