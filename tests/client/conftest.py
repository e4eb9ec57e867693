"""The running API of the API's own tests, and a bad line to it."""

from collections.abc import AsyncIterator

import pytest

from client.http import GrantflowClient
from tests.api.conftest import account, api
from tests.api.running import ADMIN_TOKEN, RunningApi
from tests.client.bad_line import BadLine, bad_line

__all__ = ["account", "api"]


@pytest.fixture
async def line(api: RunningApi) -> AsyncIterator[BadLine]:
    """A line to the API that can be cut."""
    async with bad_line(api.url) as opened:
        yield opened


@pytest.fixture
async def admin(api: RunningApi) -> AsyncIterator[GrantflowClient]:
    """The Python client, with the admin token."""
    async with GrantflowClient(api.url, ADMIN_TOKEN) as client:
        yield client
