"""Several processes call the ledger at once; an order of their calls explains all that they were told."""

from tests.conftest import MakeDatabase
from tests.proof.histories import PROCESSES, record_and_judge
from tests.proof.world import open_world

CALLS, ROUNDS = 40, 3


async def test_what_several_processes_are_told_has_an_order(make_plain_database: MakeDatabase) -> None:
    async with (
        make_plain_database() as database,
        open_world(database.app_url, database.owner_url) as world,
    ):
        judged = await record_and_judge(world, database.app_url, seed=1, calls=CALLS, rounds=ROUNDS)
    assert judged >= PROCESSES * CALLS * ROUNDS
