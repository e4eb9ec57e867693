"""Clients that spend without a pause, and write down for themselves what they were told."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Self
from uuid import uuid4

from client.answers import Consumption
from client.errors import Refused, Unreachable
from client.http import GrantflowClient
from client.socket import GrantflowSocket

PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Order:
    """One demand, under an id that nobody else uses."""

    account_id: str
    operation_id: str
    credits: int
    into_debt: bool


@dataclass
class Diary:
    """What the clients were told, each order in one place: answered, refused for good, or unknown."""

    answered: dict[Order, Consumption] = field(default_factory=dict)
    refused: set[Order] = field(default_factory=set)
    unknown: set[Order] = field(default_factory=set)
    # Those that were unknown for a while, whatever became of them.
    doubtful: set[Order] = field(default_factory=set)


class Spender:
    """One client in a process of its own thoughts: it sends an order, waits, writes down, and sends the next."""

    def __init__(self, diary: Diary, send: Callable[[Order], Awaitable[Consumption]], orders: Iterator[Order]) -> None:
        self.diary = diary
        self._send = send
        self._orders = orders

    async def spend(self, stopped: asyncio.Event) -> None:
        """Spends until it is stopped. What stays unknown is left for later, as a careless client would leave it."""
        while not stopped.is_set():
            await self.attempt(next(self._orders))

    async def attempt(self, order: Order) -> None:
        """Sends the order once, as far as this client is concerned, and writes down what it was told."""
        try:
            self.diary.answered[order] = await self._send(order)
        except Unreachable:
            await self._not_told(order)
        except Refused as no:
            if no.retryable:
                await self._not_told(order)
            elif no.code == "insufficient-credits":
                self.diary.refused.add(order)
            else:
                raise
        if order in self.diary.answered or order in self.diary.refused:
            self.diary.unknown.discard(order)

    async def _not_told(self, order: Order) -> None:
        self.diary.unknown.add(order)
        self.diary.doubtful.add(order)
        await asyncio.sleep(PAUSE_SECONDS)

    async def finish(self) -> None:
        """Repeats what is unknown until nothing is."""
        for order in list(self.diary.unknown):
            while order in self.diary.unknown:
                await self.attempt(order)


@dataclass(frozen=True)
class Market:
    """Where the spenders spend: the service, one account that everybody spends from, and others."""

    api_url: str
    admin_token: str
    hot: str
    others: tuple[str, ...]
    token_of: dict[str, str]

    def orders(self, seed: int) -> Iterator[Order]:
        """An administrator's orders: half of them on the hot account, some into debt."""
        random = Random(seed)
        while True:
            account_id = self.hot if random.random() < 0.5 else random.choice(self.others)
            yield Order(account_id, f"op-{uuid4()}", random.randint(1, 9), into_debt=random.random() < 0.2)

    def own_orders(self, account_id: str, seed: int) -> Iterator[Order]:
        """An account's own orders."""
        random = Random(seed)
        while True:
            yield Order(account_id, f"op-{uuid4()}", random.randint(1, 9), into_debt=False)


class Crowd(AsyncExitStack):
    """Spenders of all kinds, each with its connection: over HTTP those that give up at once, over HTTP those that
    repeat by themselves, and over the WebSocket, which sends again after each reconnect."""

    def __init__(self, market: Market) -> None:
        super().__init__()
        self.market = market
        self.spenders: list[Spender] = []

    async def __aenter__(self) -> Self:
        numbers = itertools.count(1)
        for _ in range(6):
            await self._over_http(next(numbers), attempts=1)
        for _ in range(2):
            await self._over_http(next(numbers), attempts=6)
        for account_id in (self.market.hot, self.market.hot, *self.market.others[:2]):
            await self._over_socket(next(numbers), account_id)
        return self

    async def _over_http(self, number: int, *, attempts: int) -> None:
        client = await self.enter_async_context(
            GrantflowClient(self.market.api_url, self.market.admin_token, attempts=attempts)
        )

        async def send(order: Order) -> Consumption:
            return await client.consume(
                order.account_id,
                operation_id=order.operation_id,
                credits=order.credits,
                on_insufficient="debt" if order.into_debt else "refuse",
            )

        self.spenders.append(Spender(Diary(), send, self.market.orders(number)))

    async def _over_socket(self, number: int, account_id: str) -> None:
        socket = await self.enter_async_context(GrantflowSocket(self.market.api_url, self.market.token_of[account_id]))

        async def send(order: Order) -> Consumption:
            return await socket.consume(order.operation_id, order.credits)

        self.spenders.append(Spender(Diary(), send, self.market.own_orders(account_id, number)))

    @property
    def told(self) -> int:
        """How many answers all of them have got."""
        return sum(len(each.diary.answered) + len(each.diary.refused) for each in self.spenders)

    async def told_more(self, count: int) -> None:
        """Waits until they have got that many answers more."""
        enough = self.told + count
        while self.told < enough:  # noqa: ASYNC110 - a look now and then will do
            await asyncio.sleep(PAUSE_SECONDS)
