"""The parts behind the gateways."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.gateways.odd_stripe import OddParts, odd_parts
from tests.gateways.stripe_parts import StripeParts, stripe_parts
from tests.sandbox.standin import RecordingClient


@pytest.fixture
async def parts(
    tmp_path: Path, http: httpx.AsyncClient, stripe_transport: RecordingClient
) -> AsyncIterator[StripeParts]:
    """Our gateway to an empty stand-in."""
    async with stripe_parts(tmp_path / "stripe", http, stripe_transport) as begun:
        yield begun


@pytest.fixture
async def odd() -> AsyncIterator[OddParts]:
    """Our gateway to something odd."""
    async with odd_parts() as begun:
        yield begun
