"""A real Chromium, and the whole stack behind the pages that it opens."""

import os
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, async_playwright

from local.binaries import chromium

# Used by name.
from tests.faults.conftest import shop, up

__all__ = ["browser", "page", "shop", "up"]

# It looks nothing up, updates nothing, and asks nobody but the pages that it is sent to.
_ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
_MILLISECONDS = 30_000


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    """The browser, without a window."""
    # Chromium's own sandbox refuses to run as root.
    arguments = [*_ARGUMENTS, "--no-sandbox"] if os.geteuid() == 0 else list(_ARGUMENTS)
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield launched
        await launched.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of a visitor who was never here; what the browser refuses or complains of fails the test."""
    context = await browser.new_context()
    opened = await context.new_page()
    opened.set_default_timeout(_MILLISECONDS)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    await context.close()
    # A page's status is the test's to judge, and nobody has drawn an icon for it.
    assert [text for text in complaints if "Failed to load resource" not in text] == []
