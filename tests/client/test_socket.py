"""The Python client over the WebSocket: it comes back by itself and misses nothing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import pairwise

import pytest

from client.answers import ActionFailed, BalanceNews
from client.errors import Refused
from client.socket import GrantflowSocket
from tests.api.running import ADMIN_TOKEN, RunningApi, new_id, running_api, until
from tests.client.bad_line import BadLine, Fault
from tests.conftest import Database


async def _next(events: AsyncGenerator[BalanceNews | ActionFailed, None]) -> BalanceNews:
    event = await asyncio.wait_for(anext(events), 10)
    assert isinstance(event, BalanceNews)
    return event


async def _up_to(events: AsyncGenerator[BalanceNews | ActionFailed, None], seq: int) -> list[BalanceNews]:
    told = [await _next(events)]
    while told[-1].seq < seq:
        told.append(await _next(events))
    return told


async def test_it_hears_of_changes_and_asks(api: RunningApi, account: str) -> None:
    async with GrantflowSocket(api.url, await api.token_of(account)) as socket:
        async with aclosing(socket.events()) as events:
            assert (await _next(events)).remaining_balance == 0
            grant = await api.grant(account, 7)
            assert (await _next(events)).remaining_balance == 7
        assert (await socket.usage()).remaining_balance == 7
        assert (await socket.grant_status(grant["operationId"])).stage == "local"
        await socket.ping()
        with pytest.raises(Refused) as refused:
            await socket.grant_status("op-none")
        assert refused.value.code == "not-found"
    assert socket.connections == 1


async def test_it_comes_back_and_goes_on_where_it_was(api: RunningApi, account: str, line: BadLine) -> None:
    async with (
        GrantflowSocket(line.url, await api.token_of(account)) as socket,
        aclosing(socket.events()) as events,
    ):
        told = [await _next(events)]
        for _ in range(3):
            line.faults.extend([Fault.REFUSED, Fault.ANSWER_LOST])
            line.cut()
            await api.grant(account, 1)
            told += await _up_to(events, told[-1].seq + 1)
    assert socket.connections == 4
    assert [news.remaining_balance for news in told if news.seq > news.prev_seq] == [1, 2, 3]
    assert all(news.prev_seq == before.seq for before, news in pairwise(told))


async def test_a_question_outlives_its_connection(api: RunningApi, account: str, line: BadLine) -> None:
    line.faults.extend([Fault.REFUSED, Fault.REFUSED])
    async with GrantflowSocket(line.url, await api.token_of(account)) as socket:
        answers = await asyncio.gather(*(socket.usage() for _ in range(5)))
        line.cut()
        answers += await asyncio.gather(*(socket.usage() for _ in range(5)))
    assert {answer.account_id for answer in answers} == {account}
    assert socket.connections == 2


async def test_it_comes_again_when_it_is_asked_to(database: Database) -> None:
    async with running_api(database) as api:
        account = await api.open_account()
        async with GrantflowSocket(api.url, await api.token_of(account)) as socket:
            await socket.ping()
            api.parts.live.dismiss_all()
            await until(lambda: socket.connections == 2)
            await api.grant(account, 3)
            assert (await socket.usage()).remaining_balance == 3


async def test_it_does_not_insist_where_it_is_not_admitted(api: RunningApi) -> None:
    for token in ("gf_unknown", ADMIN_TOKEN):
        async with GrantflowSocket(api.url, token) as socket:
            with pytest.raises(Refused) as refused:
                await socket.usage()
            assert refused.value.code == "unauthenticated"
            with pytest.raises(Refused):
                await anext(socket.events())
            with pytest.raises(Refused):
                await socket.ping()
        assert socket.connections == 1


async def test_failures_that_answer_no_question_are_events(api: RunningApi, account: str) -> None:
    token = await api.token_of(account)
    async with (
        GrantflowSocket(api.url, token, repo_url="nonsense") as socket,
        aclosing(socket.events()) as events,
    ):
        event = await asyncio.wait_for(anext(events), 10)
    assert isinstance(event, ActionFailed)
    assert event.error == "invalid-message"


async def test_a_repository_goes_along(api: RunningApi, account: str) -> None:
    token = await api.token_of(account)
    url = "https://github.com/ada/engine"
    async with GrantflowSocket(api.url, token, repo_url=url) as socket, aclosing(socket.events()) as events:
        assert (await _next(events)).account_id == account
        await api.grant(account, 1, operationId=new_id())
        assert (await _next(events)).seq == 1


async def test_it_spends(api: RunningApi, account: str) -> None:
    await api.grant(account, 7)
    operation_id = new_id()
    async with GrantflowSocket(
        api.url, await api.token_of(account), repo_url="git@github.com:ada/engine.git"
    ) as socket:
        spent = await socket.consume(operation_id, 5)
        assert (spent.remaining_balance, spent.paid_by, spent.replayed) == (2, account, False)
        assert (await socket.consume(operation_id, 5)).replayed
        with pytest.raises(Refused) as refused:
            await socket.consume(new_id(), 5)
    assert (refused.value.code, refused.value.members["remainingBalance"]) == ("insufficient-credits", 2)
