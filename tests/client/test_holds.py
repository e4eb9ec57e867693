"""Holds by the Python client, over HTTP and over the socket, and by the command line."""

import pytest

from client.errors import Refused
from client.http import GrantflowClient
from client.socket import GrantflowSocket
from tests.api.running import RunningApi, new_id
from tests.client.test_cli import run


async def test_over_http(api: RunningApi, admin: GrantflowClient, account: str) -> None:
    await api.grant(account, 20)
    name = new_id()
    hold = await admin.hold(account, operation_id=name, credits=15, ttl_seconds=60)
    assert (hold.credits, hold.held, hold.remaining_balance, hold.replayed) == (15, 15, 5, False)
    assert (await admin.hold(account, operation_id=name, credits=15, ttl_seconds=60)).replayed
    extended = await admin.extend_hold(name, ttl_seconds=600)
    assert extended.expires_at is not None
    assert hold.expires_at is not None
    assert extended.expires_at > hold.expires_at
    settled = await admin.settle_hold(name, credits=4, account_id=account)
    assert (settled.consumed, settled.given_back, settled.remaining_balance) == (4, 11, 16)
    with pytest.raises(Refused) as refused:
        await admin.release_hold(name)
    assert refused.value.code == "hold-closed"
    await admin.hold(account, operation_id=name + "-2", credits=5, ttl_seconds=60)
    assert (await admin.release_hold(name + "-2")).given_back == 5


async def test_over_the_socket(api: RunningApi, account: str) -> None:
    await api.grant(account, 20)
    token = await api.token_of(account)
    async with GrantflowSocket(api.url, token, repo_url="https://github.com/ada/engine") as socket:
        hold = await socket.hold("job", 15, 60)
        assert (hold.credits, hold.paid_by) == (15, account)
        assert (await socket.extend("job", 600)).state == "open"
        settled = await socket.settle("job", 4)
        assert (settled.consumed, settled.given_back, settled.paid_by) == (4, 11, account)
        await socket.hold("job-2", 5, 60)
        assert (await socket.release("job-2")).given_back == 5
        with pytest.raises(Refused) as refused:
            await socket.settle("job-2", 1)
        assert refused.value.code == "hold-closed"


async def test_by_the_command_line(api: RunningApi, account: str) -> None:
    grant = await api.grant(account, 20)
    name, other = new_id(), new_id()
    placed = await run(api, "hold", "place", account, "15", "60", "--operation-id", name)
    assert (placed.code, "15" in placed.out) == (0, True)
    again = await run(api, "hold", "place", account, "15", "60", "--operation-id", name, "--json")
    assert (again.json["replayed"], again.json["remainingBalance"]) == (True, 5)
    assert (await run(api, "hold", "extend", name, "600", "--json")).json["state"] == "open"
    settled = await run(api, "hold", "settle", name, "4", "--account", account)
    assert f"4 by {grant['operationId']} (admin)" in settled.out
    assert "nothing was spent now" in (await run(api, "hold", "settle", name, "4")).err
    await run(api, "hold", "place", account, "5", "60", "--operation-id", other)
    assert (await run(api, "hold", "release", other, "--json")).json["givenBack"] == 5
    assert (await run(api, "hold", "settle", other, "1")).code == 1
    assert (await run(api, "hold", "place", account, "1", "0")).code == 1
