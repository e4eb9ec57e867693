"""The Temporal servers that tests run on: the real dev server, and the one that skips time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from rich.console import Console
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from gateways.temporal.connection import TemporalAddress, connect
from gateways.temporal.namespace import register_search_attributes
from local.binaries import time_skipping_server
from local.temporal import NAMESPACE, TemporalDevServer
from messages.names import SEARCH_ATTRIBUTES

# A Java program on a machine that does much else.
STARTS_WITHIN = timedelta(seconds=60)


@pytest.fixture(scope="session")
async def dev_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TemporalDevServer]:
    """The run's real Temporal server, with a file database and our search attributes."""
    server = TemporalDevServer(tmp_path_factory.mktemp("temporal"))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="session")
async def temporal(dev_server: TemporalDevServer) -> Client:
    """A client of the real server."""
    return await connect(TemporalAddress(address=dev_server.address, namespace=NAMESPACE))


@pytest.fixture(scope="session")
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server that can skip time, for tests that pass none. It lists no workflows and knows no Schedules."""
    async with skipping_server() as environment:
        yield environment


@pytest.fixture
async def own_time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server of the test's own: an activity that is let go during its retries would leave a shared clock locked."""
    async with skipping_server() as environment:
        yield environment


@asynccontextmanager
async def skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """A server that skips time, for as long as it is wanted."""
    environment = await WorkflowEnvironment.start_time_skipping(
        data_converter=pydantic_data_converter,
        test_server_existing_path=str(time_skipping_server(Console(stderr=True))),
        test_server_startup_timeout=STARTS_WITHIN,
    )
    async with environment:
        # This server can't list the attributes that it has.
        await register_search_attributes(environment.client, [key.name for key in SEARCH_ATTRIBUTES])
        yield environment
