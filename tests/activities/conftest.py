"""The activities' surroundings."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from tests.activities.parts import Rooms
from tests.conftest import Database
from tests.gateways.stripe_parts import stripe_parts
from tests.sandbox.standin import RecordingClient


@pytest.fixture
async def rooms(
    database: Database,
    engine: AsyncEngine,
    tmp_path: Path,
    http: httpx.AsyncClient,
    stripe_transport: RecordingClient,
) -> AsyncIterator[Rooms]:
    """An empty ledger and an empty Stripe."""
    async with stripe_parts(tmp_path / "stripe", http, stripe_transport) as stripe:
        yield Rooms(database, engine, stripe)


@pytest.fixture
def worker() -> ActivityEnvironment:
    """Runs an activity as a worker does; it counts heartbeats."""
    return ActivityEnvironment()
