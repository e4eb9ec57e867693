"""A process of its own that grants: ``python -m tests.store.granter URL ACCOUNT PREFIX COUNT``.

It prints the names of the grants that it was told were made, one a line, when all have been answered.
"""

import asyncio
import sys

from ledger.transaction import open_engine
from settings import asyncpg_url
from tests.store.support import grant


async def _main(url: str, account_id: str, prefix: str, count: int) -> None:
    engine = open_engine(asyncpg_url(url))
    made = await asyncio.gather(*(grant(engine, account_id, f"{prefix}-{number}", 1) for number in range(count)))
    sys.stdout.writelines(f"{outcome.grant.operation_id}\n" for outcome in made if outcome.created)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
