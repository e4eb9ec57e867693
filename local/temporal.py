"""The real Temporal dev server with its web UI and a file database, as a child of this process."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

from local.binaries import temporal_cli
from local.children import Child, Command, spawn
from local.errors import PartFailed
from local.ports import LOOPBACK, accepts_connections, free_ports

NAMESPACE = "default"
SEARCH_ATTRIBUTES: Mapping[str, str] = {
    "AccountId": "Keyword",
    "OperationId": "Keyword",
    "GrantType": "Keyword",
    "GrantStage": "Keyword",
}

STOP_SIGNAL = signal.SIGTERM
STOP_TIMEOUT_SECONDS = 10.0
READY_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.05
_ANSWER_TIMEOUT_SECONDS = 10.0

# With a file database and without these, each transaction waits for the disk twice: 5 instead of 18 workflows a second.
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")
# What the person has set up for another Temporal must not reach this one.
_ALONE = ("--disable-config-env", "--disable-config-file")


class TemporalDevServer:
    """One dev server with its database file."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        ui_port: int | None = None,
        binary: Path | None = None,
        search_attributes: Mapping[str, str] = SEARCH_ATTRIBUTES,
    ) -> None:
        """Choose the ports; nothing runs yet.

        Args:
            data_dir: where the database and the log are; made if it does not exist.
            port: the gRPC port; any free one when None.
            ui_port: the web UI's port; any free one when None.
            binary: the `temporal` command line; found, downloaded or built when None.
            search_attributes: names with their types, registered at the start.
        """
        spare_port, spare_ui_port = free_ports(2)
        self._data_dir = data_dir.resolve()
        self.port = port or spare_port
        self.ui_port = ui_port or spare_ui_port
        self._binary = binary
        self._search_attributes = search_attributes
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """The gRPC address, host:port."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str:
        """The web UI's URL."""
        return f"http://{LOOPBACK}:{self.ui_port}"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self._data_dir / "logs" / "temporal.log"

    @property
    def pid(self) -> int | None:
        """The server's process id, when `start` started it."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start the server as a child of this process, and wait until it answers.

        Raises:
            PartFailed: if it does not start; the message ends with the end of its log.
            CannotObtain: if the `temporal` command line cannot be had.
        """
        self._child = await spawn(self.command())
        try:
            await self._wait_until_ready(self._child)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the server; its database stays."""
        if self._child is not None:
            await self._child.stop(STOP_SIGNAL, STOP_TIMEOUT_SECONDS)
            self._child = None

    def command(self) -> Command:
        """Give the command line of the server, for a supervisor that starts it itself."""
        database = self._data_dir / "temporal" / "temporal.db"
        database.parent.mkdir(parents=True, exist_ok=True)
        pragmas = [part for pragma in _PRAGMAS for part in ("--sqlite-pragma", pragma)]
        attributes = [
            part for name, kind in self._search_attributes.items() for part in ("--search-attribute", f"{name}={kind}")
        ]
        return Command(
            argv=(
                *(self._program(), "server", "start-dev", *_ALONE, "--log-format", "json"),
                *("--ip", LOOPBACK, "--port", str(self.port), "--ui-port", str(self.ui_port)),
                *("--db-filename", str(database), *pragmas, *attributes),
            ),
            log=self.log,
            folder=database.parent,
        )

    async def is_ready(self) -> bool:
        """Say whether the server answers and knows the search attributes, which it registers last.

        Asked through the command line: a process that used the Temporal SDK may abort when it exits.
        """
        if not accepts_connections(LOOPBACK, self.port):
            return False
        command = ("operator", "search-attribute", "list", "--address", self.address, "--namespace", NAMESPACE)
        asked = await asyncio.create_subprocess_exec(
            *(self._program(), *command, *_ALONE),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            answer, _ = await asyncio.wait_for(asked.communicate(), _ANSWER_TIMEOUT_SECONDS)
        except TimeoutError:
            asked.kill()
            await asked.wait()
            return False
        return asked.returncode == 0 and set(self._search_attributes) <= set(answer.decode().split())

    def _program(self) -> str:
        if self._binary is None:
            self._binary = temporal_cli()
        return str(self._binary)

    async def _wait_until_ready(self, child: Child) -> None:
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_SECONDS
        while not await self.is_ready():
            if child.exit_code is not None:
                raise PartFailed("temporal", f"ended with exit code {child.exit_code}", self.log)
            if asyncio.get_running_loop().time() > deadline:
                raise PartFailed("temporal", f"was not ready after {READY_TIMEOUT_SECONDS:.0f} s", self.log)
            await asyncio.sleep(_POLL_SECONDS)
