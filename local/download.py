"""The Temporal SDK's own download of its dev server and test server, bounded in time."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from local.errors import CannotObtain
from local.ports import accepts_connections

_HOST = "temporal.download"
_TIMEOUT_SECONDS = 180.0
# The SDK retries for long where there is no network, so the host is tried first.
_REACHED_WITHIN_SECONDS = 3.0

# In a process of its own: the SDK can neither be interrupted nor does it always end cleanly after a failure.
_SCRIPT = """
import asyncio, sys
from temporalio.testing import WorkflowEnvironment
async def main(kind, folder):
    if kind == "dev":
        started = await WorkflowEnvironment.start_local(download_dest_dir=folder)
    else:
        started = await WorkflowEnvironment.start_time_skipping(download_dest_dir=folder)
    await started.shutdown()
    await asyncio.sleep(0.1)
asyncio.run(main(*sys.argv[1:]))
"""


def dev_server(target: Path, console: Console) -> Path:
    """Let the SDK download the `temporal` command line.

    Args:
        target: where the program goes.
        console: where progress is shown.

    Raises:
        CannotObtain: if the download fails, or its host cannot be reached.
    """
    return _download("dev", target, console)


def time_skipping_server(target: Path, console: Console) -> Path:
    """Let the SDK download the time-skipping test server; as `dev_server`."""
    return _download("time-skipping", target, console)


def _download(kind: str, target: Path, console: Console) -> Path:
    with console.status(f"looking for a download of {target.name}"):
        if not (_has_proxy() or accepts_connections(_HOST, 443, _REACHED_WITHIN_SECONDS)):
            raise CannotObtain(f"{_HOST} cannot be reached")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".downloading-") as folder:
        with console.status(f"downloading {target.name}"):
            code = _run_script(kind, folder)
        found = sorted(Path(folder).glob("temporal*"))
        if not found:
            raise CannotObtain(f"the download of {target.name} failed ({code})")
        found[0].chmod(0o755)
        shutil.move(found[0], target)
    return target


def _has_proxy() -> bool:
    return any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"))


def _run_script(kind: str, folder: str) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, kind, folder],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=dict(os.environ),
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {_TIMEOUT_SECONDS:.0f} s"
    last = done.stderr.strip().splitlines()[-1:] or [""]
    return f"exit code {done.returncode}: {last[0]}"
