"""Stacks of real processes for tests that kill them: stand-in, API and worker on the run's servers, or all of it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client

from gateways.temporal.namespace import prepare_namespace
from local.ports import free_ports
from local.temporal import NAMESPACE, TemporalDevServer
from messages.names import SWEEPS_SCHEDULE
from tests.conftest import ROOT, Database
from tests.faults.shop import Shop
from tests.faults.up import Up, running_stack

ADMIN_TOKEN = "an-admin-token-for-tests"
STRIPE_KEY = "sk_test_faults"
WEBHOOK_SECRET = "whsec_faults"
READY_SECONDS = 40


@dataclass
class Stack:
    """The processes of one test, and how to reach them."""

    folder: Path
    environment: dict[str, str]
    api_url: str
    stripe_url: str
    running: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, *command: str) -> asyncio.subprocess.Process:
        """Starts ``python -m command`` with the stack's environment; it is ended with the test."""
        with (self.folder / f"{command[0]}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *command, cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        self.running.append(process)
        return process

    async def stop(self) -> None:
        """Kills what still runs."""
        for process in self.running:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def stripe_behaves(self, **behaviour: object) -> None:
        """Sets how the stand-in behaves, by its test control."""
        async with httpx.AsyncClient() as client:
            (await client.post(f"{self.stripe_url}/_sandbox/behaviour", json=behaviour)).raise_for_status()

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture
async def no_sweeps(temporal: Client) -> AsyncIterator[None]:
    """The Schedule is there and paused, so that no sweep does what a test waits for. A starting worker keeps that."""
    await prepare_namespace(temporal)
    schedule = temporal.get_schedule_handle(SWEEPS_SCHEDULE)
    await schedule.pause()
    yield
    await schedule.delete()


@pytest.fixture
async def stack(
    database: Database, dev_server: TemporalDevServer, tmp_path: Path, no_sweeps: None
) -> AsyncIterator[Stack]:
    """The stand-in and the API are up; the test starts the worker that it wants."""
    api_port, stripe_port = free_ports(2)
    started = Stack(
        folder=tmp_path,
        environment={
            **os.environ,
            "GRANTFLOW_DATABASE_URL": database.app_url,
            "GRANTFLOW_ADMIN_TOKEN": ADMIN_TOKEN,
            "GRANTFLOW_PORT": str(api_port),
            "GRANTFLOW_EMBEDDED": "1",
            "TEMPORAL_ADDRESS": dev_server.address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": f"http://127.0.0.1:{stripe_port}",
        },
        api_url=f"http://127.0.0.1:{api_port}",
        stripe_url=f"http://127.0.0.1:{stripe_port}",
    )
    try:
        webhook = f"{started.api_url}/webhooks/stripe"
        await started.start(
            *("stripe_sandbox", "--port", str(stripe_port), "--data-dir", str(tmp_path / "stripe")),
            *("--webhook-url", webhook, "--webhook-secret", WEBHOOK_SECRET, "--api-key", STRIPE_KEY),
        )
        await started.start("api")
        await _answers(f"{started.stripe_url}/_sandbox/health")
        await _answers(f"{started.api_url}/healthz")
        yield started
    finally:
        await started.stop()


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """The API, as an administrator calls it."""
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with httpx.AsyncClient(base_url=stack.api_url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
async def own_shop(stack: Stack, api: httpx.AsyncClient) -> AsyncIterator[Shop]:
    """A stack of the test's own with a worker, and a shop on it."""
    await stack.start("worker")
    async with httpx.AsyncClient(base_url=stack.stripe_url, timeout=60) as stripe:
        yield Shop(api, stripe)


@pytest.fixture(scope="package")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    """What `grantflow up` starts, with a supervisor that restarts whatever dies."""
    async with running_stack(tmp_path_factory.mktemp("up") / "data") as started:
        yield started


@pytest.fixture
async def shop(up: Up) -> AsyncIterator[Shop]:
    """Accounts that pay, on what `grantflow up` starts; Stripe behaves again after each test."""
    headers = {"Authorization": f"Bearer {up.address['adminToken']}"}
    async with httpx.AsyncClient(base_url=up.address["apiUrl"], headers=headers, timeout=30) as client:
        yield Shop(client, up.stripe)
        await up.stripe_behaves()


async def _answers(url: str) -> None:
    async with httpx.AsyncClient() as client:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                with suppress(httpx.HTTPError):
                    if (await client.get(url)).status_code == 200:
                        return
                await asyncio.sleep(0.1)
