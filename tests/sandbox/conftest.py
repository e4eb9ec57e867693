"""The parts that the stand-in's tests run on: itself, a webhook endpoint, stripe-mock and Stripe's OpenAPI document."""

import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from stripe_sandbox.app import create_app
from stripe_sandbox.config import SandboxConfig
from tests.sandbox.endpoint import SECRET, Endpoint
from tests.sandbox.serving import free_port, served
from tests.sandbox.standin import RecordingClient, StandIn

# The library sends its forms to httpx as ready-made text, which httpx would rather be told was that.
LIBRARY_WARNING = "ignore:Use 'content=<...>' to upload raw bytes/text content:DeprecationWarning"
REPOSITORY = Path(__file__).parents[2]
STRIPE_MOCK_WITHIN_SECONDS = 30


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests in this folder use the `stripe` library's asynchronous client."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings(LIBRARY_WARNING))


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client without any key."""
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
async def stripe_transport() -> AsyncIterator[RecordingClient]:
    """The HTTP client of the `stripe` library: one for all tests, as making one loads a bundle of certificates."""
    transport = RecordingClient()
    yield transport
    await transport.end()


@pytest.fixture
def endpoint() -> Endpoint:
    """The webhook endpoint that the stand-in knows."""
    return Endpoint()


@pytest.fixture
async def endpoint_url(endpoint: Endpoint) -> AsyncIterator[str]:
    """Where the webhook endpoint is."""
    async with served(endpoint) as url:
        yield f"{url}/webhooks/stripe"


@pytest.fixture
async def stand_in(
    tmp_path: Path, endpoint_url: str, http: httpx.AsyncClient, stripe_transport: RecordingClient
) -> AsyncIterator[StandIn]:
    """An empty stand-in that posts to the webhook endpoint."""
    stripe_transport.exchanges.clear()
    config = SandboxConfig(data_dir=tmp_path / "stripe", webhook_url=endpoint_url, webhook_secret=SECRET)
    async with served(create_app(config)) as url:
        yield StandIn(url, http, stripe_transport)


@pytest.fixture(scope="session")
def stripe_mock() -> Iterator[str]:
    """The address of a running stripe-mock, which checks requests against Stripe's OpenAPI document."""
    port = free_port()
    program = _needed("STRIPE_MOCK_PATH", REPOSITORY / ".grantflow" / "bin" / "stripe-mock")
    with subprocess.Popen([program, "-http-addr", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL) as process:
        try:
            _wait_until_it_answers(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def stripe_spec() -> Path:
    """Stripe's OpenAPI document, of the same release as stripe-mock."""
    return _needed("STRIPE_OPENAPI_SPEC", REPOSITORY / ".grantflow" / "share" / "stripe-spec3.json")


def _needed(variable: str, otherwise: Path) -> Path:
    path = Path(os.environ.get(variable, otherwise))
    if not path.exists():
        pytest.fail(f"{path} is missing: run `make setup`, or say where it is with {variable}")
    return path


def _wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + STRIPE_MOCK_WITHIN_SECONDS
    while True:
        try:
            httpx.get(url, trust_env=False)
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                pytest.fail("stripe-mock did not start")
            time.sleep(0.05)
        else:
            return
