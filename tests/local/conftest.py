"""One embedded PostgreSQL for the tests of this folder."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.postgres import EmbeddedPostgres


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def embedded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """A running server that the tests must leave as it is, but for databases of their own."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    await server.start()
    yield server
    await server.stop(delete=True)
