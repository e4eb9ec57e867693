"""One of several processes that call the ledger at once: `python -m tests.proof.caller APP_URL SEED CALLS ACCOUNT…`.

Several callers of it make that many calls each, on accounts that all processes share, with ids that many of them
choose. It prints what each was told and when, as JSON, a line a call.
"""

import asyncio
import json
import sys
from dataclasses import asdict
from random import Random

from ledger.transaction import open_engine
from settings import asyncpg_url
from tests.proof.calls import PAID_CENTS, Call, Heard
from tests.proof.model import TYPES
from tests.proof.playing import playing
from tests.proof.world import hear

CALLERS = 4
# Few enough that many calls meet on one id: repeats, conflicts, and holds that several want to close.
IDS = 60
KINDS = (
    ["consume"] * 8
    + ["hold"] * 3
    + ["settle", "settle", "release", "extend", "grant", "grant", "revoke", "balance"]
    + ["reverse"] * 2
)


def random_call(random: Random, accounts: list[str]) -> Call:
    """Whatever comes to mind. Ids are of one account, so that each account's history can be judged by itself."""
    account_id, kind = random.choice(accounts), random.choice(KINDS)
    prefix = {"consume": "c", "grant": "g", "revoke": "g", "reverse": "g"}.get(kind, "h")
    reversed_cents = random.choice([0, 0, 300, PAID_CENTS])
    number = random.randrange(12 if prefix == "g" else IDS)
    return Call(
        kind,
        account_id,
        f"{account_id}-{prefix}-{number}",
        # A repeat often has the first one's payload.
        1 + number % 40 if random.random() < 0.8 else random.randint(1, 60),
        "debt" if number % 3 == 0 else "refuse",
        type=TYPES[number % len(TYPES)],
        made_by="admin" if random.random() < 0.02 else "account",
        reversed_cents=reversed_cents,
        frozen_cents=PAID_CENTS - reversed_cents if random.random() < 0.2 else 0,
    )


async def call_at_random(app_url: str, seed: int, calls: int, accounts: list[str]) -> list[Heard]:
    """Everything that the callers of this process were told."""
    engine = open_engine(asyncpg_url(app_url), pool_size=6)

    async def call(number: int) -> list[Heard]:
        random = Random(1000 * seed + number)
        return [await hear(player, random_call(random, accounts)) for _ in range(calls)]

    try:
        async with playing(engine) as player:
            heard = await asyncio.gather(*map(call, range(CALLERS)))
    finally:
        await engine.dispose()
    return [each for of_one in heard for each in of_one]


async def main(app_url: str, seed: str, calls: str, *accounts: str) -> None:
    """Calls and prints."""
    for each in await call_at_random(app_url, int(seed), int(calls), list(accounts)):
        sys.stdout.write(f"{json.dumps(asdict(each))}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
