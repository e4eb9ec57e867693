"""`python -m local.daemon`: the supervisor in the background, as `grantflow up --detach` starts it."""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from local.environment import read_environment
from local.errors import LocalError, PartFailed, last_lines
from local.folders import project_dir
from local.records import RunRecord, StackAddress
from local.running import run_stack
from local.state import DataDir

_POLL_SECONDS = 0.1
# More than all the parts' own limits together; each of them ends the start earlier, with its reason.
_READY_TIMEOUT_SECONDS = 20 * 60.0


def start_in_background(data_dir: DataDir, port: int | None, show: Callable[[str], None]) -> StackAddress:
    """Start the stack in a session of its own and wait until it is ready, or join one that is being started.

    Args:
        data_dir: the data folder.
        port: the API's port, if the person named one.
        show: told what is being started.

    Raises:
        LocalError: if it cannot be started, with the reason and the exit code that the supervisor gave.
    """
    data_dir.make()
    log = data_dir.log("supervisor")
    arguments = ["--data-dir", str(data_dir.path)] + (["--port", str(port)] if port else [])
    with log.open("ab") as output:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "local.daemon", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=project_dir(),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        return _wait_until_ready(data_dir, daemon, show)
    except KeyboardInterrupt:
        daemon.terminate()
        daemon.wait()
        raise


def _wait_until_ready(
    data_dir: DataDir, daemon: "subprocess.Popen[bytes]", show: Callable[[str], None]
) -> StackAddress:
    deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        code = daemon.poll()  # asked before the record is read, so that its last words are not missed
        run = data_dir.read_run()
        if run is not None and run.is_alive():
            if run.phase == "ready":
                return run.current_address()
            show(run.doing)
        elif code is not None:
            raise _failure(run if run and run.supervisor.pid == daemon.pid else None, data_dir, code)
        time.sleep(_POLL_SECONDS)
    daemon.terminate()
    raise PartFailed("the stack", f"was not ready after {_READY_TIMEOUT_SECONDS:.0f} s", data_dir.log("supervisor"))


def _failure(run: RunRecord | None, data_dir: DataDir, code: int) -> LocalError:
    log = data_dir.log("supervisor")
    failure = LocalError(run.problem if run else f"the supervisor ended; see {log}\n{last_lines(log)}")
    failure.exit_code = run.exit_code if run else max(code, 1)
    return failure


def main() -> int:
    """Run the stack until the process is asked to stop; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.daemon", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args()
    chosen = read_environment(os.environ)
    running = run_stack(DataDir(arguments.data_dir), chosen, port=arguments.port, say=_log, on_ready=lambda _: None)
    try:
        complaints = asyncio.run(running)
    except LocalError as no:
        _log(str(no))
        return no.exit_code
    for complaint in complaints:
        _log(complaint)
    return 1 if complaints else 0


def _log(words: str) -> None:
    print(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {words}")


if __name__ == "__main__":
    sys.exit(main())
