"""A small part: `python small_program.py NAME JOURNAL HABIT`. It says that it is ready, and writes down its end."""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

name, journal, habit = sys.argv[1], Path(sys.argv[2]), sys.argv[3]


def note(words: str) -> None:
    """Add a line to the journal that all parts share."""
    with journal.open("a") as file:
        file.write(f"{name} {words}\n")


def end(*_: int | FrameType | None) -> NoReturn:
    """End as a well-behaved program does, or as one that used Temporal's SDK may."""
    note("ended")
    if habit == "aborts":
        os.abort()
    sys.exit(0)


def main() -> None:
    """Run until asked to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN if habit == "stubborn" else end)
    signal.signal(signal.SIGINT, lambda *_: note("heard Ctrl-C"))
    note("started")
    if habit == "fails":
        sys.exit("cannot go on")
    sys.stdout.write("now ready\n")
    sys.stdout.flush()
    if habit == "falls":
        time.sleep(0.1)
        sys.exit(7)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
