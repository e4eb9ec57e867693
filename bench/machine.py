"""What the figures were measured on."""

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import psutil

from local.folders import project_dir

_SETTINGS = (
    *("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method"),
    *("shared_buffers", "max_wal_size", "checkpoint_timeout", "autovacuum", "jit"),
)
# Without these a commit is not a commit, and no figure means anything.
_MUST_BE_ON = ("fsync", "synchronous_commit", "full_page_writes")
_FLUSHES = 200


class NotDurable(RuntimeError):
    """The server would lose commits in a crash; nothing is measured on it."""


async def describe_machine(app_url: str, data_dir: Path) -> dict[str, Any]:
    """The machine, its software, and the server's settings as a session of the application sees them.

    Args:
        app_url: a ``postgresql://`` URL of the application's role.
        data_dir: a folder on the disk that the server writes to.

    Raises:
        NotDurable: if fsync, synchronous_commit or full_page_writes is off.
    """
    settings = await _server_settings(app_url)
    off = [name for name in _MUST_BE_ON if settings[name] != "on"]
    if off:
        raise NotDurable(f"{', '.join(off)} must be on")
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memoryBytes": psutil.virtual_memory().total,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {name: version(name) for name in ("asyncpg", "sqlalchemy")},
        "postgres": settings,
        "disk": _filesystem_of(data_dir),
        "flushMicroseconds": _flush_microseconds(data_dir),
        "loadAverage": round(os.getloadavg()[0], 2),
    }


def commit() -> str:
    """The commit that was measured, with ``-dirty`` if the tree differs from it; ``unknown`` outside of git."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=project_dir(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


async def _server_settings(app_url: str) -> dict[str, str]:
    session = await asyncpg.connect(app_url, timeout=10)
    try:
        return {name: str(await session.fetchval("SELECT current_setting($1)", name)) for name in _SETTINGS}
    finally:
        await session.close()


def _cpu_model() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _filesystem_of(folder: Path) -> str:
    holding = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(holding, key=lambda part: len(part.mountpoint)).fstype if holding else "unknown"


def _flush_microseconds(folder: Path) -> int:
    """How long the disk takes to make 8 KiB durable: the median of some."""
    path = folder / "flush-probe"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_FLUSHES):
            began = time.perf_counter_ns()
            file.seek(0)
            file.write(b"\0" * 8192)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter_ns() - began) // 1000)
    path.unlink()
    return int(median(taken))
