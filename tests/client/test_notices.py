"""Notices by the Python client and on the command line."""

import json

import pytest

from client.answers import BalanceNews
from client.http import GrantflowClient
from client.socket import GrantflowSocket
from tests.api.running import RunningApi
from tests.client.test_cli import run
from tests.store.support import session

MESSAGE = "Your card was declined."


@pytest.fixture
async def noticed(api: RunningApi, account: str) -> str:
    """An account that has something to be told."""
    async with session(api.database.owner_url) as owner:
        payload = json.dumps({"message": MESSAGE})
        await owner.execute(
            "INSERT INTO notices (account_id, kind, subject, payload) VALUES ($1, 'auto-topup-failed', '1', $2)",
            account,
            payload,
        )
    return account


async def test_the_socket_brings_them_with_the_first_balance(api: RunningApi, noticed: str) -> None:
    async with GrantflowSocket(api.url, await api.token_of(noticed)) as socket:
        first = await anext(socket.events())
    assert isinstance(first, BalanceNews)
    assert [(notice.kind, notice.message) for notice in first.notifications] == [("auto-topup-failed", MESSAGE)]


async def test_watching_shows_them(api: RunningApi, noticed: str) -> None:
    words = await run(api, "watch", "--count", "1", "--token", await api.token_of(noticed))
    assert f"auto-topup-failed: {MESSAGE}" in words.out


async def test_the_list(api: RunningApi, admin: GrantflowClient, noticed: str) -> None:
    [notice] = (await admin.notices(noticed, limit=1)).data
    assert (notice.message, notice.told_at, notice.details) == (MESSAGE, None, {"message": MESSAGE})
    assert MESSAGE in (await run(api, "account", "notices", noticed)).out
    assert json.loads((await run(api, "account", "notices", noticed, "--json")).out) == {
        "data": [notice.to_wire()],
        "nextCursor": None,
    }
