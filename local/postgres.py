"""A real PostgreSQL 18 without Docker: the wheel's `postgres` in the foreground, as a child of this process."""

import asyncio
import json
import secrets
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import asyncpg

from local.children import Child, Command, spawn
from local.errors import PartFailed
from local.folders import write_private
from local.locks import FolderLock
from local.ports import LOOPBACK, free_port, is_free
from local.postgres_cluster import end_leftovers, make_cluster
from local.postgres_home import PostgresHome, delete_home, open_home
from local.users import unprivileged_user

DATABASE = "grantflow"
SUPERUSER, OWNER, APPLICATION = "postgres", "grantflow_owner", "grantflow_app"

# Fast shutdown: sessions are cut off, the checkpoint is written. Also what the kernel sends when this process dies.
STOP_SIGNAL = signal.SIGINT
STOP_TIMEOUT_SECONDS = 20.0
READY_TIMEOUT_SECONDS = 60.0  # recovery after a crash may have to read much of the log
_POLL_SECONDS = 0.02
_ROLES_SQL = Path(__file__).with_name("postgres_roles.sql")
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


@dataclass(frozen=True)
class _Access:
    """The passwords and the port of one data folder; kept across starts."""

    superuser: str
    owner: str
    application: str
    port: int


class EmbeddedPostgres:
    """One embedded server with its data folder.

    The server has the database `grantflow`, owned by the role `grantflow_owner`, and the role `grantflow_app`, which
    owns nothing. All three roles log in over TCP on 127.0.0.1, or by the socket, with generated passwords.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        """Name the server's folder; nothing is touched before `prepare` or `start`.

        Args:
            data_dir: where it keeps its data, passwords and log; made if it does not exist.
            port: the TCP port; when None, the one it had before if that is free, else any.
            settings: PostgreSQL parameters beyond ours, such as `{"max_connections": "400"}`.
        """
        self._data_dir = data_dir.resolve()
        self._port = port
        self._settings = {**_SETTINGS, **(settings or {})}
        self._lock = FolderLock(self._data_dir / "postgres.lock")
        self._home: PostgresHome | None = None
        self._child: Child | None = None

    async def start(self) -> None:
        """Prepare the data, start the server as a child of this process, and wait until it answers.

        Raises:
            PartFailed: if it does not start; the message ends with the end of its log.
            AlreadyInUse: if another process runs a server on this folder.
        """
        await self.prepare()
        try:
            self._child = await spawn(self.command())
            await self._wait_until_ready(self._child)
            await self.create_roles_and_database()
        except BaseException:
            await self.stop()
            raise

    async def stop(self, *, delete: bool = False) -> None:
        """Stop the server; sessions that are open are cut off.

        Args:
            delete: also delete the data, for good.
        """
        if self._child is not None:
            await self._child.stop(STOP_SIGNAL, STOP_TIMEOUT_SECONDS)
            self._child = None
        self.release()
        if delete:
            delete_home(self._data_dir)

    async def prepare(self) -> None:
        """Make the cluster on the first start, and clear up what an earlier server left behind on later ones.

        Raises:
            AlreadyInUse: if another process runs a server on this folder.
        """
        self._lock.take()
        self._home = await asyncio.to_thread(open_home, self._data_dir, unprivileged_user())
        await end_leftovers(self._home.cluster)
        await make_cluster(self._home, SUPERUSER, self._access.superuser, self.log)

    def release(self) -> None:
        """Give the data folder free for another process, after the server was stopped by whoever started it."""
        self._lock.release()

    def command(self) -> Command:
        """Give the command line of the server, for a supervisor that starts it itself; call `prepare` first."""
        home = self._prepared_home
        parameters = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return Command(
            argv=(
                home.program("postgres"),
                *("-D", str(home.cluster), "-h", LOOPBACK, "-p", str(self.port), "-k", str(home.socket)),
                *parameters,
            ),
            log=self.log,
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            folder=home.cluster,
            user=home.user,
            death_signal=STOP_SIGNAL,
        )

    def program(self, name: str) -> str:
        """Give the path of one of PostgreSQL's programs, such as `pgbench`; call `prepare` or `start` first.

        Args:
            name: the program's name.
        """
        return self._prepared_home.program(name)

    async def is_ready(self) -> bool:
        """Say whether the server takes sessions now."""
        try:
            session = await asyncpg.connect(self.superuser_url, timeout=5)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        await session.close()
        return True

    async def create_roles_and_database(self) -> None:
        """Make the roles, with their passwords of this folder, and the database; safe to repeat."""
        access = self._access
        session = await asyncpg.connect(self.superuser_url)
        try:
            await session.execute(_ROLES_SQL.read_text())
            for role, password in ((OWNER, access.owner), (APPLICATION, access.application)):
                await session.execute(await _statement(session, "ALTER ROLE %I PASSWORD %L", role, password))
        finally:
            await session.close()
        await self.create_database(DATABASE)

    async def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database that `grantflow_owner` owns, unless it is there.

        Args:
            name: the new database's name.
            template: the database to copy, in which nobody may have a session meanwhile.
        """
        session = await asyncpg.connect(self.superuser_url)
        try:
            if not await session.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
                words = "CREATE DATABASE %I OWNER %I TEMPLATE %I"
                await session.execute(await _statement(session, words, name, OWNER, template or "template1"))
        finally:
            await session.close()

    async def drop_database(self, name: str) -> None:
        """Drop a database, if it is there, and cut off its sessions."""
        session = await asyncpg.connect(self.superuser_url)
        try:
            await session.execute(await _statement(session, "DROP DATABASE IF EXISTS %I WITH (FORCE)", name))
        finally:
            await session.close()

    def url(self, role: str, database: str = DATABASE) -> str:
        """Give a URL (`postgresql://`) to log in with over TCP.

        Args:
            role: `postgres`, `grantflow_owner` or `grantflow_app`.
            database: the database's name.
        """
        access = self._access
        password = {SUPERUSER: access.superuser, OWNER: access.owner, APPLICATION: access.application}[role]
        return f"postgresql://{role}:{password}@{LOOPBACK}:{access.port}/{database}"

    @property
    def superuser_url(self) -> str:
        """The URL of the superuser, in the database `postgres`."""
        return self.url(SUPERUSER, "postgres")

    @property
    def owner_url(self) -> str:
        """The URL of the role that owns the schema; the migrations run with it."""
        return self.url(OWNER)

    @property
    def app_url(self) -> str:
        """The URL of the application's role, which owns nothing."""
        return self.url(APPLICATION)

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        return self._access.port

    @property
    def pid(self) -> int | None:
        """The server's process id, when `start` started it."""
        return self._child.pid if self._child else None

    @property
    def log(self) -> Path:
        """The server's log."""
        return self._data_dir / "logs" / "postgres.log"

    @property
    def _access_file(self) -> Path:
        return self._data_dir / "postgres.json"

    @property
    def _prepared_home(self) -> PostgresHome:
        if self._home is None:
            raise RuntimeError("the embedded PostgreSQL was not prepared")
        return self._home

    @cached_property
    def _access(self) -> _Access:
        """Read the passwords, or make them up; known before the server is, so that others can be told early."""
        known = self._known_access()
        port = self._port or (known.port if is_free(known.port) else free_port())
        access = replace(known, port=port)
        write_private(self._access_file, json.dumps(asdict(access)))
        return access

    def _known_access(self) -> _Access:
        if self._access_file.is_file():
            return _Access(**json.loads(self._access_file.read_text()))
        superuser, owner, application = (secrets.token_urlsafe(24) for _ in range(3))
        return _Access(superuser, owner, application, free_port())

    async def _wait_until_ready(self, child: Child) -> None:
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_SECONDS
        while not await self.is_ready():
            if child.exit_code is not None:
                raise PartFailed("postgres", f"ended with exit code {child.exit_code}", self.log)
            if asyncio.get_running_loop().time() > deadline:
                raise PartFailed("postgres", f"was not ready after {READY_TIMEOUT_SECONDS:.0f} s", self.log)
            await asyncio.sleep(_POLL_SECONDS)


async def _statement(session: asyncpg.Connection, words: str, *names: str) -> str:
    """Let the server quote the names and literals of a statement that cannot take parameters."""
    marks = ", ".join(f"${place}::text" for place in range(2, len(names) + 2))
    return str(await session.fetchval(f"SELECT format($1, {marks})", words, *names))
