"""Find, download or build the programs that do not come from the Python package index.

Each program has its ways, in a fixed order; the first that works is taken and said.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from local import browser, download, golang, maven
from local.errors import CannotObtain, WrongConfiguration
from local.folders import cache_dir
from local.locks import WaitingLock

TEMPORAL_VARIABLE = "TEMPORAL_CLI_PATH"
TEST_SERVER_VARIABLE = "TEMPORAL_TEST_SERVER_PATH"
CHROMIUM_VARIABLE = "GRANTFLOW_CHROMIUM_PATH"

# Later versions of the CLI carry a `replace` in their go.mod, and `go install` refuses those.
TEMPORAL_MODULE, TEMPORAL_VERSION = "github.com/temporalio/cli/cmd/temporal", "v1.5.1"
STRIPE_MOCK_MODULE, STRIPE_MOCK_VERSION = "github.com/stripe/stripe-mock", "v0.203.0"
TEST_SERVER_COORDINATES = "io.temporal:temporal-test-server:1.35.0"
TEST_SERVER_MAIN = "io.temporal.testserver.TestServer"

_console = Console(stderr=True)


@dataclass(frozen=True)
class Way:
    """One way to get a program. `get` gives its path, or None when this way does not exist here.

    It raises `CannotObtain` when the way exists and fails.
    """

    words: str
    get: Callable[[], Path | None]


def temporal_cli(console: Console = _console) -> Path:
    """Get the `temporal` command line with its dev server.

    Args:
        console: where progress is shown.

    Raises:
        CannotObtain: if no way works, with what to do.
        WrongConfiguration: if `TEMPORAL_CLI_PATH` names no program.
    """
    target = bin_dir() / "temporal"
    ways = (
        Way(f"named by {TEMPORAL_VARIABLE}", lambda: _named_by(TEMPORAL_VARIABLE)),
        Way("on PATH", lambda: _on_path("temporal")),
        Way("in the cache", lambda: _cached(target)),
        Way("downloaded", lambda: download.dev_server(target, console)),
        Way(
            f"built by go install …@{TEMPORAL_VERSION}",
            lambda: golang.install(TEMPORAL_MODULE, TEMPORAL_VERSION, target, console, "once, about 5 minutes"),
        ),
    )
    advice = f"install Go 1.24 or later, or the Temporal CLI itself, or set {TEMPORAL_VARIABLE} to its path"
    return _first_that_works("temporal", ways, advice, console)


def time_skipping_server(console: Console = _console) -> Path:
    """Get Temporal's time-skipping test server, which only the tests need.

    Args:
        console: where progress is shown.

    Raises:
        CannotObtain: if no way works, with what to do.
        WrongConfiguration: if `TEMPORAL_TEST_SERVER_PATH` names no program.
    """
    target = bin_dir() / "temporal-test-server"
    library = share_dir() / "temporal-test-server"
    ways = (
        Way(f"named by {TEST_SERVER_VARIABLE}", lambda: _named_by(TEST_SERVER_VARIABLE)),
        Way("in the cache", lambda: _cached(target)),
        Way("downloaded", lambda: download.time_skipping_server(target, console)),
        Way(
            "had by Maven",
            lambda: maven.install(TEST_SERVER_COORDINATES, TEST_SERVER_MAIN, library, target, console),
        ),
    )
    advice = f"install a JDK 17 and Maven, or set {TEST_SERVER_VARIABLE} to the server's path"
    return _first_that_works("temporal-test-server", ways, advice, console)


def stripe_mock(console: Console = _console) -> Path:
    """Get stripe-mock, against which the tests check the stand-in and our requests.

    Args:
        console: where progress is shown.

    Raises:
        CannotObtain: if it is neither cached nor can be built.
    """
    target = bin_dir() / "stripe-mock"
    ways = (
        Way("in the cache", lambda: _cached(target)),
        Way(
            f"built by go install …@{STRIPE_MOCK_VERSION}",
            lambda: golang.install(STRIPE_MOCK_MODULE, STRIPE_MOCK_VERSION, target, console, "once"),
        ),
    )
    return _first_that_works("stripe-mock", ways, "install Go 1.24 or later", console)


def stripe_spec(console: Console = _console) -> Path:
    """Get Stripe's OpenAPI description, with the components' schemas, as stripe-mock carries it.

    Args:
        console: where progress is shown.

    Raises:
        CannotObtain: if it is neither cached nor can be downloaded.
    """
    target = share_dir() / "stripe-spec3.json"
    within = "embedded/openapi/spec3.json"
    ways = (
        Way("in the cache", lambda: target if target.is_file() else None),
        Way(
            "taken from stripe-mock's module",
            lambda: golang.copy_from_module(STRIPE_MOCK_MODULE, STRIPE_MOCK_VERSION, within, target, console),
        ),
    )
    return _first_that_works("Stripe's OpenAPI description", ways, "install Go 1.24 or later", console)


def chromium(console: Console = _console) -> Path:
    """Get the browser in which the tests open pages.

    Args:
        console: where progress is shown.

    Raises:
        CannotObtain: if no way works, with what to do.
        WrongConfiguration: if `GRANTFLOW_CHROMIUM_PATH` names no program.
    """
    ways = (
        Way(f"named by {CHROMIUM_VARIABLE}", lambda: _named_by(CHROMIUM_VARIABLE)),
        Way("on PATH", browser.installed),
        Way("in the cache", browser.downloaded),
        Way("installed from Debian's packages", lambda: browser.from_debian(console)),
        Way("downloaded by Playwright", lambda: browser.from_playwright(console)),
    )
    advice = f"install your system's chromium, or set {CHROMIUM_VARIABLE} to its path"
    return _first_that_works("chromium", ways, advice, console)


def bin_dir() -> Path:
    """Give the cache's folder of programs."""
    return cache_dir() / "bin"


def share_dir() -> Path:
    """Give the cache's folder of everything else."""
    return cache_dir() / "share"


def _first_that_works(name: str, ways: Sequence[Way], advice: str, console: Console) -> Path:
    failures: list[str] = []
    with _one_at_a_time():
        for way in ways:
            try:
                path = way.get()
            except CannotObtain as no:
                failures.append(str(no))
                continue
            if path is not None:
                said = f"[green]✓[/green] {escape(name)}: {escape(way.words)} [dim]({escape(str(path))})[/dim]"
                console.print(said, soft_wrap=True)
                return path
    tried = "; ".join(failures) or "nothing here could be tried"
    raise CannotObtain(f"cannot get {name} ({tried}). What to do: {advice}")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two set-ups at once must not both build for minutes, nor replace each other's files."""
    with WaitingLock(cache_dir() / "setup.lock"):
        yield


def _named_by(variable: str) -> Path | None:
    named = os.environ.get(variable)
    if not named:
        return None
    path = Path(named).expanduser().resolve()
    if not os.access(path, os.X_OK) or not path.is_file():
        # A wrong value is said at once, and never replaced by something that was not asked for.
        raise WrongConfiguration(f"{variable} names {named}, which is no program that can be run")
    return path


def _on_path(program: str) -> Path | None:
    found = shutil.which(program)
    return Path(found).resolve() if found else None


def _cached(target: Path) -> Path | None:
    return target if os.access(target, os.X_OK) and target.is_file() else None
