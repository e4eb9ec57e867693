"""A hunt for a difference between the ledger and the model, in a process of its own.

`python -m tests.proof.hunter APP_URL OWNER_URL FIRST_SEED SEEDS EXAMPLES STEPS` runs the machine on a database that it
may spoil, once with each of the seeds, and prints how often which call was told what. It ends with 3, the seed and the
difference where it finds one.
"""

import sys
from collections import Counter

from hypothesis import Phase

import ledger
from tests.proof.running import run_machine

FOUND = 3


def main(app_url: str, owner_url: str, *numbers: str) -> int:
    """Hunts; gives the exit code."""
    first_seed, seeds, examples, steps = map(int, numbers)
    # Whoever hunts a mutant wants to know that it was the mutant that ran.
    sys.stdout.write(f"ledger: {ledger.__path__[0]}\n")
    told: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + seeds):
        try:
            # A mutant is to be caught, not to be understood: no time is spent on a smaller example.
            told += run_machine(
                app_url, owner_url, examples=examples, steps=steps, seeded=seed, phases=(Phase.generate,)
            )
        except AssertionError as difference:
            sys.stdout.write(f"found: with seed {seed}: {difference}\n")
            return FOUND
    sys.stdout.writelines(f"told: {count} {what}\n" for what, count in told.most_common())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
