"""The stand-in's clock: wall time plus an offset that tests and the product's test clock move.

Objects, expiry and the 24 hours of idempotency keys follow it. Signatures and the retries of webhooks keep wall time,
as the product's own clock does.
"""

import time
from datetime import UTC, datetime

from stripe_sandbox.database import Database

SETTING = "clock_offset_ms"


class Clock:
    """Wall time plus an offset that survives restarts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._offset_ms = int(database.setting(SETTING) or 0)

    @property
    def offset_ms(self) -> int:
        """How far the clock is ahead of wall time, in milliseconds."""
        return self._offset_ms

    def now(self) -> int:
        """Return the present instant in Unix seconds."""
        return self._now_ms() // 1000

    def instant(self) -> datetime:
        """Return the present instant, in UTC, to the millisecond."""
        return datetime.fromtimestamp(self._now_ms() / 1000, UTC)

    def advance(self, seconds: int) -> None:
        """Move the clock forward."""
        self._move(self._offset_ms + seconds * 1000)

    def set(self, instant: datetime) -> None:
        """Make the instant the present."""
        self._move(round(instant.timestamp() * 1000) - _wall_ms())

    def _move(self, offset_ms: int) -> None:
        self._offset_ms = offset_ms
        self._database.remember(SETTING, str(offset_ms))

    def _now_ms(self) -> int:
        return _wall_ms() + self._offset_ms


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def rfc3339(instant: datetime) -> str:
    """Return an instant in UTC as RFC 3339 with milliseconds."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
