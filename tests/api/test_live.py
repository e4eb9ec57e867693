"""Live balances: every change is told, from whichever process, and none is missed when something breaks."""

import asyncio
import contextlib
import json
import socket as sockets
from typing import Any
from uuid import UUID

import pytest
from websockets.exceptions import ConnectionClosed

from api.listening import APPLICATION_NAME
from ledger.balances import changed_since
from messages.grants import GrantType
from tests.api.running import RunningApi, Socket, running_api, until
from tests.conftest import Database
from tests.store.support import grant, session


async def _told_up_to(socket: Socket, seq: int) -> list[dict[str, Any]]:
    """Everything that is told until ``seq``."""
    told: list[dict[str, Any]] = []
    while not told or told[-1]["seq"] != seq:
        told.append(await socket.next_push())
    return told


def _is_chain(told: list[dict[str, Any]], *, after: int) -> bool:
    previous = [after, *(message["seq"] for message in told[:-1])]
    return [message["prevSeq"] for message in told] == previous


async def test_a_change_by_another_process_is_told_within_a_moment(api: RunningApi, account: str) -> None:
    another_process = api.database.open_engine(pool_size=1)
    try:
        async with api.socket_of(account) as socket:
            first = await socket.ask("init")
            began = asyncio.get_running_loop().time()
            await grant(another_process, account, "live-1", 40)
            push = await socket.next()
            took = asyncio.get_running_loop().time() - began
    finally:
        await another_process.dispose()
    assert (push["type"], push["seq"], push["prevSeq"]) == ("usage-response", first["seq"] + 1, first["seq"])
    assert push["remainingBalance"] == first["remainingBalance"] + 40
    assert "requestId" not in push
    assert took < 1, "by the announcement, not by the regular check"


async def test_many_changes_may_be_told_together_but_none_is_missed(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket, api.socket_of(account) as second:
        for each in (socket, second):
            await each.ask("init")
        await asyncio.gather(*(grant(api.engine, account, f"many-{account}-{n}", 1) for n in range(30)))
        for each in (socket, second):
            told = await _told_up_to(each, 30)
            assert _is_chain(told, after=0)
            assert told[-1]["remainingBalance"] == 30
            assert all(message["remainingBalance"] == message["seq"] for message in told)


async def test_answers_count_as_telling(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        await socket.ask("init")
        told: list[dict[str, Any]] = []
        for number in range(10):
            changing = asyncio.create_task(grant(api.engine, account, f"told-{account}-{number}", 1))
            request_id = await socket.send("usage")
            while not told or told[-1].get("requestId") != request_id:
                told.append(await socket.next())
            await changing
        while told[-1]["seq"] != 10:
            told.append(await socket.next())
    assert _is_chain(told, after=0)
    sequence = [message["seq"] for message in told]
    assert sequence == sorted(sequence)


async def test_a_client_goes_on_where_it_was(api: RunningApi, account: str) -> None:
    await api.grant(account)
    async with api.socket_of(account) as socket:
        known = (await socket.ask("init"))["seq"]
    for _ in range(3):
        await api.grant(account)
    async with api.socket_of(account) as socket:
        resumed = await socket.ask("init", fromSeq=known)
        assert (resumed["prevSeq"], resumed["seq"]) == (known, known + 3)
        await api.grant(account)
        push = await socket.next_push()
        assert (push["prevSeq"], push["seq"]) == (known + 3, known + 4)
    async with api.socket_of(account) as socket:
        ahead = await socket.ask("init", fromSeq=10_000)
        assert (ahead["prevSeq"], ahead["seq"]) == (known + 4, known + 4)


async def test_changes_of_others_are_none_of_its_business(api: RunningApi, account: str) -> None:
    other = await api.open_account()
    async with api.socket_of(account) as socket:
        await socket.ask("init")
        await api.grant(other)
        await api.grant(account)
        assert (await socket.next())["accountId"] == account
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.connection.recv(), 0.2)


async def test_a_change_is_told_before_anything_was_asked(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        await socket.ask("ping")
        await api.grant(account, 5)
        assert (await socket.next_push())["remainingBalance"] == 5


async def _kill_listener(database: Database) -> int:
    async with session(database.superuser_url) as superuser:
        killed = await superuser.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND datname = $2",
            APPLICATION_NAME,
            database.name,
        )
    return len(killed)


async def test_no_change_is_missed_when_the_listener_is_killed(database: Database) -> None:
    async with running_api(database, check_seconds=60) as api:
        account = await api.open_account()
        async with api.socket_of(account) as socket:
            await socket.ask("init")
            for number in range(5):
                await until(lambda: api.parts.live.is_listening)
                assert await _kill_listener(database) == 1
                # Announced to nobody: only the look after the reconnect can find it.
                await grant(api.engine, account, f"unheard-{number}", 1)
            told = await _told_up_to(socket, 5)
            assert _is_chain(told, after=0)
            await until(lambda: api.parts.live.is_listening)
            await grant(api.engine, account, "heard-again", 1)
            assert (await socket.next_push())["seq"] == 6


async def test_an_announcement_that_is_lost_only_delays(database: Database) -> None:
    async with running_api(database, check_seconds=0.3) as api:
        account = await api.open_account()
        async with api.socket_of(account) as socket, session(database.owner_url) as owner:
            await socket.ask("init")
            # A change without its announcement, as after a crash between the two.
            await owner.execute("UPDATE accounts SET seq = seq + 1 WHERE account_id = $1", account)
            push = await socket.next()
    assert (push["prevSeq"], push["seq"]) == (0, 1)


async def test_announcements_of_others_do_not_disturb(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket, session(api.database.app_url) as other:
        await socket.ask("init")
        for junk in ("", "junk", f"{account}:x", f"{account}:-1"):
            await other.execute("SELECT pg_notify('account_changes', $1)", junk)
        await api.grant(account)
        assert (await socket.next())["seq"] == 1
        assert api.parts.live.is_listening


async def test_which_accounts_have_changed_is_one_question(api: RunningApi) -> None:
    changed, same = await api.open_account(), await api.open_account()
    await api.grant(changed)
    found = await changed_since(api.engine, {UUID(changed): 0, UUID(same): 0})
    assert [(str(change.account_id), change.seq) for change in found] == [(changed, 1)]
    assert await changed_since(api.engine, {}) == []


async def test_clients_are_asked_to_come_again_before_the_end(database: Database) -> None:
    async with running_api(database) as api:
        account = await api.open_account()
        async with api.socket_of(account) as socket, api.socket_of(account) as second:
            for each in (socket, second):
                await each.ask("init")
            api.server.should_exit = True
            for each in (socket, second):
                assert await each.next() == {"type": "request-reconnect"}
                with pytest.raises(ConnectionClosed) as closed:
                    await each.next()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012


def _narrow_socket(api: RunningApi) -> sockets.socket:
    """A client's connection that takes little before it is read."""
    narrow = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM, sockets.IPPROTO_TCP)
    narrow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", int(api.url.rpartition(":")[2])))
    return narrow


async def _read_to_the_end(slow: Socket) -> None:
    while True:
        await slow.next()


async def test_who_reads_too_slowly_is_closed_and_nobody_else(database: Database) -> None:
    async with running_api(database, send_buffer=4096) as api:
        account = await api.open_account()
        async with (
            api.socket_of(account, max_queue=1, sock=_narrow_socket(api)) as slow,
            api.socket_of(account) as quick,
        ):
            await quick.ask("init")
            slow.connection.transport.pause_reading()
            with contextlib.suppress(TimeoutError):
                for _ in range(4000):
                    await asyncio.wait_for(slow.send("ping"), 0.5)
            assert (await quick.ask("ping"))["type"] == "pong"
            slow.connection.transport.resume_reading()
            with pytest.raises(ConnectionClosed) as closed:
                await _read_to_the_end(slow)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
            await grant(api.engine, account, "for-the-quick", 5, GrantType.ADMIN)
            assert (await quick.next_push())["remainingBalance"] == 5


async def test_answers_are_json_text(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        await socket.send("usage")
        frame = await socket.connection.recv()
    assert isinstance(frame, str)
    assert json.loads(frame)["requestId"] == "r1"
