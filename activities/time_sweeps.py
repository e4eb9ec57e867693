"""The sweeps of time: they book what has expired, and note for whom it is time to hear of what will."""

import asyncio
import logging
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.pages import Pages, Pause
from ledger.noticing import give_expiry_notices
from ledger.store.notices import GrantKey
from ledger.sweeping import book_due, due_accounts
from messages.sweep_steps import TimeSweepSteps
from messages.sweeps import SweepReport

_log = logging.getLogger(__name__)

# A transaction of some milliseconds each: seconds of a minute, so that the other sweeps of the tick have theirs.
# A thousand a minute is more than a million accounts a day.
DUE_PAGE = 1000
NOTICE_DAYS = (30, 7, 1)
# One statement looks at so many grants, and one tick at so many of these pages.
NOTICE_PAGE = 1000
NOTICE_PAGES = 50


class TimeSweeps(TimeSweepSteps):
    """See :class:`messages.sweep_steps.TimeSweepSteps` for what each sweep does."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        notice_days: Sequence[int] = NOTICE_DAYS,
        page: int = DUE_PAGE,
        notice_page: int = NOTICE_PAGE,
        notice_pages: int = NOTICE_PAGES,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """``notice_days``: so many days before grants expire, their owners are told. A tick books at most ``page``
        accounts, and looks at ``notice_pages`` times ``notice_page`` grants."""
        self._engine = engine
        self._notice_days = tuple(notice_days)
        self._notice_page = notice_page
        self._notice_pages = notice_pages
        self._due = Pages[str](str, size=page, pause_seconds=0, pause=pause)
        # Where the next tick goes on. Only this process remembers it; another one begins anew, and doubles nothing.
        self._after: GrantKey | None = None

    async def book_due(self) -> SweepReport:
        due = await due_accounts(self._engine, limit=self._due.to_read)
        return await self._due.do(due, self._book)

    async def give_expiry_notices(self) -> SweepReport:
        written = 0
        for _ in range(self._notice_pages):
            page = await give_expiry_notices(
                self._engine, days=self._notice_days, after=self._after, limit=self._notice_page
            )
            written += page.written
            self._after = page.last
            activity.heartbeat()
            if self._after is None:
                break
        if written:
            _log.info("%s accounts are to hear of credits that expire soon.", written)
        return SweepReport(done=written)

    async def _book(self, account_id: str) -> None:
        await book_due(self._engine, account_id)
