"""One open WebSocket: a task that reads, a task that writes, and the requests under way between them."""

import asyncio
import logging

from starlette.websockets import WebSocket, WebSocketDisconnect

from api.metrics import SOCKET_MESSAGES, SOCKETS, SOCKETS_CLOSED
from api.parts import Parts
from api.socket.actions import act
from api.socket.messages import ActionError, RequestReconnect
from api.socket.outbox import Closing, Outbox
from api.socket.pushes import push_of
from api.socket.rate import MESSAGES_PER_SECOND, TokenBucket
from api.socket.requests import ClientMessage, InvalidMessage, parse_message
from ledger.balances import Balance, read_balance
from ledger.noticing import latest_notice
from ledger.store.notices import Notice

_log = logging.getLogger(__name__)

RESTART = Closing(1012, "the server restarts")
TOO_SLOW = Closing(1013, "too slow a reader")

# So many requests of one connection are worked on at once; the next ones wait in the network.
REQUESTS_AT_ONCE = 16
# A reader that takes nothing for so long will not take the close frame either.
CLOSE_SECONDS = 30.0


class Connection:
    """A connection of one account, from its acceptance to its end."""

    def __init__(self, websocket: WebSocket, parts: Parts, account_id: str) -> None:
        self._websocket = websocket
        self._parts = parts
        self._account_id = account_id
        self._outbox = Outbox()
        self._first_notice = 0
        self._turns = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._requests: set[asyncio.Task[None]] = set()
        self._too_slow = asyncio.Event()
        self._bucket = TokenBucket(MESSAGES_PER_SECOND, now=asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Serves the connection until one side ends it. Raises LedgerUnavailable if it can't even begin."""
        live = self._parts.live
        live.join(self._account_id, self)
        SOCKETS.inc()
        try:
            balance = await read_balance(self._parts.engine, self._account_id)
            self._first_notice = await latest_notice(self._parts.engine, self._account_id) + 1
            self._outbox.begin(balance)
            live.begin(self._account_id, seq=balance.seq, notice_id=self._first_notice - 1)
            await self._serve()
        finally:
            SOCKETS.dec()
            live.leave(self._account_id, self)

    def offer(self, balance: Balance) -> None:
        """Pushes the balance, if it is news to this connection."""
        self._outbox.push(balance)

    def tell(self, notice: Notice, balance: Balance) -> None:
        """Pushes the notice, unless it was told to somebody before this connection was there."""
        if notice.told_at is not None and notice.notice_id < self._first_notice:
            return

        def settle(sent: bool) -> None:  # noqa: FBT001 - the outbox has nothing else to say
            if sent:
                self._parts.notices.told([notice])

        push = push_of(notice, balance, settle)
        if push is not None:
            self._outbox.push_notice(push)

    def dismiss(self) -> None:
        """Asks the client to come again, and closes."""
        if not self._outbox.is_closing:
            self._outbox.answer(RequestReconnect())
            self._outbox.close(RESTART)

    async def _serve(self) -> None:
        reader, writer = asyncio.create_task(self._read()), asyncio.create_task(self._write())
        too_slow = asyncio.create_task(self._too_slow.wait())
        tasks = {reader, writer, too_slow}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks | self._requests:
                task.cancel()
            await asyncio.gather(*tasks, *self._requests, return_exceptions=True)
        if self._too_slow.is_set():
            await self._close(TOO_SLOW)
        for task in (reader, writer):
            if not task.cancelled() and task.exception() is not None:
                _log.error("A socket of account %s failed.", self._account_id, exc_info=task.exception())

    async def _read(self) -> None:
        while True:
            frame = await self._websocket.receive()
            if frame["type"] == "websocket.disconnect":
                return
            await self._turns.acquire()
            task = asyncio.create_task(self._handle(frame.get("text")))
            self._requests.add(task)
            task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._requests.discard(task)
        self._turns.release()
        if self._outbox.is_full:
            self._too_slow.set()

    async def _handle(self, text: str | None) -> None:
        allowed = self._bucket.take(asyncio.get_running_loop().time())
        try:
            if text is None:
                raise InvalidMessage("The frame is binary. Messages are JSON in text frames.")
            message = parse_message(text)
        except InvalidMessage as invalid:
            SOCKET_MESSAGES.labels("none", "invalid").inc()
            self._refuse(invalid.request_id, "invalid-message", invalid.problem)
            return
        if not allowed:
            SOCKET_MESSAGES.labels(message.type, "rate-limited").inc()
            self._refuse_too_fast(message)
            return
        SOCKET_MESSAGES.labels(message.type, "taken").inc()
        await act(self._parts, self._account_id, message, self._outbox)

    def _refuse(self, request_id: str | None, error: str, problem: str, *, retryable: bool = False) -> None:
        self._outbox.answer(ActionError(request_id=request_id, error=error, message=problem, retryable=retryable))

    def _refuse_too_fast(self, message: ClientMessage) -> None:
        problem = (
            f"A connection may send {MESSAGES_PER_SECOND} messages a second. Nothing was done; send it again later."
        )
        self._refuse(message.request_id, "rate-limited", problem, retryable=True)

    async def _write(self) -> None:
        while True:
            item = await self._outbox.next()
            if isinstance(item, Closing):
                await self._close(item)
                return
            sent = False
            try:
                await self._websocket.send_text(item.text)
                sent = True
            except WebSocketDisconnect:
                return
            finally:
                if item.settle is not None:
                    item.settle(sent)

    async def _close(self, closing: Closing) -> None:
        SOCKETS_CLOSED.labels(str(closing.code)).inc()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(closing.code, closing.reason)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            # It went by itself, or will: the server drops what does not even take the close frame.
            _log.info("A socket of account %s was gone before it was closed.", self._account_id)
