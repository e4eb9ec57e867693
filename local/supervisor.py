"""Start the steps of a stack in order, keep its parts running, and end them in reverse order."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from local.children import Child, spawn
from local.errors import PartFailed
from local.parts import Job, Part, Step
from local.records import PartRecord, RunRecord
from local.state import DataDir

_POLL_SECONDS = 0.05
_BACKOFF_FIRST_SECONDS, _BACKOFF_MAX_SECONDS = 0.2, 15.0
# A part that has run for so long has recovered: its next failure is waited for as if it were the first.
_RECOVERED_AFTER_SECONDS = 60.0
_LOG_BYTES_MAX = 20 * 1024 * 1024


@dataclass
class _Kept:
    """A part that is kept running, its present child, and the failures since it last recovered."""

    part: Part
    child: Child
    failures: int = 0
    keeper: asyncio.Task[None] | None = field(default=None)


class Supervisor:
    """Runs one stack; `run` is its whole life."""

    def __init__(self, data_dir: DataDir, run: RunRecord, say: Callable[[str], None]) -> None:
        """Take over a data folder, whose lock the caller holds.

        Args:
            data_dir: where the run is written down.
            run: the run as it begins.
            say: told each step in plain words, and each part that had to be started again.
        """
        self._data_dir, self._run, self._say = data_dir, run, say
        self._kept: list[_Kept] = []

    @property
    def record(self) -> RunRecord:
        """How the run goes."""
        return self._run

    async def run(self, steps: Sequence[Step], stop: asyncio.Event, on_ready: Callable[[], None]) -> list[str]:
        """Bring the stack up, keep it running until `stop` is set, and bring it down, whatever happens.

        Args:
            steps: in the order in which they are started.
            stop: set to end the stack, also while it is still being started.
            on_ready: called once, when every step is ready.

        Returns:
            A sentence for each part that did not end in order.

        Raises:
            PartFailed: if a step does not become ready; what was started before it is ended first.
        """
        try:
            starting = asyncio.create_task(self._start_all(steps))
            if await _done_before(starting, stop):
                starting.result()
                self._note(phase="ready", doing="")
                on_ready()
                await stop.wait()
        finally:
            self._note(phase="stopping")
            complaints = await self._end_all()
        return complaints

    async def _start_all(self, steps: Sequence[Step]) -> None:
        for step in steps:
            began = asyncio.get_running_loop().time()
            self._note(doing=f"starting {step.name}")
            if isinstance(step, Job):
                await step.run()
            else:
                await self._start_first(step)
            self._say(f"{step.name} ready ({asyncio.get_running_loop().time() - began:.1f} s)")

    async def _start_first(self, part: Part) -> None:
        self._note_part(part, PartRecord(url=part.url))
        kept = _Kept(part, await self._spawn(part))
        self._kept.append(kept)
        await self._wait_until_ready(kept)
        kept.keeper = asyncio.create_task(self._keep_running(kept))

    async def _spawn(self, part: Part) -> Child:
        if part.before_start is not None:
            await part.before_start()
        command = part.command()
        if command.log.is_file() and command.log.stat().st_size > _LOG_BYTES_MAX:
            command.log.replace(command.log.with_suffix(".log.1"))
        child = await spawn(command)
        self._change(part, process=child.identity)
        return child

    async def _wait_until_ready(self, kept: _Kept) -> None:
        part, child = kept.part, kept.child
        deadline = asyncio.get_running_loop().time() + part.ready_timeout_seconds
        while not await part.is_ready(child):
            if child.exit_code is not None:
                raise PartFailed(part.name, f"ended with exit code {child.exit_code}", child.command.log)
            if asyncio.get_running_loop().time() > deadline:
                what = f"was not ready after {part.ready_timeout_seconds:.0f} s"
                raise PartFailed(part.name, what, child.command.log)
            await asyncio.sleep(_POLL_SECONDS)
        self._change(part, state="running")

    async def _keep_running(self, kept: _Kept) -> None:
        part = kept.part
        while True:
            ready_at = asyncio.get_running_loop().time()
            code = await kept.child.wait()
            if asyncio.get_running_loop().time() - ready_at > _RECOVERED_AFTER_SECONDS:
                kept.failures = 0
            self._say(f"{part.name} ended with exit code {code}: starting it again")
            self._change(part, state="restarting", last_exit=code)
            while not await self._start_again(kept):
                pass

    async def _start_again(self, kept: _Kept) -> bool:
        part = kept.part
        await asyncio.sleep(_pause_seconds(kept.failures))
        kept.failures += 1
        self._change(part, restarts=self._run.parts[part.name].restarts + 1)
        try:
            kept.child = await self._spawn(part)
            await self._wait_until_ready(kept)
        except Exception as failure:  # whatever it was, the next try may work: a supervisor never gives up
            await kept.child.stop(part.stop_signal, part.stop_timeout_seconds)
            self._say(f"{part.name} could not be started again: {failure}")
            self._change(part, state="restarting", last_exit=kept.child.exit_code)
            return False
        self._say(f"{part.name} runs again")
        return True

    async def _end_all(self) -> list[str]:
        for kept in self._kept:
            if kept.keeper is not None:
                kept.keeper.cancel()
        await asyncio.gather(*(kept.keeper for kept in self._kept if kept.keeper), return_exceptions=True)
        return [words for kept in reversed(self._kept) if (words := await self._end(kept))]

    async def _end(self, kept: _Kept) -> str:
        part = kept.part
        already_ended = kept.child.exit_code is not None
        code = await kept.child.stop(part.stop_signal, part.stop_timeout_seconds)
        self._change(part, state="stopped", process=None, last_exit=code)
        well = already_ended or part.ended_well(code)
        return "" if well else f"{part.name} did not end in order (exit code {code}); see {kept.child.command.log}"

    def _note(self, **changes: object) -> None:
        self._run = self._run.model_copy(update=changes)
        self._data_dir.write_run(self._run)

    def _note_part(self, part: Part, record: PartRecord) -> None:
        self._note(parts={**self._run.parts, part.name: record})

    def _change(self, part: Part, **changes: object) -> None:
        self._note_part(part, self._run.parts[part.name].model_copy(update=changes))


def _pause_seconds(failures: int) -> float:
    """Longer after each failure, and never the same for two parts that fell together."""
    longest = min(_BACKOFF_MAX_SECONDS, _BACKOFF_FIRST_SECONDS * 2.0 ** min(failures, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)


async def _done_before(task: asyncio.Task[None], stop: asyncio.Event) -> bool:
    """Say whether a task has ended before `stop` was set; if not, it is cancelled."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False
