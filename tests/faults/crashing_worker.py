"""A worker that kills itself (SIGKILL) where an operation id says so: ``crash-{before|after}-{step}-…``.

It is the real worker with an interceptor around its activities. Each operation kills one worker; a marker file
remembers that it did. Where ids are not the test's to choose, ``plan.json`` in the folder says which point an account
is to reach. Usage: ``python -m tests.faults.crashing_worker FOLDER``.
"""

import json
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
        plan = markers / "plan.json"
        self._plan: dict[str, str] = json.loads(plan.read_text()) if plan.exists() else {}

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Goes around every activity."""
        return _CrashingActivity(next, self)

    def point_of(self, argument: object) -> str:
        """The point of the account that a step is about, by the plan. Whose an operation is, its first step says."""
        if not self._plan:
            return ""
        account_id = getattr(argument, "account_id", None)
        operation_id = getattr(argument, "operation_id", None)
        intent = getattr(argument, "payment_intent_id", None)
        customer = getattr(argument, "stripe_customer_id", None)
        for name in (operation_id, intent, customer):
            if name and account_id:
                self._remember(name, account_id)
        if operation_id and intent and (known := self._whose(operation_id)):
            self._remember(intent, known)
        account_id = account_id or next(
            (known for name in (operation_id, intent, customer) if name and (known := self._whose(name))), None
        )
        return self._plan.get(account_id or "", "")

    def _remember(self, name: str, account_id: str) -> None:
        (self.markers / f"of-{name}").write_text(account_id)

    def _whose(self, name: str) -> str | None:
        known = self.markers / f"of-{name}"
        return known.read_text() if known.exists() else None

    def reach_planned(self, moment: str, step: str, point: str) -> None:
        """Dies here, if that is the planned point and nobody has died there before."""
        marker = self.markers / point
        if point == f"crash-{moment}-{step}" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

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
        planned = self._points.point_of(input.args[0]) if input.args else ""
        self._points.reach("before", step, operation_id)
        self._points.reach_planned("before", step, planned)
        result = await super().execute_activity(input)
        self._points.point_of(result)
        self._points.reach("after", step, operation_id)
        self._points.reach_planned("after", step, planned)
        return result


def _names(call: ExecuteActivityInput) -> tuple[str, str]:
    """The step, with the stage or state where it writes one, and the operation; a customer bears the operation as its
    name."""
    argument = call.args[0] if call.args else None
    stage = getattr(argument, "stage", None)
    if call.fn.__name__ == "record_payment":
        stage = getattr(argument, "state", None)
    step = call.fn.__name__ if stage is None else f"{call.fn.__name__}.{stage}"
    return step, str(getattr(argument, "operation_id", None) or getattr(argument, "name", ""))


def main() -> None:
    """Runs the worker until it kills itself or is told to stop."""
    points = CrashPoints(Path(sys.argv[1]))
    settings = load_settings()
    run_process(lambda: run(settings, interceptors=[points]))


if __name__ == "__main__":
    main()
