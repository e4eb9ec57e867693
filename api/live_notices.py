"""Notices that are told as they happen: to every socket of the account, whichever process wrote them.

An announcement names a notice; it is read together with those after the last one that was offered. One that is lost is
found by the hub's regular check. What nobody hears waits for ``init``.
"""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import Balance, read_balance
from ledger.noticing import notices_since
from ledger.rules.errors import LedgerError
from ledger.store.notices import Notice
from messages.payments import NoticeKind

_log = logging.getLogger(__name__)

# A purchase that was paid is told with ``init`` alone: whoever waits for it has the answer to the purchase.
TOLD_AT_ONCE = (
    NoticeKind.AUTO_TOPUP_ADDED,
    NoticeKind.AUTO_TOPUP_FAILED,
    NoticeKind.PAYMENT_REVERSED,
    NoticeKind.PURCHASE_FAILED,
)
READ_AGAIN_SECONDS = 1.0


class NoticeFeed:
    """The latest notices that the accounts with sockets on this process were offered."""

    def __init__(self, engine: AsyncEngine, *, tell: Callable[[UUID, Notice, Balance], None]) -> None:
        """``tell`` offers a notice, with a balance that was read after it, to the account's sockets, and returns at
        once. It may be called again with the same notice."""
        self._engine = engine
        self._tell = tell
        self._known: dict[UUID, int] = {}
        # Where reading begins for the accounts that have something to read.
        self._to_read: dict[UUID, int] = {}
        self._wake = asyncio.Event()

    def begin(self, account: UUID, *, latest: int) -> None:
        """Notes that the account's notices up to ``latest`` are nobody's to push; what comes after is offered."""
        self._known[account] = min(latest, self._known.get(account, latest))

    def forget(self, account: UUID) -> None:
        """Nobody here wants to know of the account any more."""
        self._known.pop(account, None)
        self._to_read.pop(account, None)

    def heard(self, account: UUID, notice_id: int) -> None:
        """Takes note of a notice. It may be older than one that is known already: ids do not follow commits."""
        if account in self._known and notice_id > 0:
            self._read_after(account, min(notice_id - 1, self._known[account]))

    def check(self) -> None:
        """Looks whether any notice went unheard."""
        for account, known in self._known.items():
            self._read_after(account, known)

    async def read_and_tell(self) -> None:
        """Reads and tells until it is cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            wanted, self._to_read = self._to_read, {}
            try:
                await self._read(wanted)
            except LedgerError as error:
                _log.warning("Notices could not be read and are read again: %s", error)
                await asyncio.sleep(READ_AGAIN_SECONDS)
                for account, known in wanted.items():
                    if account in self._known:
                        self._read_after(account, known)

    def _read_after(self, account: UUID, notice_id: int) -> None:
        self._to_read[account] = min(notice_id, self._to_read.get(account, notice_id))
        self._wake.set()

    async def _read(self, wanted: dict[UUID, int]) -> None:
        if not wanted:
            return
        balances: dict[UUID, Balance] = {}
        for notice in await notices_since(self._engine, wanted, kinds=TOLD_AT_ONCE):
            account = UUID(notice.account_id)
            if account not in balances:
                balances[account] = await read_balance(self._engine, notice.account_id)
            if account in self._known:
                self._tell(account, notice, balances[account])
                self._known[account] = max(notice.notice_id, self._known[account])
