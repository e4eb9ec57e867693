"""How a process that uses Temporal's SDK runs and ends."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any


def run_process(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs ``main`` until it ends, and lets the SDK's own threads finish while there is still a loop.

    Without the pause the interpreter may abort at exit (https://github.com/temporalio/sdk-python/issues/300).
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "stripe"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

    async def _main_then_rest() -> None:
        try:
            await main()
        finally:
            gc.collect()
            await asyncio.sleep(0.1)

    asyncio.run(_main_then_rest())
