"""What tests of Stripe's side run on, once for the run: HTTP clients, stripe-mock and Stripe's OpenAPI document."""

import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.sandbox.serving import free_port
from tests.sandbox.standin import RecordingClient

REPOSITORY = Path(__file__).parents[1]
STRIPE_MOCK_WITHIN_SECONDS = 30


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


@pytest.fixture(scope="session")
def stripe_mock() -> Iterator[str]:
    """The address of a running stripe-mock, which checks requests against Stripe's OpenAPI document."""
    port, unused = free_port(), free_port()
    program = _needed("STRIPE_MOCK_PATH", REPOSITORY / ".grantflow" / "bin" / "stripe-mock")
    # Left to itself it takes a fixed port for HTTPS, and a second test run on this machine could not start its own.
    addresses = ["-http-addr", f"127.0.0.1:{port}", "-https-addr", f"127.0.0.1:{unused}"]
    with subprocess.Popen([program, *addresses], stdout=subprocess.DEVNULL) as process:
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
