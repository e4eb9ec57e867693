"""Health, readiness, metrics and the pages for people; and the process as it is really started."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from local.ports import free_port
from local.postgres import EmbeddedPostgres
from tests.api.running import ADMIN_TOKEN, RunningApi, found, running_api
from tests.conftest import ROOT, Database

PROCESS_STARTS_SECONDS = 60.0


async def test_the_process_is_alive(api: RunningApi) -> None:
    async with api.client(None) as anybody:
        answer = await anybody.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_it_is_ready_when_all_parts_are(api: RunningApi) -> None:
    async with api.client(None) as anybody:
        answer = await anybody.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "parts": {
            "database": {"status": "up", "isolation": "serializable"},
            "temporal": {"status": "up"},
            "liveUpdates": {"status": "up"},
        },
    }


async def test_it_is_ready_but_degraded_without_temporal(api: RunningApi, account: str) -> None:
    api.flows.down = True
    try:
        answer = await api.admin.get("/readyz")
        assert (await api.admin.get(f"/v1/accounts/{account}/balance")).status_code == 200
    finally:
        api.flows.down = False
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"]["temporal"] == {"status": "down", "reason": "does not answer"}


async def test_it_is_not_ready_while_the_database_is_stopped(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("stopped"), settings={"fsync": "off"})
    await server.start()
    try:
        database = Database("grantflow", server.app_url, server.owner_url, server.superuser_url)
        async with running_api(database) as api:
            assert (await api.admin.get("/readyz")).status_code == 200
            await server.stop()
            answer = await api.admin.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["status"] == "unavailable"
            assert answer.json()["parts"]["database"]["status"] == "down"
            assert (await api.admin.get("/healthz")).status_code == 200
            await server.start()

            async def ready_again() -> dict[str, object] | None:
                again = await api.admin.get("/readyz")
                ready = again.status_code == 200 and again.json()["status"] == "ready"
                return again.json() if ready else None

            assert (await found(ready_again))["status"] == "ready"
    finally:
        await server.stop(delete=True)


async def test_requests_are_counted_under_their_routes(api: RunningApi, account: str) -> None:
    await api.admin.get(f"/v1/accounts/{account}")
    await api.admin.get("/no/such/path")
    answer = await api.admin.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'grantflow_http_requests_total{method="GET",route="/v1/accounts/{account_id}",status="200"}' in answer.text
    assert 'route="none",status="404"' in answer.text
    assert account not in answer.text
    for name in ("grantflow_sockets ", "grantflow_listening ", "grantflow_transaction_attempts"):
        assert name in answer.text


async def test_the_pages_for_people(api: RunningApi) -> None:
    async with api.client(None) as anybody:
        page = await anybody.get("/")
        described = (await anybody.get("/openapi.json")).json()
    assert page.headers["content-type"].startswith("text/html")
    for link in ("/readyz", "/metrics", "/openapi.json", "/errors"):
        assert f'href="{link}"' in page.text
        async with api.client(None) as anybody:
            assert (await anybody.get(link)).status_code == 200
    credits = described["components"]["schemas"]["GrantRequest"]["properties"]["credits"]
    assert credits == {"type": "integer", "minimum": 1, "maximum": 10**12, "title": "Credits"}
    assert "HTTPValidationError" not in described["components"]["schemas"], "our errors look otherwise"
    answers = described["paths"]["/v1/accounts/{account_id}/grants"]["post"]["responses"]
    assert set(answers) == {"200", "201", "default"}
    assert "bearer" in str(described["components"]["securitySchemes"]).lower()


@asynccontextmanager
async def _process(database: Database, **environment: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    port = free_port()
    told = {
        "GRANTFLOW_DATABASE_URL": database.app_url,
        "GRANTFLOW_ADMIN_TOKEN": ADMIN_TOKEN,
        "GRANTFLOW_PORT": str(port),
        "STRIPE_SECRET_KEY": "sk_test_unused",
        "STRIPE_WEBHOOK_SECRET": "whsec_unused",
        "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api"),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **told, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_the_process_starts_without_temporal_and_ends_cleanly(database: Database) -> None:
    async with _process(database) as (process, url), httpx.AsyncClient(base_url=url, trust_env=False) as client:

        async def ready() -> httpx.Response | None:
            try:
                return await client.get("/readyz")
            except httpx.ConnectError:
                return None

        answer = await found(ready, seconds=PROCESS_STARTS_SECONDS)
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        nowhere = await client.post("/v1/test-clock", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, json={})
        assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not-found")
        assert nowhere.json()["type"] == f"{url}/errors#not-found"
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode in (0, -signal.SIGTERM)
    assert b"Traceback" not in errors


async def test_a_wrong_environment_is_one_clear_line(database: Database) -> None:
    async with _process(database, GRANTFLOW_ADMIN_TOKEN="short", STRIPE_WEBHOOK_SECRET="") as (process, _):
        _, errors = await asyncio.wait_for(process.communicate(), PROCESS_STARTS_SECONDS)
    assert process.returncode == 2
    lines = errors.decode().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["STRIPE_WEBHOOK_SECRET", "GRANTFLOW_ADMIN_TOKEN"]
