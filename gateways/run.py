"""How a process of ours runs and ends."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

# Python's own figure is 700.
_YOUNG_OBJECTS = 100_000


def run_process(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs ``main`` until it ends, and lets the threads of Temporal's SDK finish while there is still a loop.

    Without the pause the interpreter may abort at exit (https://github.com/temporalio/sdk-python/issues/300).
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "stripe"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

    collect_seldom()

    async def _main_then_rest() -> None:
        try:
            await main()
        finally:
            gc.collect()
            await asyncio.sleep(0.1)

    asyncio.run(_main_then_rest())


def collect_seldom() -> None:
    """Has Python look for unreachable cycles seldom, and not among what was there when the process began.

    A batch of consumptions is tens of thousands of objects that die with it, of themselves; looking through them while
    they live took a sixth of the processor's time. Call it when everything is imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
