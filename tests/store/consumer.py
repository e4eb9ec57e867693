"""A process of its own that spends: ``python -m tests.store.consumer URL ACCOUNT PREFIX CALLERS TIMES CREDITS``.

It prints one line for each call that was answered: the operation id, and ``spent`` or ``refused``.
"""

import asyncio
import sys

from ledger.consuming import ConsumeOrder, Consumption
from ledger.rules.errors import InsufficientCredits
from ledger.transaction import open_engine
from settings import asyncpg_url


async def _main(url: str, account_id: str, prefix: str, callers: int, times: int, credits: int) -> None:
    engine = open_engine(asyncpg_url(url))
    consumption = Consumption(engine)

    async def spend(caller: int) -> None:
        for number in range(times):
            operation_id = f"{prefix}-{caller}-{number}"
            try:
                await consumption.consume(ConsumeOrder(account_id, operation_id, credits, request_id=operation_id))
            except InsufficientCredits:
                sys.stdout.write(f"{operation_id} refused\n")
            else:
                sys.stdout.write(f"{operation_id} spent\n")

    async with consumption.running():
        await asyncio.gather(*(spend(caller) for caller in range(callers)))
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7])))
