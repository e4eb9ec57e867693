"""What a stand-in that was killed still knows."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import stripe

from stripe_sandbox.__main__ import main
from stripe_sandbox.app import create_app
from stripe_sandbox.config import SandboxConfig
from stripe_sandbox.database import Database, WrongVersion
from tests.sandbox.endpoint import SECRET, Endpoint
from tests.sandbox.serving import free_port, served
from tests.sandbox.standin import RecordingClient, StandIn

REPOSITORY = Path(__file__).parents[2]


@asynccontextmanager
async def process(
    data_dir: Path, port: int, webhook_url: str, http: httpx.AsyncClient, transport: RecordingClient
) -> AsyncIterator[tuple[StandIn, asyncio.subprocess.Process]]:
    """Run the stand-in as a process of its own until it has ended or the block is left."""
    words = ["--port", str(port), "--data-dir", str(data_dir), "--webhook-url", webhook_url, "--webhook-secret", SECRET]
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stripe_sandbox", *words, cwd=REPOSITORY, stderr=asyncio.subprocess.DEVNULL
    )
    stand_in = StandIn(f"http://127.0.0.1:{port}", http, transport)
    try:
        await _until_healthy(stand_in)
        yield stand_in, running
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


async def _until_healthy(stand_in: StandIn) -> None:
    for _ in range(400):
        try:
            await stand_in.http.get(f"{stand_in.url}/_sandbox/health")
        except httpx.TransportError:
            await asyncio.sleep(0.025)
        else:
            return
    raise AssertionError("the stand-in did not start")


async def test_a_killed_stand_in_comes_back_with_all_it_had(
    tmp_path: Path, endpoint: Endpoint, endpoint_url: str, http: httpx.AsyncClient, stripe_transport: RecordingClient
) -> None:
    port = free_port()
    async with process(tmp_path, port, endpoint_url, http, stripe_transport) as (stand_in, running):
        await stand_in.control("clock", {"advanceSeconds": 3_600})
        endpoint.answers.extend([503] * 1_000)
        await stand_in.behave(fail=[{"method": "GET", "path": "/v1/events", "status": 503}])
        customer = await stand_in.customer()
        grant = await stand_in.grant(customer.id, key="op-1")
        await endpoint.wait_for(2)
        running.send_signal(signal.SIGKILL)
        assert await running.wait() == -signal.SIGKILL
    refused = len(endpoint.deliveries)
    endpoint.answers.clear()
    async with process(tmp_path, port, endpoint_url, http, stripe_transport) as (stand_in, running):
        assert (await stand_in.grant(customer.id, key="op-1")).id == grant.id
        assert len(await stand_in.look("objects/credit_grants")) == 1
        assert [request["path"] for request in await stand_in.look("requests")][:2] == [
            "/v1/customers",
            "/v1/billing/credit_grants",
        ]
        told = (await endpoint.wait_for(refused + 2))[refused:]
        assert sorted(delivery.event.type for delivery in told) == ["billing.credit_grant.created", "customer.created"]
        with pytest.raises(stripe.APIError):
            await stand_in.client.v1.events.list_async({})
        clock = (await http.get(f"{stand_in.url}/_sandbox/clock")).json()
        assert clock["offsetMs"] == 3_600_000
        await stand_in.until_all_is_delivered()
        os.kill(running.pid, signal.SIGTERM)
        assert await running.wait() in (0, -signal.SIGTERM)


async def test_a_delivery_under_way_when_it_stops_is_made_again(
    tmp_path: Path, endpoint: Endpoint, endpoint_url: str, http: httpx.AsyncClient, stripe_transport: RecordingClient
) -> None:
    config = SandboxConfig(data_dir=tmp_path, webhook_url=endpoint_url, webhook_secret=SECRET)
    endpoint.slow_seconds = 0.3
    async with served(create_app(config)) as url:
        await StandIn(url, http, stripe_transport).customer()
        await endpoint.wait_for(1)
    async with served(create_app(config)):
        first, second = await endpoint.wait_for(2)
    assert first.event.id == second.event.id


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.run("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(WrongVersion, match="schema 99"):
        Database(tmp_path)


def test_settings_that_cannot_be_used_end_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = ["--port", "1", "--data-dir", str(tmp_path), "--webhook-secret", "w", "--webhook-url", "nowhere"]
    assert main(words) == 2
    assert "the webhook address 'nowhere'" in caplog.text
