"""Live balances: whoever has a socket hears of every change, whichever process made it, and of notices.

Announcements come by LISTEN/NOTIFY. One that is lost only delays: every few seconds, and after each reconnect, one
query asks for all accounts with sockets whether their change number has moved, and one for their new notices.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from api.listening import ChangeListener
from api.live_notices import NoticeFeed
from ledger.balances import Balance, changed_since, read_balance
from ledger.changes import AccountChange
from ledger.rules.errors import LedgerError
from ledger.store.notices import Notice

_log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
# Two readers leave the connection pool to the requests; a change during a read is read again, once.
READERS = 2
READ_AGAIN_SECONDS = 1.0


class Subscriber(Protocol):
    """Somebody who is told of changes. All methods return at once."""

    def offer(self, balance: Balance) -> None: ...

    def tell(self, notice: Notice, balance: Balance) -> None: ...

    def dismiss(self) -> None: ...


class LiveHub:
    """The accounts that have sockets on this process, and what these were last offered."""

    def __init__(self, engine: AsyncEngine, database_url: str, *, check_seconds: float = CHECK_SECONDS) -> None:
        """``database_url`` begins with ``postgresql://``; the listener opens its own connection with it."""
        self._engine = engine
        self._check_seconds = check_seconds
        self._notices = NoticeFeed(engine, tell=self._tell)
        self._listener = ChangeListener(
            database_url, on_change=self.heard, on_notice=self._notices.heard, on_connected=self._check_soon
        )
        self._subscribers: dict[UUID, set[Subscriber]] = {}
        self._offered: dict[UUID, int] = {}
        self._to_read: asyncio.Queue[UUID] = asyncio.Queue()
        self._queued: set[UUID] = set()
        self._check = asyncio.Event()

    @property
    def is_listening(self) -> bool:
        """Whether changes are heard as they happen; otherwise they are found some seconds later."""
        return self._listener.is_listening

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listens, checks and reads for as long as the context is open."""
        tasks = [asyncio.create_task(self._listener.run()), asyncio.create_task(self._check_again_and_again())]
        tasks += [asyncio.create_task(self._read_and_offer()) for _ in range(READERS)]
        tasks.append(asyncio.create_task(self._notices.read_and_tell()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def join(self, account_id: str, subscriber: Subscriber) -> None:
        """Tells the subscriber of the account's changes from now on. It reads the balance *after* this, so that no
        change falls between, and says with ``begin`` how far it has read."""
        self._subscribers.setdefault(UUID(account_id), set()).add(subscriber)

    def begin(self, account_id: str, *, seq: int, notice_id: int) -> None:
        """Notes that a subscriber of the account has read its changes up to ``seq`` and leaves its notices up to
        ``notice_id`` to ``init``; what is later is offered."""
        account = UUID(account_id)
        self._offered[account] = min(seq, self._offered.get(account, seq))
        self._notices.begin(account, latest=notice_id)

    def leave(self, account_id: str, subscriber: Subscriber) -> None:
        """Tells the subscriber nothing more."""
        account = UUID(account_id)
        subscribers = self._subscribers.get(account, set())
        subscribers.discard(subscriber)
        if not subscribers:
            self._subscribers.pop(account, None)
            self._offered.pop(account, None)
            self._notices.forget(account)

    def dismiss_all(self) -> None:
        """Asks every subscriber to go, because the process ends."""
        for subscriber in [each for subscribers in self._subscribers.values() for each in subscribers]:
            subscriber.dismiss()

    @property
    def is_empty(self) -> bool:
        """Whether nobody is left to be told anything."""
        return not self._subscribers

    def heard(self, change: AccountChange) -> None:
        """Takes note of a change, if somebody here wants to know of it."""
        account = change.account_id
        is_new = change.seq > self._offered.get(account, -1)
        if account in self._subscribers and is_new and account not in self._queued:
            self._queued.add(account)
            self._to_read.put_nowait(account)

    def _check_soon(self) -> None:
        self._check.set()

    async def _check_again_and_again(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._check_seconds):
                    await self._check.wait()
            except TimeoutError:
                pass
            self._check.clear()
            if not self._offered:
                continue
            self._notices.check()
            try:
                for change in await changed_since(self._engine, dict(self._offered)):
                    self.heard(change)
            except LedgerError as error:
                _log.warning("Whether balances have changed could not be looked up: %s", error)

    async def _read_and_offer(self) -> None:
        while True:
            account = await self._to_read.get()
            # From here on, what is announced is newer than what is read: it must be queued again.
            self._queued.discard(account)
            try:
                balance = await read_balance(self._engine, str(account))
            except LedgerError as error:
                _log.warning("The balance of %s could not be read and is read again: %s", account, error)
                await asyncio.sleep(READ_AGAIN_SECONDS)
                self._check_soon()
                continue
            if account in self._offered:
                self._offered[account] = max(balance.seq, self._offered[account])
            for subscriber in tuple(self._subscribers.get(account, ())):
                subscriber.offer(balance)

    def _tell(self, account: UUID, notice: Notice, balance: Balance) -> None:
        for subscriber in tuple(self._subscribers.get(account, ())):
            subscriber.tell(notice, balance)
