"""What this machine has and lacks for running Grantflow."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from local import browser
from local.binaries import (
    CHROMIUM_VARIABLE,
    STRIPE_MOCK_VERSION,
    TEMPORAL_VARIABLE,
    TEMPORAL_VERSION,
    TEST_SERVER_VARIABLE,
    bin_dir,
)
from local.environment import problems_of
from local.errors import CannotObtain
from local.ports import free_ports
from local.postgres_home import wheel_package
from local.process_ids import ProcessId
from local.state import DataDir

_PYTHON_MIN = (3, 11)
_GO_MIN, _JAVA_MIN = (1, 24), 17
_DISK_BYTES_MIN = 2 * 1024**3
_PORTS_NEEDED = 6
_ANSWER_TIMEOUT_SECONDS = 20.0

State = Literal["ok", "missing", "optional"]


@dataclass(frozen=True)
class Check:
    """One thing looked at. `optional` is not there and not needed as things are; `todo` says how to get it."""

    name: str
    state: State
    found: str
    todo: str = ""

    def fields(self) -> dict[str, object]:
        """Give the check as it is printed."""
        return asdict(self)


def examine(data_dir: DataDir, environment: Mapping[str, str]) -> list[Check]:
    """Look at everything that a start or the tests need; starts, downloads and changes nothing.

    Args:
        data_dir: the data folder that would be used.
        environment: the variables that would be read.
    """
    return [
        _python(),
        _disk(data_dir.path),
        _ports(),
        _postgres(environment),
        _temporal(environment),
        _test_server(environment),
        _stripe_mock(),
        _tool("go", f"{_GO_MIN[0]}.{_GO_MIN[1]}", ("go", "version"), "only to build the temporal CLI and stripe-mock"),
        _tool("java", str(_JAVA_MIN), ("java", "-version"), "only for the tests' time-skipping server"),
        _tool("mvn", "3", ("mvn", "--version"), "only to fetch the tests' time-skipping server"),
        _browser(environment),
        *_environment(environment),
        _running(data_dir),
    ]


def _python() -> Check:
    found = platform.python_version()
    if sys.version_info >= _PYTHON_MIN:
        return Check("python", "ok", found)
    return Check("python", "missing", found, "install Python 3.11 or later and run `make setup` again")


def _disk(folder: Path) -> Check:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1024**3:.1f} GiB free"
    if free >= _DISK_BYTES_MIN:
        return Check("disk", "ok", found)
    return Check("disk", "missing", found, f"free at least {_DISK_BYTES_MIN // 1024**3} GiB, or use --data-dir")


def _ports() -> Check:
    try:
        free_ports(_PORTS_NEEDED)
    except OSError as no:
        return Check("ports", "missing", str(no), "let this user listen on 127.0.0.1")
    return Check("ports", "ok", f"{_PORTS_NEEDED} free on 127.0.0.1")


def _postgres(environment: Mapping[str, str]) -> Check:
    if environment.get("GRANTFLOW_DATABASE_URL"):
        return Check("postgres", "ok", "elsewhere, by GRANTFLOW_DATABASE_URL")
    try:
        return Check("postgres", "ok", f"the wheel in {wheel_package().parent}")
    except CannotObtain as no:
        return Check("postgres", "missing", "no wheel", str(no))


def _temporal(environment: Mapping[str, str]) -> Check:
    if environment.get("TEMPORAL_ADDRESS"):
        return Check("temporal", "ok", "elsewhere, by TEMPORAL_ADDRESS")
    named = _named(TEMPORAL_VARIABLE, environment)
    if named is not None:
        return named
    known = shutil.which("temporal") or _cached("temporal")
    if known:
        return Check("temporal", "ok", known)
    how = "downloaded" if not shutil.which("go") else f"downloaded, or built with Go ({TEMPORAL_VERSION}, 5 minutes)"
    state: State = "optional" if shutil.which("go") else "missing"
    todo = f"`make setup` gets it; without a network for it install Go 1.24, or set {TEMPORAL_VARIABLE}"
    return Check("temporal", state, f"not yet; would be {how}", todo)


def _test_server(environment: Mapping[str, str]) -> Check:
    named = _named(TEST_SERVER_VARIABLE, environment)
    if named is not None:
        return named
    known = _cached("temporal-test-server")
    if known:
        return Check("temporal test server", "ok", known)
    todo = f"`make test` gets it: by download, or with a JDK {_JAVA_MIN} and Maven, or set {TEST_SERVER_VARIABLE}"
    return Check("temporal test server", "optional", "not yet (tests only)", todo)


def _stripe_mock() -> Check:
    known = _cached("stripe-mock")
    if known:
        return Check("stripe-mock", "ok", known)
    return Check("stripe-mock", "optional", "not yet (tests only)", f"`make test` builds {STRIPE_MOCK_VERSION} with Go")


def _named(variable: str, environment: Mapping[str, str]) -> Check | None:
    path = environment.get(variable)
    if not path:
        return None
    if os.access(path, os.X_OK) and Path(path).is_file():
        return Check(variable, "ok", path)
    return Check(variable, "missing", path, "is no program that can be run: correct or unset it")


def _cached(program: str) -> str | None:
    path = bin_dir() / program
    return str(path) if os.access(path, os.X_OK) else None


def _tool(name: str, least: str, ask: tuple[str, ...], why: str) -> Check:
    if shutil.which(name) is None:
        return Check(name, "optional", "not installed", f"{why}; {least} or later")
    try:
        answer = subprocess.run(
            ask, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ANSWER_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Check(name, "optional", "does not answer", why)
    lines = (answer.stdout or answer.stderr).strip().splitlines()
    if answer.returncode != 0 or not lines:
        return Check(name, "optional", "does not run", why)
    return Check(name, "ok", _without_colours(lines[0]))


def _without_colours(line: str) -> str:
    return line.replace("\x1b[1m", "").replace("\x1b[m", "").replace("\x1b[0m", "")


def _browser(environment: Mapping[str, str]) -> Check:
    named = _named(CHROMIUM_VARIABLE, environment)
    if named is not None:
        return named
    found = browser.installed() or browser.downloaded()
    if found:
        return Check("chromium", "ok", str(found))
    todo = f"`make test` gets it: from Debian's packages as root, else by download; or set {CHROMIUM_VARIABLE}"
    return Check("chromium", "optional", "not yet (tests only)", todo)


def _environment(environment: Mapping[str, str]) -> list[Check]:
    problems = problems_of(environment)
    if not problems:
        return [Check("environment", "ok", "no wrong value")]
    return [Check("environment", "missing", problem, "correct or unset the variable") for problem in problems]


def _running(data_dir: DataDir) -> Check:
    run = data_dir.read_run()
    if run is not None and run.is_alive():
        return Check("stack", "ok", f"{run.phase}, supervisor pid {run.supervisor.pid}")
    left = [name for name, part in run.parts.items() if _runs(part.process)] if run else []
    if left:
        found = f"left behind by a killed run: {', '.join(left)}"
        return Check("stack", "missing", found, "`grantflow stop` ends them; so does the next start")
    return Check("stack", "ok", "not running")


def _runs(process: ProcessId | None) -> bool:
    return process is not None and process.is_running()
