"""Notices are told as they happen, to every connection of the account, and to each of them once."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from api.socket.outbox import NOTICES_KNOWN_MAX, NOTICES_WAITING_MAX, Closing, Frame, Outbox
from api.socket.pushes import push_of
from ledger.balances import read_balance
from ledger.noticing import give_notice, notices_of_account, untold_notices
from messages.payments import NoticeKind, NoticeOrder, PaymentError
from tests.api.flows import LocalFlows
from tests.api.paying import account_with_top_up
from tests.api.payment_flows import AUTHENTICATION_MESSAGE
from tests.api.running import RunningApi, Socket, found, new_id, running_api
from tests.conftest import Database
from tests.store.support import session


@pytest.fixture
def flows(api: RunningApi) -> Any:
    """The flows, which behave well again after the test."""
    yield api.flows
    api.flows.card = "good"


@pytest.fixture
async def second_api(api: RunningApi) -> AsyncIterator[RunningApi]:
    """A second process on the same database."""
    async with running_api(api.database) as running:
        yield running


async def _notify(api: RunningApi, account: str, kind: str, **more: Any) -> None:
    await give_notice(api.engine, NoticeOrder(account, kind, new_id(), "Something happened.", **more))


async def _pushed(socket: Socket) -> list[dict[str, Any]]:
    """All that came unasked so far: the answer to a ping comes after it."""
    await socket.ask("ping")
    told, socket.pushes = socket.pushes, []
    return told


async def _next_told(socket: Socket) -> dict[str, Any]:
    """The next push that is more than a balance."""
    while True:
        push = await socket.next_push()
        if push["type"] == "action-error" or "autoTopupAdded" in push:
            return push


async def _all_told(api: RunningApi, account: str) -> None:
    async def look() -> bool | None:
        return None if await untold_notices(api.engine, account, limit=100) else True

    await found(look)


async def test_a_top_up_is_told_on_every_process_once(api: RunningApi, second_api: RunningApi) -> None:
    account = await account_with_top_up(api)
    async with api.socket_of(account) as here, second_api.socket_of(account) as there, api.socket_of(account) as also:
        firsts = [await each.ask("init") for each in (here, there, also)]
        spent = await api.admin.post(
            f"/v1/accounts/{account}/consumptions", json={"operationId": new_id(), "credits": 500}
        )
        assert spent.status_code == 200
        for first, each in zip(firsts, (here, there, also), strict=True):
            told = [await each.next_push()]
            while told[-1]["remainingBalance"] != 1500 or not any("autoTopupAdded" in push for push in told):
                told.append(await each.next_push())
            told += await _pushed(each)
            assert [push["autoTopupAdded"] for push in told if "autoTopupAdded" in push] == [1850]
            assert [push["prevSeq"] for push in told] == [first["seq"], *(push["seq"] for push in told[:-1])]
            assert all({"netBalance", "balanceBreakdown", "nextQuotaReset"} <= set(push) for push in told)
        await _all_told(api, account)
        # Neither who was told hears it again, nor who comes now.
        for each in (here, there, also):
            assert (await each.ask("init"))["notifications"] == []
        async with api.socket_of(account) as late:
            assert (await late.ask("init"))["notifications"] == []
            assert await _pushed(late) == []


async def test_who_is_away_is_told_with_init_once(api: RunningApi, second_api: RunningApi) -> None:
    account = await account_with_top_up(api)
    await _notify(api, account, NoticeKind.AUTO_TOPUP_ADDED, credits=700)
    async with second_api.socket_of(account) as socket:
        [notification] = (await socket.ask("init"))["notifications"]
        assert (notification["kind"], notification["details"]["credits"]) == ("auto-topup-added", 700)
        assert notification["message"] == "Something happened."
        assert (await socket.ask("init"))["notifications"] == []
        assert await _pushed(socket) == []
    await _all_told(api, account)
    async with api.socket_of(account) as socket:
        assert (await socket.ask("init"))["notifications"] == []


async def test_a_failure_comes_with_where_to_mend_it(api: RunningApi, flows: LocalFlows) -> None:
    account = await account_with_top_up(api)
    flows.card = "authentication"
    async with api.socket_of(account) as socket:
        await socket.ask("init")
        await api.admin.post(f"/v1/accounts/{account}/consumptions", json={"operationId": new_id(), "credits": 500})
        told = await _next_told(socket)
    last = (await api.admin.get(f"/v1/accounts/{account}/auto-topup")).json()["lastResult"]
    assert told == {
        "type": "action-error",
        "error": "auto-topup-authentication-required",
        "message": AUTHENTICATION_MESSAGE,
        "actionUrl": f"https://grantflow.test/payments/{last['operationId']}/authenticate",
        "remainingBalance": 150,
        "retryable": False,
    }
    await _all_told(api, account)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (NoticeKind.AUTO_TOPUP_FAILED, PaymentError.DECLINED),
        (NoticeKind.PAYMENT_REVERSED, PaymentError.REVERSED),
        (NoticeKind.PURCHASE_FAILED, PaymentError.PURCHASE_DECLINED),
    ],
)
async def test_failures_are_errors(api: RunningApi, account: str, kind: str, error: str) -> None:
    async with api.socket_of(account) as socket:
        await socket.ask("init")
        await _notify(api, account, kind, error=error)
        told = await _next_told(socket)
    assert (told["error"], told["message"], told["retryable"]) == (error, "Something happened.", False)
    assert told["remainingBalance"] == 0
    assert {"actionUrl", "requestId", "seq"} & set(told) == set()


async def test_a_paid_purchase_is_told_with_init_alone(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        await socket.ask("init")
        await _notify(api, account, NoticeKind.PURCHASE_PAID, credits=500)
        await _notify(api, account, NoticeKind.PAYMENT_REVERSED, error=PaymentError.REVERSED)
        assert (await _next_told(socket))["error"] == "payment-reversed"
        [notification] = (await socket.ask("init"))["notifications"]
        assert notification["kind"] == "purchase-paid"


async def test_of_a_push_and_an_init_one_tells(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        sent = []
        for number in range(30):
            sent.append(await socket.send("init"))
            await _notify(api, account, NoticeKind.AUTO_TOPUP_ADDED, credits=number + 1)
            sent.append(await socket.send("init"))
        told: list[int] = []
        answered = 0
        while answered < len(sent) or len(told) < 30:
            message = await socket.next()
            answered += message["type"] == "init-response"
            told += [each["details"]["credits"] for each in message.get("notifications", ())]
            told += [message["autoTopupAdded"]] if "autoTopupAdded" in message else []
        assert sorted(told) == list(range(1, 31))
        assert await _pushed(socket) == []
    await _all_told(api, account)


async def test_others_are_told_nothing(api: RunningApi, account: str) -> None:
    other = await api.open_account()
    async with api.socket_of(other) as socket, api.socket_of(account) as mine:
        for each in (socket, mine):
            await each.ask("init")
        await _notify(api, account, NoticeKind.AUTO_TOPUP_ADDED, credits=5)
        assert (await _next_told(mine))["autoTopupAdded"] == 5
        assert await _pushed(socket) == []


async def test_a_notice_whose_word_is_lost_only_delays(database: Database) -> None:
    async with running_api(database, check_seconds=0.3) as api:
        account = await api.open_account()
        async with api.socket_of(account) as socket, session(database.owner_url) as owner:
            await socket.ask("init")
            for number in (1, 2):
                await owner.execute(
                    "INSERT INTO notices (account_id, kind, subject, payload) VALUES ($1, 'auto-topup-added', $2, $3)",
                    account,
                    str(number),
                    f'{{"message": "Added.", "credits": {number}}}',
                )
                assert (await _next_told(socket))["autoTopupAdded"] == number
            await asyncio.sleep(0.7)
            assert await _pushed(socket) == []


async def test_what_was_written_late_under_an_earlier_id_is_told(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket, session(api.database.owner_url) as owner:
        await socket.ask("init")
        late = owner.transaction()
        await late.start()
        notice_id = await owner.fetchval(
            "INSERT INTO notices (account_id, kind, subject, payload) "
            """VALUES ($1, 'auto-topup-added', 'late', '{"message": "Added.", "credits": 1}') RETURNING notice_id""",
            account,
        )
        await _notify(api, account, NoticeKind.AUTO_TOPUP_ADDED, credits=2)
        assert (await _next_told(socket))["autoTopupAdded"] == 2
        await late.commit()
        await owner.execute("SELECT pg_notify('account_notices', $1)", f"{account}:{notice_id}")
        assert (await _next_told(socket))["autoTopupAdded"] == 1
        assert await _pushed(socket) == []


async def test_words_of_others_on_the_channel_do_not_disturb(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket, session(api.database.app_url) as other:
        await socket.ask("init")
        for junk in ("", "junk", f"{account}:x", f"{account}:-1", f"{account}:{2**70}", f"{account}:1"):
            await other.execute("SELECT pg_notify('account_notices', $1)", junk)
        await _notify(api, account, NoticeKind.AUTO_TOPUP_ADDED, credits=3)
        assert (await _next_told(socket))["autoTopupAdded"] == 3
        assert api.parts.live.is_listening


async def test_what_was_pushed_and_could_not_be_noted_waits_for_another(api: RunningApi, account: str) -> None:
    async with session(api.database.owner_url) as owner:
        async with api.socket_of(account) as socket:
            await socket.ask("init")
            # Without the right to note it, what was pushed stays untold for the next connection.
            await owner.execute("REVOKE UPDATE (told_at) ON notices FROM grantflow_app")
            await _notify(api, account, NoticeKind.AUTO_TOPUP_ADDED, credits=4)
            assert (await _next_told(socket))["autoTopupAdded"] == 4
            # On this one it is known, whatever the database says.
            assert (await socket.ask("init"))["notifications"] == []
        await asyncio.sleep(0.2)
        await owner.execute("GRANT UPDATE (told_at) ON notices TO grantflow_app")
    async with api.socket_of(account) as socket:
        assert len((await socket.ask("init"))["notifications"]) == 1
    await _all_told(api, account)
    [notice] = await notices_of_account(api.engine, account, limit=10)
    assert notice.told_at is not None


async def test_what_a_reader_does_not_take_is_not_told(api: RunningApi, account: str) -> None:
    await _notify(api, account, NoticeKind.AUTO_TOPUP_ADDED, credits=6)
    await _notify(api, account, NoticeKind.PAYMENT_REVERSED, error=PaymentError.REVERSED)
    waiting = await untold_notices(api.engine, account, limit=10)
    outbox = Outbox()
    settled: list[bool] = []
    balance = await read_balance(api.engine, account)
    outbox.begin(balance)
    for notice in [*waiting, *waiting]:
        push = push_of(notice, balance, settled.append)
        assert push is not None
        outbox.push_notice(push)
    added = await outbox.next()
    assert isinstance(added, Frame)
    assert json.loads(added.text)["autoTopupAdded"] == 6
    assert settled == []
    failed = await outbox.next()
    assert isinstance(failed, Frame)
    assert failed.settle is not None
    failed.settle(False)
    assert settled == [False]
    outbox.close(Closing(1012, "the end"))
    # What came twice is not told twice.
    assert isinstance(await outbox.next(), Closing)


async def test_a_reader_that_takes_nothing_keeps_no_more_than_some(api: RunningApi, account: str) -> None:
    await _notify(api, account, NoticeKind.AUTO_TOPUP_ADDED, credits=6)
    [notice] = await untold_notices(api.engine, account, limit=1)
    outbox = Outbox()
    balance = await read_balance(api.engine, account)
    for number in range(NOTICES_WAITING_MAX + 5):
        push = push_of(replace(notice, notice_id=number), balance, lambda sent: None)
        assert push is not None
        outbox.push_notice(push)
    outbox.close(Closing(1012, "the end"))
    for _ in range(NOTICES_WAITING_MAX):
        assert isinstance(await outbox.next(), Frame)
    assert isinstance(await outbox.next(), Closing)
    assert all(outbox.is_news(number) for number in range(-NOTICES_KNOWN_MAX, 0))
    assert not outbox.is_news(-1)
    # The oldest have been forgotten.
    assert outbox.is_news(0)
