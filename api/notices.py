"""What accounts were not told yet, handed out to their connections: each notice to one of them, once it is sent.
Those that are pushed to all connections as they happen (``api/live_notices.py``) are noted as told here as well.

At least once: a notice counts as told when its message has been given to the network. A process that dies between
that and the note of it leaves the notice to be told again, under the same id; what the network loses is still to be
read over HTTP.
"""

import asyncio
import logging
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from api.background import Background
from api.metrics import NOTICES_TOLD
from ledger.noticing import mark_told, untold_notices
from ledger.rules.errors import LedgerError
from ledger.store.notices import Notice

_log = logging.getLogger(__name__)

# An answer has to stay well below the 64 KiB of a frame; what is left comes with the next ``init``.
NOTICES_AT_ONCE = 50
# Whoever looked before a notice was noted as told has long taken what it saw.
LOOK_SECONDS = 60.0


class NoticeDesk:
    """Knows which notices are on their way out of this process, so that two connections do not tell the same."""

    def __init__(self, engine: AsyncEngine, background: Background) -> None:
        self._engine = engine
        self._background = background
        # On their way with an ``init-response``; and sent, which the database may not know yet.
        self._out: set[int] = set()
        self._told: set[int] = set()

    async def read(self, account_id: str) -> "Handout":
        """What waits for the account, oldest first. It is not taken by that yet. Raises LedgerUnavailable."""
        return Handout(self, await untold_notices(self._engine, account_id, limit=NOTICES_AT_ONCE))

    def take(self, waiting: Sequence[Notice]) -> list[Notice]:
        """Those that nobody else is telling at the moment; from now on they are out."""
        taken = [notice for notice in waiting if notice.notice_id not in self._out | self._told]
        self._out |= {notice.notice_id for notice in taken}
        return taken

    def settle(self, taken: Sequence[Notice], *, sent: bool) -> None:
        """Notes them as told where they were sent; else they wait for the next who asks."""
        self._out.difference_update(notice.notice_id for notice in taken)
        if sent:
            self.told(taken)

    def told(self, notices: Sequence[Notice]) -> None:
        """Notes that these were sent to a connection, be it the first or one of several."""
        ids = [each.notice_id for each in notices if each.told_at is None and each.notice_id not in self._told]
        if not ids:
            return
        self._told |= set(ids)
        if not self._background.start(self._mark(ids)):
            self._told.difference_update(ids)

    async def _mark(self, ids: list[int]) -> None:
        kept_seconds = 0.0
        try:
            await mark_told(self._engine, ids)
            NOTICES_TOLD.inc(len(ids))
            kept_seconds = LOOK_SECONDS
        except LedgerError as error:
            _log.warning("That %s notices were told could not be noted; they are told again: %s", len(ids), error)
        finally:
            asyncio.get_running_loop().call_later(kept_seconds, self._told.difference_update, ids)


class Handout:
    """The notices of one answer: taken when it is written down, settled when it has been sent, or could not be."""

    def __init__(self, desk: NoticeDesk, waiting: Sequence[Notice]) -> None:
        self._desk = desk
        self.waiting = waiting
        self._taken: list[Notice] = []

    def take(self) -> list[Notice]:
        """What this answer tells."""
        self._taken = self._desk.take(self.waiting)
        return self._taken

    def settle(self, sent: bool) -> None:  # noqa: FBT001 - the outbox has nothing else to say
        """The answer has gone out, or never will."""
        self._desk.settle(self._taken, sent=sent)
        self._taken = []
