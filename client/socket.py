"""The Python client over the WebSocket: live balances and questions, over as many connections as it takes.

It comes back by itself, with a growing and partly random pause, tells the service the last change that it knows, and
sends again what was not answered: every message here is a question, or is named by an operation id.

Example::

    async with GrantflowSocket("http://127.0.0.1:8080", token) as socket:
        async for event in socket.events():
            if isinstance(event, ToppedUp):
                print(f"{event.auto_topup_added} credits were bought")
            elif isinstance(event, BalanceNews):
                print(event.remaining_balance)
            else:
                print(event.message, event.action_url)
"""

import asyncio
import itertools
import json
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from client.answers import (
    ActionFailed,
    Balance,
    BalanceNews,
    Consumption,
    GrantStatus,
    Hold,
    Release,
    Settlement,
    ToppedUp,
)
from client.errors import Refused, Unreachable
from client.payments import KEEP, AutoTopup, MonthlyLimit, Purchase, auto_topup_choice

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
ANSWER_SECONDS = 30.0
CONNECT_SECONDS = 10.0
EVENTS_KEPT = 1000

NOT_ADMITTED, TOO_LARGE = 1008, 1009

Event = BalanceNews | ActionFailed

_log = logging.getLogger(__name__)


class GrantflowSocket:
    """The live line of one account. Methods raise Refused, or Unreachable when no answer comes in time."""

    def __init__(
        self, api_url: str, token: str, *, repo_url: str | None = None, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        """``token`` is an account's. ``repo_url`` says in which repository the client works. ``answer_seconds`` is how
        long a question waits for its answer, reconnects included."""
        self._answer_seconds = answer_seconds
        self._url = "ws" + api_url.rstrip("/").removeprefix("http") + "/ws"
        self._token = token
        self._repo_url = repo_url
        self._account_id: str | None = None
        self._seqs: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._waiting: dict[str, tuple[dict[str, Any], asyncio.Future[dict[str, Any]]]] = {}
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._connection: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._refused: Refused | None = None
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._stay_connected())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def account_id(self) -> str | None:
        """The account whose line it is; None until the service has said so."""
        return self._account_id

    async def events(self) -> AsyncGenerator[Event, None]:
        """Every balance that is told, asked for or not (after an auto top-up as ToppedUp), and every failure that
        answers no question of ours.

        Balances are whole: the newest says all, and of those that nobody came for the oldest are dropped. Raises
        Refused when the service does not admit us.
        """
        while True:
            while self._events:
                yield self._events.popleft()
            if self._refused is not None:
                raise self._refused
            self._news.clear()
            await self._news.wait()

    async def usage(self) -> Balance:
        """The account's balance."""
        return Balance.model_validate(await self._ask("usage"))

    async def consume(self, operation_id: str, credits: int) -> Consumption:
        """Spends credits of the account. After a reconnect it is asked again, and has one effect."""
        asked = {"operationId": operation_id, "credits": credits, "repoUrl": self._repo_url}
        fields = {name: value for name, value in asked.items() if value is not None}
        return Consumption.model_validate(await self._ask("consume", **fields))

    async def hold(self, operation_id: str, credits: int, ttl_seconds: int) -> Hold:
        """Sets credits of the account aside for so many seconds."""
        asked = {
            "operationId": operation_id,
            "credits": credits,
            "ttlSeconds": ttl_seconds,
            "repoUrl": self._repo_url,
        }
        fields = {name: value for name, value in asked.items() if value is not None}
        return Hold.model_validate(await self._ask("hold", **fields))

    async def extend(self, operation_id: str, ttl_seconds: int) -> Hold:
        """Lets a hold live so many seconds from now, never shorter."""
        return Hold.model_validate(await self._ask("extend", operationId=operation_id, ttlSeconds=ttl_seconds))

    async def settle(self, operation_id: str, credits: int) -> Settlement:
        """Ends a hold with what the work has really cost."""
        return Settlement.model_validate(await self._ask("settle", operationId=operation_id, credits=credits))

    async def release(self, operation_id: str) -> Release:
        """Ends a hold with nothing spent."""
        return Release.model_validate(await self._ask("release", operationId=operation_id))

    async def set_auto_topup(
        self,
        *,
        enabled: bool,
        threshold: int | None = None,
        target: int | None = None,
        monthly_limit_cents: MonthlyLimit = KEEP,
    ) -> AutoTopup:
        """Chooses the account's auto top-up, as GrantflowClient.set_auto_topup does."""
        choice = auto_topup_choice(
            enabled=enabled, threshold=threshold, target=target, monthly_limit_cents=monthly_limit_cents
        )
        return AutoTopup.model_validate(await self._ask("set-auto-topup", **choice))

    async def buy_credits(self, operation_id: str, credits: int) -> Purchase:
        """Buys credits for the account, with its card or at the answer's ``checkout_url``. After a reconnect it is
        asked again, and has one effect."""
        return Purchase.model_validate(await self._ask("buy-credits", operationId=operation_id, credits=credits))

    async def grant_status(self, operation_id: str) -> GrantStatus:
        """Where the grant stands; its workflow answers."""
        return GrantStatus.model_validate(await self._ask("grant-status", operationId=operation_id))

    async def ping(self) -> None:
        """Returns when the service has answered."""
        await self._ask("ping")

    async def _ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Sends a question, again after each reconnect, until it is answered."""
        if self._refused is not None:
            raise self._refused
        request_id = f"c{next(self._numbers)}"
        message = {"type": kind, "requestId": request_id, **fields}
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = message, answered
        try:
            if self._connection is not None:
                await _send(self._connection, message)
            async with asyncio.timeout(self._answer_seconds):
                return await answered
        except TimeoutError:
            raise Unreachable(f"{self._url} has not answered within {self._answer_seconds:g} s.") from None
        finally:
            self._waiting.pop(request_id, None)

    async def _stay_connected(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._connected() as connection:
                    self.connections += 1
                    pause = FIRST_PAUSE_SECONDS
                    await self._converse(connection)
            except ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code in (NOT_ADMITTED, TOO_LARGE):
                    return self._give_up(closed.rcvd.code, closed.rcvd.reason)
                _log.info("The connection was lost: %s", closed)
            except InvalidURI as error:
                return self._give_up(None, str(error))
            except (OSError, InvalidHandshake, TimeoutError) as error:
                _log.info("%s can't be reached: %s", self._url, error)
            finally:
                self._connection = None
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - not a secret
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _connected(self) -> connect:
        headers = {"Authorization": f"Bearer {self._token}"}
        return connect(self._url, additional_headers=headers, open_timeout=CONNECT_SECONDS, compression=None)

    async def _converse(self, connection: ClientConnection) -> None:
        """Reads until the connection ends, or the service asks us to come again."""
        init: dict[str, Any] = {"type": "init", "requestId": f"c{next(self._numbers)}", "repoUrl": self._repo_url}
        if self._account_id is not None:
            init["fromSeq"] = self._seqs[self._account_id]
        await _send(connection, {name: value for name, value in init.items() if value is not None})
        self._connection = connection
        for message, _ in list(self._waiting.values()):
            await _send(connection, message)
        async for frame in connection:
            if not self._take(json.loads(frame)):
                return

    def _take(self, message: dict[str, Any]) -> bool:
        """Takes in one message; False when the connection is to be left."""
        kind = message.get("type")
        if kind == "request-reconnect":
            return False
        if kind in ("usage-response", "init-response"):
            self._note(message)
        _, answered = self._waiting.get(message.get("requestId", ""), ({}, None))
        if answered is not None and not answered.done():
            if kind == "action-error":
                answered.set_exception(_refusal(message))
            else:
                answered.set_result(message)
        elif kind == "action-error":
            self._happened(ActionFailed.model_validate(message))
        return True

    def _note(self, message: dict[str, Any]) -> None:
        kind = BalanceNews if message.get("autoTopupAdded") is None else ToppedUp
        news = kind.model_validate(message)
        if message["type"] == "init-response":
            self._account_id = news.account_id
        self._seqs[news.account_id] = news.seq
        self._happened(news)

    def _happened(self, event: Event) -> None:
        if len(self._events) >= EVENTS_KEPT:
            self._drop_one()
        self._events.append(event)
        self._news.set()

    def _drop_one(self) -> None:
        """Forgets the oldest balance that says nothing but itself; only where there is none, the oldest event."""
        for event in self._events:
            if type(event) is BalanceNews and not event.notifications:
                self._events.remove(event)
                return
        self._events.popleft()

    def _give_up(self, code: int | None, reason: str) -> None:
        name = "too-large" if code == TOO_LARGE else "unauthenticated"
        self._refused = Refused(name, f"{self._url}: {reason or 'the connection was refused'}")
        self._news.set()
        for _, answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(self._refused)


def _refusal(message: dict[str, Any]) -> Refused:
    return Refused(
        message["error"],
        message["message"],
        retryable=bool(message.get("retryable", False)),
        request_id=message.get("requestId"),
        members=message,
    )


async def _send(connection: ClientConnection, message: dict[str, Any]) -> None:
    # A connection that is gone needs no word here: the reader sees it too, and sends what waits on the next one.
    with suppress(ConnectionClosed):
        await connection.send(json.dumps(message))
