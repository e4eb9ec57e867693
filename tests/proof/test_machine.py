"""The ledger does what the model does: I1 to I7, and every line of the contract's *Semantics, decided* about them.

`--hypothesis-seed=N` makes the machine do something else. `make soak` lets it run for long.
"""

import asyncio

from tests.conftest import MakeDatabase
from tests.proof.running import run_machine

EXAMPLES, STEPS, CALLS = 40, 30, 1000


async def test_the_ledger_equals_the_model(make_database: MakeDatabase) -> None:
    async with make_database() as database:
        told = await asyncio.to_thread(
            run_machine, database.app_url, database.owner_url, examples=EXAMPLES, steps=STEPS
        )
    assert told.total() > CALLS
