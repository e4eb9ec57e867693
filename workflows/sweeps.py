"""SweepsWorkflow, by the Schedule ``sweeps``: finishes what a crash or an outage left behind."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError
from temporalio.types import MethodAsyncNoParam

from messages import names
from messages.sweep_steps import SweepSteps, TimeSweepSteps
from messages.sweeps import SweepReport, SweepsReport
from workflows.patience import SWEEP, SWEEP_HEARTBEAT


@workflow.defn(name=names.SWEEPS_WORKFLOW)
class SweepsWorkflow:
    """One tick. A sweep that fails does not keep the others from their work; the next tick tries it again."""

    def __init__(self) -> None:
        self._doing = "Begins."

    @workflow.run
    async def run(self) -> SweepsReport:
        """Runs every sweep once."""
        due = notices = top_ups = SweepReport()
        if workflow.patched("time-sweeps"):
            due = await self._sweep(TimeSweepSteps.book_due, "Booking what has expired.")
            notices = await self._sweep(TimeSweepSteps.give_expiry_notices, "Noting which credits expire soon.")
        if workflow.patched("top-up-sweep"):
            # After what has expired was booked, and ahead of all that waits for Stripe.
            top_ups = await self._sweep(SweepSteps.start_top_ups, "Starting top-ups whose trigger was lost.")
        return SweepsReport(
            due=due,
            notices=notices,
            top_ups=top_ups,
            inbox=await self._sweep(SweepSteps.deliver_inbox, "Delivering webhook events that wait in the inbox."),
            customers=await self._sweep(SweepSteps.create_missing_customers, "Making customers at Stripe."),
            mirrors=await self._sweep(SweepSteps.pump_mirrors, "Mirroring grants at Stripe."),
            closings=await self._sweep(SweepSteps.close_mirrors, "Closing mirrors of spent grants."),
        )

    @workflow.query(name=names.STATUS)
    def status(self) -> str:
        """What the tick is doing, in words."""
        return self._doing

    async def _sweep(self, step: MethodAsyncNoParam[Any, SweepReport], words: str) -> SweepReport:
        self._doing = words
        workflow.set_current_details(words)
        try:
            return await workflow.execute_activity_method(
                step,
                start_to_close_timeout=SWEEP.attempt,
                heartbeat_timeout=SWEEP_HEARTBEAT,
                retry_policy=SWEEP.retry,
                summary=words,
            )
        except ActivityError as error:
            workflow.logger.error("a sweep failed and comes again with the next tick: %s", error.cause)
            return SweepReport(failed=1)
