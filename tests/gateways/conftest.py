"""The parts behind the gateways."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.gateways.stripe_parts import StripeParts, stripe_parts
from tests.sandbox.standin import RecordingClient


@pytest.fixture
async def parts(
    tmp_path: Path, http: httpx.AsyncClient, stripe_transport: RecordingClient
) -> AsyncIterator[StripeParts]:
    """Our gateway to an empty stand-in."""
    async with stripe_parts(tmp_path / "stripe", http, stripe_transport) as begun:
        yield begun
