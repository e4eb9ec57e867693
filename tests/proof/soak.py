"""The machine, the histories and the mutants, for as long as a night allows: `make soak`.

`python -m tests.proof.soak [--calls N] [--seed S]` runs the machine for at least N calls of the ledger, then records
and judges histories of several processes, then hunts every mutant. It shows its progress, and ends with 1 for whatever
was found. A seed plays the same calls again, but for who comes first of those that come at once.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.conftest import MIGRATED, ROOT, MakeDatabase, fresh_database, running_postgres
from tests.proof.histories import record_and_judge
from tests.proof.hunting import AT_ONCE, Budget, Hunt, hunt_all, hunt_one
from tests.proof.mutants import MUTANTS
from tests.proof.world import open_world

CALLS = 100_000
EXAMPLES, STEPS = 40, 40
HISTORIES, ROUNDS, CALLS_OF_A_CALLER = 6, 4, 60
MUTANTS_SEED = 1  # the mutants' seed is that of the tests: what is new is the machine's


class Soak:
    """One run, with what it has seen so far."""

    def __init__(self, make_database: MakeDatabase, *, calls: int, seed: int) -> None:
        self._make_database = make_database
        self._calls = calls
        self._seed = seed
        self._began = time.monotonic()
        self._told: Counter[str] = Counter()

    async def run(self) -> bool:
        """Everything; whether all is well."""
        self._say(f"seed {self._seed}: {self._calls:,} calls of the machine, {AT_ONCE} at once")
        return await self._machines() and await self._histories() and await self._mutants()

    async def _machines(self) -> bool:
        seeds = iter(range(self._seed, self._seed + self._calls))
        found: list[Hunt] = []

        async def work() -> None:
            while self._told.total() < self._calls and not found:
                seed = next(seeds)
                async with self._make_database() as database:
                    budget = Budget(seed, 1, EXAMPLES, STEPS)
                    hunt = await hunt_one(ROOT, database.app_url, database.owner_url, budget)
                if hunt.exit_code:
                    found.append(hunt)
                    return
                self._told += hunt.told
                self._say(f"{min(self._told.total(), self._calls):,} of {self._calls:,} calls, up to seed {seed}")

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        for hunt in found:
            self._say(hunt.said)
        for what, count in self._told.most_common():
            self._say(f"{count:9,} {what}")
        return not found

    async def _histories(self) -> bool:
        judged = 0
        for number in range(HISTORIES):
            async with (
                self._make_database() as database,
                open_world(database.app_url, database.owner_url) as world,
            ):
                try:
                    judged += await record_and_judge(
                        world, database.app_url, seed=self._seed + number, calls=CALLS_OF_A_CALLER, rounds=ROUNDS
                    )
                except AssertionError as difference:
                    self._say(f"found in the history of seed {self._seed + number}: {difference}")
                    return False
            self._say(f"{number + 1} of {HISTORIES} histories, {judged:,} calls: an order explains each")
        return True

    async def _mutants(self) -> bool:
        caught = 0
        async for name, hunt in hunt_all(MUTANTS, self._make_database, Budget(MUTANTS_SEED)):
            if not hunt.is_caught:
                self._say(f"not caught: {name}\n{hunt.said}")
            caught += hunt.is_caught
        self._say(f"{caught} of {len(MUTANTS)} mutants were caught")
        return caught == len(MUTANTS)

    def _say(self, words: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        sys.stdout.write(f"{minutes:3}:{seconds:02} {words}\n")
        sys.stdout.flush()


async def main() -> int:
    """Soaks; gives the exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=CALLS, help="at least so many calls of the machine")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="of the first example")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        async with running_postgres(Path(folder) / "postgres") as server:
            well = await Soak(lambda: fresh_database(server, MIGRATED), calls=chosen.calls, seed=chosen.seed).run()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
