"""End a stack that runs in another process."""

import asyncio
import signal

from local.errors import LocalError
from local.process_ids import ProcessId
from local.records import RunRecord
from local.running import Say, end_leftovers
from local.state import DataDir

# More than the parts' own limits together: the supervisor kills what does not end within its own.
_SUPERVISOR_TIMEOUT_SECONDS = 150.0


async def stop_stack(data_dir: DataDir, say: Say) -> list[str]:
    """End the supervisor of a data folder and exactly its parts; also what a killed supervisor left behind.

    Args:
        data_dir: the data folder.
        say: told what had to be ended by force.

    Returns:
        The names of the parts that ran; none if nothing did.

    Raises:
        LocalError: if something still runs in the end.
    """
    run = data_dir.read_run()
    if run is None:
        return []
    await run.supervisor.end(signal.SIGTERM, _SUPERVISOR_TIMEOUT_SECONDS)
    started = data_dir.read_run() or run
    data_dir.make()
    data_dir.lock.take()
    try:
        await end_leftovers(data_dir, say)
    finally:
        data_dir.lock.release()
    left = [name for name, process in _processes(started).items() if process.is_running()]
    if left:
        raise LocalError(f"still running, and could not be ended: {', '.join(left)}")
    return [name for name, part in run.parts.items() if part.process is not None]


def _processes(run: RunRecord) -> dict[str, ProcessId]:
    return {name: part.process for name, part in run.parts.items() if part.process is not None}


def stop_now(data_dir: DataDir, say: Say) -> list[str]:
    """`stop_stack`, for callers without an event loop."""
    return asyncio.run(stop_stack(data_dir, say))
