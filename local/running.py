"""One run of the local stack, from taking the data folder to giving it back."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence

from local.environment import Chosen
from local.errors import AlreadyInUse, LocalError
from local.parts import Step
from local.ports import is_free
from local.process_ids import ProcessId
from local.records import RunRecord, StackAddress
from local.stack import Stack
from local.state import DataDir
from local.supervisor import Supervisor

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LEFTOVER_TIMEOUT_SECONDS = 10.0

Say = Callable[[str], None]


async def run_stack(
    data_dir: DataDir, chosen: Chosen, *, port: int | None, say: Say, on_ready: Callable[[StackAddress], None]
) -> list[str]:
    """Run Grantflow's stack until this process is asked to stop.

    Args:
        data_dir: the data folder; locked for as long as the stack runs.
        chosen: what the environment says.
        port: the API's port, if the person named one.
        say: told in plain words what happens.
        on_ready: called once, when every part is ready.

    Returns:
        A sentence for each part that did not end in order.

    Raises:
        AlreadyInUse: if another supervisor works on the folder, or the named port is taken.
        LocalError: if a part cannot be started; everything is ended first.
    """
    data_dir.make()
    data_dir.lock.take()
    try:
        await end_leftovers(data_dir, say)
        named = port or chosen.port
        if named is not None and not is_free(named):
            raise AlreadyInUse(f"port {named} is in use by another program")
        stack = Stack(data_dir, chosen, data_dir.keep(named), os.environ)
        return await supervise(data_dir, stack.address(), stack.steps(), say, on_ready)
    finally:
        data_dir.lock.release()


async def supervise(
    data_dir: DataDir,
    address: StackAddress,
    steps: Sequence[Step],
    say: Say,
    on_ready: Callable[[StackAddress], None],
) -> list[str]:
    """Run the steps of any stack until this process is asked to stop; as `run_stack`, whose lock is held.

    Args:
        data_dir: where the run is written down.
        address: where the stack will be found.
        steps: what it is made of.
        say: told in plain words what happens.
        on_ready: called once, when every step is ready.
    """
    myself = ProcessId.of(os.getpid())
    if myself is None:
        raise RuntimeError("this process does not run")
    supervisor = Supervisor(data_dir, RunRecord(supervisor=myself, address=address), say)
    stop = _stop_on_signals()
    try:
        complaints = await supervisor.run(steps, stop, lambda: on_ready(supervisor.record.current_address()))
    except BaseException as failure:
        code = failure.exit_code if isinstance(failure, LocalError) else 1
        failed = {"phase": "failed", "problem": str(failure) or type(failure).__name__, "exit_code": code}
        data_dir.write_run(supervisor.record.model_copy(update=failed))
        raise
    data_dir.forget_run()
    return complaints


async def end_leftovers(data_dir: DataDir, say: Say) -> list[str]:
    """End what a supervisor that was killed left behind; the caller holds the folder's lock.

    Args:
        data_dir: the folder that the supervisor worked on.
        say: told what was ended.

    Returns:
        The names of the parts that were ended.
    """
    run = data_dir.read_run()
    ended = []
    for name, part in reversed(list(run.parts.items())) if run else ():
        if part.process is not None and await part.process.end(signal.SIGTERM, _LEFTOVER_TIMEOUT_SECONDS):
            say(f"ended {name}, left behind by an earlier run (pid {part.process.pid})")
            ended.append(name)
    data_dir.forget_run()
    return ended


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for which in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(which, stop.set)
    return stop
