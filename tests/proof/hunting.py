"""Hunts ledgers, ours and the mutants: each in a process of its own, on a database of its own, some at once."""

import asyncio
import os
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT, MakeDatabase
from tests.proof.hunter import FOUND
from tests.proof.mutants import Change, copy_ledger

AT_ONCE = max(2, os.cpu_count() or 2)


@dataclass(frozen=True)
class Budget:
    """How long a ledger is hunted: seeds, from the first, each for so many examples of so many steps."""

    first_seed: int = 1
    seeds: int = 4
    examples: int = 15
    steps: int = 30


@dataclass(frozen=True)
class Hunt:
    """How the hunt for one ledger ended."""

    exit_code: int
    said: str

    @property
    def is_caught(self) -> bool:
        """Whether the ledger differs from the model; an import error is no difference."""
        return self.exit_code == FOUND and "\nfound: " in self.said

    @property
    def told(self) -> Counter[str]:
        """How often which call was told what."""
        lines = (line.split(maxsplit=2) for line in self.said.splitlines() if line.startswith("told: "))
        return Counter({what: int(count) for _, count, what in lines})


async def hunt_all(
    ledgers: Mapping[str, tuple[Change, ...]], make_database: MakeDatabase, budget: Budget
) -> AsyncIterator[tuple[str, Hunt]]:
    """Each ledger by its name, as its hunt ends."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def hunt(name: str, changes: tuple[Change, ...]) -> tuple[str, Hunt]:
        async with turns, make_database() as database:
            with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
                copy_ledger(Path(folder), changes)
                return name, await hunt_one(Path(folder), database.app_url, database.owner_url, budget)

    for ended in asyncio.as_completed([hunt(*each) for each in ledgers.items()]):
        yield await ended


async def hunt_one(folder: Path, app_url: str, owner_url: str, budget: Budget) -> Hunt:
    """Hunts the ledger that is in the folder."""
    numbers = (budget.first_seed, budget.seeds, budget.examples, budget.steps)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.proof.hunter", app_url, owner_url, *map(str, numbers)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    said = output.decode()
    if f"ledger: {folder / 'ledger'}\n" not in said:
        raise RuntimeError(f"another ledger was hunted, or none:\n{said}")
    return Hunt(process.returncode or 0, said)
