"""A Chromium for the browser tests, where none is installed: from Debian's packages, or as Playwright downloads it."""

import os
import sys
from pathlib import Path
from shutil import which

from rich.console import Console

from local.errors import CannotObtain
from local.folders import cache_dir
from local.tools import ToolFailed, is_installed, run_tool

# The names under which distributions and Google install it.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_TIMEOUT_SECONDS = 15 * 60.0


def installed() -> Path | None:
    """Give the browser on PATH, or None."""
    return next((Path(path) for name in PROGRAMS if (path := which(name))), None)


def from_debian(console: Console) -> Path | None:
    """Install Debian's package.

    Args:
        console: where progress is shown.

    Returns:
        The program, or None where this is no Debian, or not root's shell.

    Raises:
        CannotObtain: if apt cannot install it.
    """
    if os.geteuid() != 0 or not is_installed("apt-get"):
        return None
    for doing, command in (
        ("reading Debian's package lists", ["apt-get", "update"]),
        ("installing chromium", ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]),
    ):
        _run(command, doing, console, environment={"DEBIAN_FRONTEND": "noninteractive"})
    return installed()


def from_playwright(console: Console) -> Path | None:
    """Download the browser that Playwright is made for, into the cache.

    Args:
        console: where progress is shown.

    Returns:
        The program.

    Raises:
        CannotObtain: if it cannot be downloaded, or lacks libraries that only an administrator can install.
    """
    folder = cache_dir() / "share" / "browsers"
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    _run(command, "downloading chromium", console, environment={"PLAYWRIGHT_BROWSERS_PATH": str(folder)})
    return downloaded()


def downloaded() -> Path | None:
    """Give the browser that was downloaded before, or None."""
    found = sorted((cache_dir() / "share" / "browsers").glob("chromium-*/chrome-*/chrome"))
    return found[-1] if found else None


def _run(command: list[str], doing: str, console: Console, *, environment: dict[str, str]) -> None:
    try:
        run_tool(
            command,
            log=cache_dir() / "logs" / "chromium.log",
            console=console,
            doing=doing,
            timeout_seconds=_TIMEOUT_SECONDS,
            environment=environment,
        )
    except ToolFailed as failed:
        raise CannotObtain(str(failed)) from failed
