"""Make a PostgreSQL cluster on disk, and clear up after a server that did not end in order."""

import asyncio
import contextlib
import os
import signal
import tempfile
from pathlib import Path

import psutil

from local.children import Command, spawn
from local.errors import PartFailed
from local.postgres_home import PostgresHome
from local.process_ids import ProcessId

_INITDB_TIMEOUT_SECONDS = 120.0
_ENDS_WITHIN_SECONDS = 10.0


async def make_cluster(home: PostgresHome, superuser: str, password: str, log: Path) -> None:
    """Run initdb, unless the cluster is there; an attempt that was cut off is begun anew.

    Args:
        home: the server's folders.
        superuser: the name of the first role.
        password: its password, asked for on every way in.
        log: where initdb's output goes.

    Raises:
        PartFailed: if initdb fails.
    """
    finished = home.cluster.with_name("cluster-finished")
    if finished.exists():
        return
    _empty(home.cluster)
    with tempfile.NamedTemporaryFile("w", dir=home.socket) as password_file:
        password_file.write(password)
        password_file.flush()
        if home.user is not None:
            os.chown(password_file.name, home.user.uid, home.user.gid)
        initdb = await spawn(_initdb(home, superuser, password_file.name, log))
        code = await initdb.finish(_INITDB_TIMEOUT_SECONDS)
    if code != 0:
        raise PartFailed("postgres", f"could not make its data folder (initdb: exit code {code})", log)
    finished.touch()


def _initdb(home: PostgresHome, superuser: str, password_file: str, log: Path) -> Command:
    return Command(
        argv=(
            *(home.program("initdb"), "-D", str(home.cluster), "-U", superuser, f"--pwfile={password_file}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
        ),
        log=log,
        # A locale that every machine has; text is compared by PostgreSQL's own rules, the same everywhere.
        environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        folder=home.cluster,
        user=home.user,
    )


def _empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


async def end_leftovers(cluster: Path) -> None:
    """End every process of an earlier server on this cluster, then remove its stale pid file.

    Call it only while holding the folder's lock. A server's processes work in the cluster's folder, which tells them
    from a stranger that got a recycled pid; PostgreSQL itself would refuse to start because of either.

    Args:
        cluster: the server's data folder.
    """
    for process in _processes_in(cluster):
        await process.end(signal.SIGINT, _ENDS_WITHIN_SECONDS)
    with contextlib.suppress(FileNotFoundError):
        await asyncio.to_thread((cluster / "postmaster.pid").unlink)


def _processes_in(cluster: Path) -> list[ProcessId]:
    found = []
    for process in psutil.process_iter(["name", "pid"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == "postgres" and process.cwd() == str(cluster):
                found.append(ProcessId.of(process.pid))
    return [process for process in found if process is not None]
