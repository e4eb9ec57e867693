"""The time-skipping server's clock, and how long a test waits in real time."""

from datetime import UTC, datetime, timedelta

from temporalio.testing import WorkflowEnvironment

REAL_POLL_SECONDS = 0.05
REAL_POLLS = 200


class ServerClock:
    """The server's clock: keys are dated by it, as the database dates them in life."""

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self._environment = environment
        self._ahead = timedelta()

    async def set(self) -> None:
        """Looks at the server's clock."""
        self._ahead = await self._environment.get_current_time() - datetime.now(UTC)

    def read(self) -> datetime:
        """The server's time, as far as it was last looked at."""
        return datetime.now(UTC) + self._ahead
