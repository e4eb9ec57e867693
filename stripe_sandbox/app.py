"""The ASGI application: the hosted pages, the test controls, the API, and the delivery of webhooks while it is up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from stripe_sandbox.config import SandboxConfig
from stripe_sandbox.controls import Controls
from stripe_sandbox.hosted.routes import HostedPages
from stripe_sandbox.sandbox import Sandbox
from stripe_sandbox.transport import ApiTransport


def create_app(config: SandboxConfig) -> Starlette:
    """Return a stand-in to be served by uvicorn, with its lifespan on.

    Two applications must not share a data folder at the same time.

    Args:
        config: its settings.

    Raises:
        database.WrongVersion: the data folder belongs to another version.
        ValueError: `webhook_url` is no http(s) address.
    """
    sandbox = Sandbox(config)

    @asynccontextmanager
    async def delivering(_: Starlette) -> AsyncIterator[None]:
        await sandbox.deliverer.start()
        try:
            yield
        finally:
            await sandbox.deliverer.stop()
            sandbox.database.close()

    pages, controls = HostedPages(sandbox).routes(), Controls(sandbox).routes()
    routes = [*pages, *controls, Route("/{path:path}", ApiTransport(sandbox))]
    return Starlette(routes=routes, lifespan=delivering)
