"""One API for all tests that leave it as it was; those that stop or break something start their own."""

from collections.abc import AsyncIterator

import pytest

from tests.api.running import RunningApi, running_api
from tests.conftest import MakeDatabase

TEMPORAL_UI = "http://127.0.0.1:8233"


@pytest.fixture(scope="session")
async def api(make_database: MakeDatabase) -> AsyncIterator[RunningApi]:
    """A running API whose clock can be moved, with all parts up."""
    origins = frozenset({"https://app.test"})
    async with (
        make_database() as database,
        running_api(database, embedded=True, temporal_ui_url=TEMPORAL_UI, origins=origins) as running,
    ):
        yield running


@pytest.fixture
async def account(api: RunningApi) -> str:
    """A new account without credits."""
    return await api.open_account()
