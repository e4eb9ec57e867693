"""What can go wrong while the local stack is set up or run; each error is one clear line for a person."""

from pathlib import Path

_LINES_SHOWN = 8


class LocalError(Exception):
    """A failure of the local stack that is reported as one line, without a traceback.

    `exit_code` is what the command line ends with: 1 refused, 2 wrong usage, 3 cannot reach a part.
    """

    exit_code = 1


class CannotObtain(LocalError):
    """A program that the stack needs could neither be found, downloaded nor built."""


class WrongConfiguration(LocalError):
    """An environment variable or an option has a value that cannot be used."""

    exit_code = 2


class AlreadyInUse(LocalError):
    """Another process owns the data folder or the port that was asked for."""


class PartFailed(LocalError):
    """A part did not become ready, or a job ended badly. Names the log where the reason is."""

    exit_code = 3

    def __init__(self, part: str, what: str, log: Path) -> None:
        """Keep the end of the log in the message, so that the reason is seen without opening the file.

        Args:
            part: the part's name, as in `grantflow status`.
            what: what happened, in words that continue the part's name.
            log: the file that the part writes its output to.
        """
        tail = last_lines(log)
        super().__init__(f"{part} {what}; see {log}" + (f"\n{tail}" if tail else ""))
        self.part, self.log = part, log


def last_lines(log: Path) -> str:
    """Give the last few lines of a log, or nothing if it cannot be read."""
    if not log.is_file():
        return ""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(f"  | {line}" for line in lines[-_LINES_SHOWN:])
