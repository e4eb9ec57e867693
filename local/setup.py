"""`python -m local.setup [--tests]`: get every program that the stack, and with --tests the test suite, needs."""

import sys

from rich.console import Console

from local import binaries
from local.errors import LocalError
from local.postgres_home import wheel_package

_USAGE = "usage: python -m local.setup [--tests]"


def main(arguments: list[str]) -> int:
    """Get the programs; gives the exit code.

    Args:
        arguments: the command line's, without the program.
    """
    if arguments not in ([], ["--tests"]):
        sys.stderr.write(f"{_USAGE}\n")
        return 2
    console = Console(stderr=True)
    try:
        wheel_package()
        binaries.temporal_cli(console)
        if arguments:
            binaries.time_skipping_server(console)
            binaries.stripe_mock(console)
            binaries.stripe_spec(console)
            binaries.chromium(console)
    except LocalError as no:
        console.print(f"✗ {no}", style="red", soft_wrap=True, markup=False)
        return no.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
