"""Work that goes on after its answer was given. It is tracked, bounded, and waited for at the end."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger(__name__)

TASKS_MAX = 1000
# What somebody else does as well, if later, keeps no other work waiting: it stands back when so much is under way.
CAN_WAIT_MAX = 50
AT_ONCE_MAX = 8
FINISH_SECONDS = 5.0


class Background:
    """Tasks of this process. None of them is the only one to know of its work: a sweep finds what was left."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)

    def start(self, work: Coroutine[Any, Any, None], *, behind: int = TASKS_MAX) -> bool:
        """Starts the work soon; False, with nothing done, when as much as ``behind`` is waiting already."""
        if len(self._tasks) >= behind:
            work.close()
            return False
        task = asyncio.create_task(self._take_turn(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def finish(self) -> None:
        """Waits some seconds for what is under way and gives up the rest."""
        if not self._tasks:
            return
        _, unfinished = await asyncio.wait(self._tasks, timeout=FINISH_SECONDS)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    async def _take_turn(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with self._turns:
                await work
        except Exception:
            # There is nobody to raise to, and the loop's own report would come late and without our logger's name.
            _log.exception("A background task failed.")
        finally:
            work.close()
