"""The parts that the stand-in's tests run on: itself and a webhook endpoint."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from stripe_sandbox.app import create_app
from stripe_sandbox.config import SandboxConfig
from tests.sandbox.endpoint import SECRET, Endpoint
from tests.sandbox.serving import served
from tests.sandbox.standin import RecordingClient, StandIn

# The library sends its forms to httpx as ready-made text, which httpx would rather be told was that.
LIBRARY_WARNING = "ignore:Use 'content=<...>' to upload raw bytes/text content:DeprecationWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests in this folder use the `stripe` library's asynchronous client."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings(LIBRARY_WARNING))


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
