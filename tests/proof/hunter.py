"""A hunt for a difference between the ledger and the model, in a process of its own.

`python -m tests.proof.hunter APP_URL OWNER_URL SEED EXAMPLES STEPS` runs the machine on a database that it may spoil,
and prints how many calls it made. It ends with 3 and the difference where it finds one.
"""

import sys

from hypothesis import Phase

import ledger
from tests.proof.running import run_machine

FOUND = 3


def main(app_url: str, owner_url: str, seed: str, examples: str, steps: str) -> int:
    """Hunts; gives the exit code."""
    # Whoever hunts a mutant wants to know that it was the mutant that ran.
    sys.stdout.write(f"ledger: {ledger.__path__[0]}\n")
    try:
        # A mutant is to be caught, not to be understood: no time is spent on a smaller example.
        told = run_machine(
            app_url,
            owner_url,
            examples=int(examples),
            steps=int(steps),
            seeded=int(seed),
            phases=(Phase.generate,),
        )
    except AssertionError as difference:
        sys.stdout.write(f"found: {difference}\n")
        return FOUND
    sys.stdout.write(f"calls: {told.total()}\n")
    sys.stdout.writelines(f"{count:7} {what}\n" for what, count in told.most_common())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
