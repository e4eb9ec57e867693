"""SweepsWorkflow against a fake: every sweep runs in every tick, also when one of them fails."""

from uuid import uuid4

from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from messages import names
from messages.sweep_steps import SweepSteps, TimeSweepSteps
from messages.sweeps import SweepReport, SweepsReport
from tests.workflows.fakes import steps_of
from tests.workflows.recording import store_history
from workflows.sweeps import SweepsWorkflow


class FakeSweeps(SweepSteps, TimeSweepSteps):
    """Counts what is asked of it; what it is told to fail at, it fails at."""

    def __init__(self, *, mirrors_fail: bool = False, booking_fails: bool = False) -> None:
        self.mirrors_fail = mirrors_fail
        self.booking_fails = booking_fails
        self.ran: list[str] = []

    async def book_due(self) -> SweepReport:
        self.ran.append("due")
        if self.booking_fails:
            raise ApplicationError("the database is away", non_retryable=True)
        return SweepReport(done=5)

    async def give_expiry_notices(self) -> SweepReport:
        self.ran.append("notices")
        return SweepReport(done=4)

    async def deliver_inbox(self) -> SweepReport:
        self.ran.append("inbox")
        return SweepReport(done=3)

    async def start_top_ups(self) -> SweepReport:
        self.ran.append("top-ups")
        return SweepReport(done=6)

    async def create_missing_customers(self) -> SweepReport:
        self.ran.append("customers")
        return SweepReport(done=1)

    async def pump_mirrors(self) -> SweepReport:
        self.ran.append("mirrors")
        if self.mirrors_fail:
            raise ApplicationError("the database is away", non_retryable=True)
        return SweepReport(done=2, left=1)

    async def close_mirrors(self) -> SweepReport:
        self.ran.append("closings")
        return SweepReport()


async def _tick(environment: WorkflowEnvironment, sweeps: FakeSweeps, case: str) -> SweepsReport:
    queue = f"queue-{uuid4()}"
    worker = Worker(
        environment.client,
        task_queue=queue,
        workflows=[SweepsWorkflow],
        activities=steps_of(sweeps),
        max_cached_workflows=0,
    )
    async with worker:
        handle = await environment.client.start_workflow(
            names.SWEEPS_WORKFLOW, id=f"sweeps-{uuid4()}", task_queue=queue, result_type=SweepsReport
        )
        report: SweepsReport = await handle.result()
        await store_history(handle, names.SWEEPS_WORKFLOW, case)
    return report


async def test_a_tick_runs_every_sweep(time_skipping: WorkflowEnvironment) -> None:
    sweeps = FakeSweeps()
    report = await _tick(time_skipping, sweeps, "a_tick_starts_top_ups_whose_trigger_was_lost")
    assert sweeps.ran == ["due", "notices", "top-ups", "inbox", "customers", "mirrors", "closings"]
    assert (report.due.done, report.notices.done, report.top_ups.done) == (5, 4, 6)
    assert (report.inbox.done, report.customers.done, report.mirrors) == (3, 1, SweepReport(done=2, left=1))


async def test_a_failed_sweep_does_not_keep_the_others(time_skipping: WorkflowEnvironment) -> None:
    sweeps = FakeSweeps(mirrors_fail=True)
    report = await _tick(time_skipping, sweeps, "a_failed_sweep_does_not_keep_the_others")
    assert report.mirrors.failed == 1
    assert sweeps.ran[-1] == "closings"


async def test_booking_that_fails_does_not_keep_the_others(time_skipping: WorkflowEnvironment) -> None:
    sweeps = FakeSweeps(booking_fails=True)
    report = await _tick(time_skipping, sweeps, "booking_that_fails_does_not_keep_the_others")
    assert report.due == SweepReport(failed=1)
    assert sweeps.ran == ["due", "notices", "top-ups", "inbox", "customers", "mirrors", "closings"]
