"""`python -m tests.local.small_stack DATA_DIR HABIT…`: supervise one small program for each habit, in that order."""

import asyncio
import os
import sys
from pathlib import Path

from local.children import Command
from local.errors import LocalError
from local.parts import Job, Part, Step
from local.readiness import has_printed
from local.records import StackAddress
from local.running import end_leftovers, supervise
from local.state import DataDir

_PROGRAM = Path(__file__).with_name("small_program.py")


def part(data_dir: DataDir, name: str, habit: str) -> Part:
    """Give a part that runs the small program."""
    command = Command(
        argv=(sys.executable, str(_PROGRAM), name, str(data_dir.path / "journal"), habit), log=data_dir.log(name)
    )
    return Part(
        name=name,
        url="",
        command=lambda: command,
        is_ready=has_printed("now ready"),
        stop_timeout_seconds=1.0,
        ready_timeout_seconds=20.0,
        uses_temporal_sdk=habit == "aborts",
    )


async def main(data_dir: DataDir, habits: list[str]) -> list[str]:
    """Run the stack until this process is asked to stop."""

    async def a_job() -> None:
        with (data_dir.path / "journal").open("a") as journal:
            journal.write("job done\n")

    data_dir.make()
    data_dir.lock.take()
    await end_leftovers(data_dir, _say)
    names = ("first", "second", "third")
    steps: list[Step] = [part(data_dir, name, habit) for name, habit in zip(names, habits, strict=False)]
    steps.insert(1, Job(name="job", run=a_job))
    return await supervise(data_dir, _nowhere(data_dir), steps, _say, lambda _: None)


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")


def _nowhere(data_dir: DataDir) -> StackAddress:
    return StackAddress(
        api_url="",
        ws_url="",
        web_url="",
        temporal_address="",
        temporal_ui_url=None,
        temporal_namespace="",
        database_url="",
        stripe_url="",
        stripe_webhook_secret="",
        admin_token="",
        data_dir=str(data_dir.path),
        log_dir=str(data_dir.logs),
        supervisor_pid=os.getpid(),
        worker_metrics_url="",
    )


if __name__ == "__main__":
    try:
        complaints = asyncio.run(main(DataDir(Path(sys.argv[1])), sys.argv[2:]))
    except LocalError as no:
        sys.stdout.write(f"{no}\n")
        sys.exit(no.exit_code)
    sys.stdout.writelines(f"{complaint}\n" for complaint in complaints)
    sys.exit(1 if complaints else 0)
