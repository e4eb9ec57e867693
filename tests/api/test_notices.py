"""What happened while a client was away reaches it with ``init``, each thing until it was told once."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.notices import NOTICES_AT_ONCE
from ledger.balances import read_balance
from ledger.noticing import give_expiry_notices, untold_notices
from tests.api.running import RunningApi, found, running_api
from tests.conftest import Database
from tests.store.support import DAY_SECONDS, session

DAYS = (30, 7, 1)


@pytest.fixture
async def own_api(database: Database) -> AsyncIterator[RunningApi]:
    """An API whose clock the test moves by months."""
    async with running_api(database, embedded=True) as running:
        yield running


async def be_away(api: RunningApi, account: str, *, grants: int = 1) -> None:
    """Gives long-lived grants, and lets time pass until their first notices are due and written."""
    expires_at = (await read_balance(api.engine, account)).now + timedelta(days=60)
    for _ in range(grants):
        await api.grant(account, 1200, type="free", expiresAt=expires_at.isoformat())
    await api.admin.post("/v1/test-clock", json={"advanceSeconds": 31 * DAY_SECONDS})
    await give_expiry_notices(api.engine, days=DAYS, limit=1000)


async def all_told(api: RunningApi, account: str) -> None:
    """Waits until nothing waits for the account any more: that is noted after the answer has gone out."""

    async def look() -> bool | None:
        return None if await untold_notices(api.engine, account, limit=100) else True

    await found(look)


async def init(api: RunningApi, account: str) -> list[dict[str, Any]]:
    """What a new connection of the account is told."""
    async with api.socket_of(account) as socket:
        notifications: list[dict[str, Any]] = (await socket.ask("init"))["notifications"]
        return notifications


async def test_init_tells_what_was_not_told_and_tells_it_once(own_api: RunningApi) -> None:
    account = await own_api.open_account()
    await be_away(own_api, account)
    async with own_api.socket_of(account) as socket:
        answer = await socket.ask("init")
        again = await socket.ask("init")
    [notification] = answer["notifications"]
    end = datetime.fromisoformat(notification["details"]["expiresAt"])
    assert notification["kind"] == "expiry"
    assert notification["message"] == (
        f"1,200 free credits expire on {end:%Y-%m-%d} at {end:%H:%M} UTC, unless they are spent before."
    )
    assert notification["details"]["daysBefore"] == 30
    assert set(notification) == {"noticeId", "kind", "at", "message", "details"}
    assert notification["at"] <= answer["serverTime"]
    assert again["notifications"] == []
    assert await init(own_api, account) == []
    await all_told(own_api, account)
    await own_api.admin.post("/v1/test-clock", json={"advanceSeconds": 23 * DAY_SECONDS})
    await give_expiry_notices(own_api.engine, days=DAYS, limit=1000)
    assert [each["details"]["daysBefore"] for each in await init(own_api, account)] == [7]


async def test_usage_tells_no_notices_and_takes_none(own_api: RunningApi) -> None:
    account = await own_api.open_account()
    await be_away(own_api, account)
    async with own_api.socket_of(account) as socket:
        assert "notifications" not in await socket.ask("usage")
        assert len((await socket.ask("init"))["notifications"]) == 1


async def test_of_connections_that_come_together_one_is_told(own_api: RunningApi) -> None:
    account = await own_api.open_account()
    stranger = await own_api.open_account()
    await be_away(own_api, account, grants=3)
    told = await asyncio.gather(*(init(own_api, account) for _ in range(6)), init(own_api, stranger))
    ids = [each["noticeId"] for notifications in told for each in notifications]
    assert len(ids) == len(set(ids)) == 3
    assert told[-1] == []


async def test_very_many_come_in_several_answers(own_api: RunningApi) -> None:
    account = await own_api.open_account()
    async with session(own_api.database.owner_url) as owner:
        await owner.execute(
            "INSERT INTO notices (account_id, kind, subject, payload) "
            """SELECT $1, 'auto-topup-failed', n::text, '{"message": "Your card was declined."}' """
            "FROM generate_series(1, $2) n",
            account,
            NOTICES_AT_ONCE + 2,
        )
    async with own_api.socket_of(account) as socket:
        first = (await socket.ask("init"))["notifications"]
    assert len(first) == NOTICES_AT_ONCE
    assert {each["message"] for each in first} == {"Your card was declined."}

    async def rest() -> list[dict[str, Any]] | None:
        return await init(own_api, account) or None

    assert len(await found(rest)) == 2


async def test_what_could_not_be_sent_waits(own_api: RunningApi) -> None:
    account = await own_api.open_account()
    await be_away(own_api, account)
    desk = own_api.parts.notices
    handout, other = await desk.read(account), await desk.read(account)
    assert len(handout.take()) == 1
    assert other.take() == []
    handout.settle(False)
    again = await desk.read(account)
    assert len(again.take()) == 1
    again.settle(False)
    assert len(await init(own_api, account)) == 1


async def test_what_could_not_be_noted_is_told_again(own_api: RunningApi) -> None:
    account = await own_api.open_account()
    await be_away(own_api, account)
    async with session(own_api.database.owner_url) as owner:
        await owner.execute("REVOKE UPDATE (told_at) ON notices FROM grantflow_app")
        [told] = await init(own_api, account)

        async def once_more() -> list[dict[str, Any]] | None:
            return await init(own_api, account) or None

        assert await found(once_more) == [told]
        await owner.execute("GRANT UPDATE (told_at) ON notices TO grantflow_app")

    async def told_for_good() -> bool | None:
        # Whether the note of the telling before comes ahead of the right to write it or after, nobody knows.
        await init(own_api, account)
        return None if await untold_notices(own_api.engine, account, limit=100) else True

    await found(told_for_good)
    assert await init(own_api, account) == []


async def test_the_list_has_all_and_tells_nothing(own_api: RunningApi) -> None:
    account = await own_api.open_account()
    await be_away(own_api, account, grants=3)
    path = f"/v1/accounts/{account}/notices"
    first = (await own_api.admin.get(path, params={"limit": 2})).json()
    async with own_api.client(await own_api.token_of(account)) as holder:
        second = (await holder.get(path, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    assert second["nextCursor"] is None
    listed = first["data"] + second["data"]
    assert [each["toldAt"] for each in listed] == [None, None, None]
    told = await init(own_api, account)
    assert [{**each, "toldAt": None} for each in reversed(told)] == listed
    await all_told(own_api, account)
    assert all(each["toldAt"] for each in (await own_api.admin.get(path)).json()["data"])


@pytest.mark.parametrize("key", ['["notices", "7"]', '["notices", -1]', '["notices"]', '["entries-newest", 7]'])
async def test_cursors_that_are_none(api: RunningApi, account: str, key: str) -> None:
    cursor = base64.urlsafe_b64encode(key.encode()).decode()
    answer = await api.admin.get(f"/v1/accounts/{account}/notices", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


async def test_nobodys_notices(api: RunningApi) -> None:
    answer = await api.admin.get("/v1/accounts/01970000-0000-7000-8000-000000000001/notices")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-account")
