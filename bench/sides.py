"""Who can be measured in a process of ours: the ledger, the naive pattern, and the bare one-call transaction."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from bench.accounts import CREDITS_A_CALL, account_id, operation_id
from bench.loads import Call
from bench.naive import NaiveLedger, open_pool
from ledger.consuming import ConsumeOrder, Consumption
from ledger.repeating import RETRIES
from ledger.transaction import open_engine

_ONE_CALL = "SELECT bench.consume_one($1, $2, $3)"
# What ``open_engine`` sets for a session, as far as it changes what is planned or done; timeouts are left out.
PLANNER_SETTINGS = {"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off"}


@dataclass(frozen=True)
class Target:
    """What the calls are for: accounts ``first`` to ``last`` of a database, under operation ids of this ``run``."""

    app_url: str
    first: int
    last: int
    run: int

    def accounts(self) -> list[str]:
        """The ids of the accounts."""
        return [account_id(number) for number in range(self.first, self.last + 1)]


@dataclass(frozen=True)
class Side:
    """Something to call, and how many of its transactions were repeated so far."""

    call: Call
    retries: Callable[[], int]


@asynccontextmanager
async def ledger_side(target: Target) -> AsyncIterator[Side]:
    """The ledger's public function, as an API process runs it."""
    engine = open_engine(sqlalchemy_url(target.app_url))
    consumption = Consumption(engine)
    accounts, choose = target.accounts(), random.Random(target.run).choice

    async def call(caller: int, number: int) -> None:
        operation = operation_id(target.run, caller, number)
        order = ConsumeOrder(choose(accounts), operation, CREDITS_A_CALL, actor="bench", request_id=operation)
        await consumption.consume(order)

    async with consumption.running():
        yield Side(call, count_retries)
    await engine.dispose()


@asynccontextmanager
async def naive_side(target: Target) -> AsyncIterator[Side]:
    """The naive pattern."""
    pool = await open_pool(target.app_url)
    ledger = NaiveLedger(pool)
    accounts, choose = [UUID(each) for each in target.accounts()], random.Random(target.run).choice

    async def call(caller: int, number: int) -> None:
        await ledger.consume(choose(accounts), operation_id(target.run, caller, number), CREDITS_A_CALL)

    yield Side(call, lambda: ledger.retries)
    await pool.close()


@asynccontextmanager
async def bare_side(target: Target) -> AsyncIterator[Side]:
    """The yardstick's one call by asyncpg, one caller on one session: no statement but the prepared one."""
    settings = {"default_transaction_isolation": "serializable", **PLANNER_SETTINGS}
    session = await asyncpg.connect(target.app_url, server_settings=settings)
    prepared = await session.prepare(_ONE_CALL)
    accounts, choose = [UUID(each) for each in target.accounts()], random.Random(target.run).choice

    async def call(caller: int, number: int) -> None:
        await prepared.fetchval(choose(accounts), operation_id(target.run, caller, number), CREDITS_A_CALL)

    yield Side(call, lambda: 0)
    await session.close()


SIDES: dict[str, Callable[[Target], AbstractAsyncContextManager[Side]]] = {
    "ledger": ledger_side,
    "naive": naive_side,
    "bare": bare_side,
}


def count_retries() -> int:
    """How many transactions this process's ledger has repeated."""
    samples = [sample for metric in RETRIES.collect() for sample in metric.samples]
    return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))


def sqlalchemy_url(url: str) -> str:
    """The URL with SQLAlchemy's name for asyncpg."""
    return "postgresql+asyncpg" + url.removeprefix("postgresql")
