"""kill -9 of PostgreSQL, and of the API, while clients spend: by their own records nothing is lost, nothing doubled."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from uuid import uuid4

import asyncpg
import pytest

from client.answers import Consumption
from client.http import GrantflowClient
from tests.faults.spenders import Crowd, Diary, Market, Order
from tests.faults.up import Up
from tests.store.support import session, wrong_books

PATIENCE_SECONDS = 200
KILLS = 3
TOLD_BETWEEN_KILLS = 150
# The hot account never runs dry. The others do: somebody is refused, and somebody else goes into debt.
HOT_CREDITS, OTHER_CREDITS, OTHERS = 1_000_000, 400, 6

_BOOKED = """
SELECT account_id::text, operation_id, grant_id::text, -credits AS credits FROM journal
WHERE account_id = ANY ($1::uuid[]) AND kind IN ('consumed', 'debt-incurred') ORDER BY entry_id
"""


@pytest.fixture
async def market(up: Up) -> Market:
    """Accounts with credits of several types, and the tokens of their owners."""
    ids = [await up.account() for _ in range(1 + OTHERS)]
    for account_id, credits in zip(ids, [HOT_CREDITS, *[OTHER_CREDITS] * OTHERS], strict=True):
        for grant_type in ("purchase", "admin", "free"):
            await up.grantflow.grant(account_id, operation_id=f"g-{uuid4()}", type=grant_type, credits=credits)
    tokens = {account_id: await up.grantflow.create_token(account_id) for account_id in ids}
    return Market(up.address["apiUrl"], up.address["adminToken"], ids[0], tuple(ids[1:]), tokens)


@pytest.mark.parametrize("part", ["postgres", "api"])
async def test_a_part_killed_under_load_loses_and_doubles_nothing(up: Up, market: Market, part: str) -> None:
    stopped = asyncio.Event()
    async with asyncio.timeout(PATIENCE_SECONDS), Crowd(market) as crowd:
        async with asyncio.TaskGroup() as spending:
            for spender in crowd.spenders:
                spending.create_task(spender.spend(stopped))
            for _ in range(KILLS):
                await crowd.told_more(TOLD_BETWEEN_KILLS)
                await up.kill(part)
            await crowd.told_more(TOLD_BETWEEN_KILLS)
            stopped.set()
        await asyncio.gather(*(spender.finish() for spender in crowd.spenders))
        diary = _of_all(spender.diary for spender in crowd.spenders)
    # A killed API leaves those who were waiting without an answer. That PostgreSQL was away, nobody needs to notice.
    assert diary.doubtful or part == "postgres"
    assert not diary.unknown
    await _every_answer_is_given_again(up.grantflow, diary)
    async with session(up.address["databaseUrl"]) as reader:
        await _the_journal_is_what_the_clients_were_told(reader, market, diary)
        assert await wrong_books(reader) == []
    for account_id in (market.hot, *market.others):
        await _the_account_is_what_its_clients_were_told(up.grantflow, market, account_id, diary)


def _of_all(diaries: Iterable[Diary]) -> Diary:
    whole = Diary()
    for diary in diaries:
        whole.answered |= diary.answered
        whole.refused |= diary.refused
        whole.unknown |= diary.unknown
        whole.doubtful |= diary.doubtful
    return whole


async def _every_answer_is_given_again(grantflow: GrantflowClient, diary: Diary) -> None:
    """Nothing that was acknowledged is forgotten: whoever repeats gets the first answer."""

    async def again(order: Order) -> Consumption:
        async with at_once:
            return await grantflow.consume(
                order.account_id,
                operation_id=order.operation_id,
                credits=order.credits,
                on_insufficient="debt" if order.into_debt else "refuse",
            )

    at_once = asyncio.Semaphore(16)
    repeated = await asyncio.gather(*map(again, diary.answered))
    # Only the WebSocket says who paid.
    first = [answer.model_copy(update={"replayed": True, "paid_by": None}) for answer in diary.answered.values()]
    assert repeated == first


async def _the_journal_is_what_the_clients_were_told(reader: asyncpg.Connection, market: Market, diary: Diary) -> None:
    booked: dict[tuple[str, str], list[tuple[str | None, int]]] = defaultdict(list)
    for row in await reader.fetch(_BOOKED, [market.hot, *market.others]):
        booked[row["account_id"], row["operation_id"]].append((row["grant_id"], row["credits"]))
    told = {
        (order.account_id, order.operation_id): [
            *((each.grant_id, each.credits) for each in answer.allocations),
            *([(None, answer.debt_incurred)] if answer.debt_incurred else []),
        ]
        for order, answer in diary.answered.items()
    }
    assert booked == told


async def _the_account_is_what_its_clients_were_told(
    grantflow: GrantflowClient, market: Market, account_id: str, diary: Diary
) -> None:
    own = {order: answer for order, answer in diary.answered.items() if order.account_id == account_id}
    assert all(order.credits == answer.consumed for order, answer in own.items())
    granted = 3 * (HOT_CREDITS if account_id == market.hot else OTHER_CREDITS)
    balance = await grantflow.balance(account_id)
    assert balance.net_balance == balance.remaining_balance - balance.debt
    assert balance.net_balance == granted - sum(order.credits for order in own)
    # One after another: each was told the balance that the one before it had left, less its own.
    in_turn = sorted(own.items(), key=lambda each: -each[1].net_balance)
    nets = [granted, *(answer.net_balance for _, answer in in_turn)]
    assert [before - after for before, after in pairwise(nets)] == [order.credits for order, _ in in_turn]
