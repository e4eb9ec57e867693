"""The commands of `grantflow` that own the local stack: up, stop, status, doctor, reset, demo, bench."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from local import screen
from local.binaries import temporal_cli
from local.daemon import start_in_background
from local.doctor import examine
from local.environment import Chosen, read_environment
from local.errors import LocalError
from local.folders import default_data_dir
from local.records import StackAddress
from local.running import run_stack
from local.state import DataDir, find_running
from local.stopping import stop_now

DONE, REFUSED, CANNOT_REACH = 0, 1, 3

DATA_DIR_VARIABLE = "GRANTFLOW_DATA_DIR"
LOCAL_COMMANDS = frozenset({"up", "stop", "status", "doctor", "reset", "demo", "bench"})

DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help=f"The data folder (or {DATA_DIR_VARIABLE}).", show_default=".grantflow/data"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_commands(app: typer.Typer) -> None:
    """Add the local commands to the program.

    Args:
        app: the program's typer application.
    """
    app.command("up", help=_help("Start everything and stay until Ctrl-C.", "grantflow up --port 8080"))(up)
    app.command("stop", help=_help("End exactly what `up` started.", "grantflow stop"))(stop)
    app.command("status", help=_help("Show each part: state, pid, restarts, URL.", "grantflow status --json"))(status)
    app.command("doctor", help=_help("Say what is missing on this machine.", "grantflow doctor"))(doctor)
    app.command("reset", help=_help("Delete all data of the local stack.", "grantflow reset --yes"))(reset)
    app.command("demo", help=_help("Walk the main job on a fresh stack and check it.", "grantflow demo"))(demo)
    app.command("bench", help=_help("Measure the ledger beside its baselines.", "grantflow bench hot-64 --rounds 3"))(
        bench
    )


def data_dir_of(environment: Mapping[str, str]) -> Path:
    """Give the data folder that is used when the command line names none."""
    return Path(environment.get(DATA_DIR_VARIABLE) or default_data_dir())


def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Return when all is ready; it goes on running.")] = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="The API's port.")] = None,
) -> None:
    """Start every part, wait until all are ready, and print where they are."""
    folder = _folder(data_dir)
    with _one_clear_line():
        running = find_running(folder.path)
        if running is not None:
            screen.err.print(f"already running (supervisor pid {running.supervisor_pid})")
            _print_address(running, as_json=as_json)
        elif detach:
            _print_address(_start_detached(folder, port), as_json=as_json)
        else:
            _stay(folder, port, as_json=as_json)


def stop(*, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """End the parts in reverse order and wait until they are gone."""
    with _one_clear_line():
        ended = stop_now(_folder(data_dir), _say)
    if as_json:
        screen.print_json({"stopped": ended})
    else:
        screen.out.print(f"stopped {', '.join(ended)}" if ended else "nothing was running")


def status(*, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show how the parts are. Exit code 3 when the stack does not run or a part is not up."""
    folder = _folder(data_dir)
    with _one_clear_line():
        run = folder.read_run()
    alive = run is not None and run.is_alive()
    parts: list[dict[str, object]] = []
    for name, part in run.parts.items() if run is not None and alive else ():
        pid = part.process.pid if part.process else None
        seen = {"state": part.state_now, "pid": pid, "restarts": part.restarts, "lastExit": part.last_exit}
        parts.append({"name": name, **seen, "url": part.url})
    phase = run.phase if run is not None and alive else "stopped"
    if as_json:
        supervisor = run.supervisor.pid if run is not None and alive else None
        described = {"phase": phase, "dataDir": str(folder.path), "supervisorPid": supervisor}
        screen.print_json({"running": alive, **described, "parts": parts})
    elif alive:
        screen.print_status(parts)
    else:
        screen.out.print(f"nothing is running on {folder.path}: `grantflow up` starts it", soft_wrap=True)
    if phase != "ready" or any(part["state"] != "running" for part in parts):
        raise typer.Exit(CANNOT_REACH)


def doctor(*, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Check this machine and the environment. Exit code 1 when something that is needed is missing."""
    checks = examine(_folder(data_dir), os.environ)
    if as_json:
        screen.print_json({"checks": [check.fields() for check in checks]})
    else:
        screen.print_checks([check.fields() for check in checks])
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(REFUSED)


def reset(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Really delete the data.")] = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Delete the ledger, the workflows and the stand-in's objects of the local stack, for good."""
    folder = _folder(data_dir)
    with _one_clear_line():
        if not yes:
            raise LocalError(f"this deletes all data in {folder.path}: say `grantflow reset --yes` if you mean it")
        deleted = folder.path.exists()
        if deleted:
            folder.delete()
    if as_json:
        screen.print_json({"deleted": deleted, "dataDir": str(folder.path)})
    else:
        screen.out.print(f"deleted {folder.path}" if deleted else f"{folder.path} does not exist", soft_wrap=True)


def demo(*, as_json: JsonOption = False) -> None:
    """Bring up a fresh stack, walk the main job, check every step, and stop it. Exit code 0 only if all held."""
    from local.demo import run_demo  # loads the client, which no other command here needs

    with _one_clear_line():
        raise typer.Exit(run_demo(as_json=as_json))


def bench(
    rows: Annotated[list[str] | None, typer.Argument(help="The rows to measure; all of them unless told.")] = None,
    *,
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="How often each side is measured.")] = None,
    seconds: Annotated[int | None, typer.Option("--seconds", min=1, help="How long each time.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One round of a second: does it work at all?")] = False,
    as_json: JsonOption = False,
) -> None:
    """Become the program that measures, which knows the ledger; it starts a PostgreSQL of its own."""
    arguments = [
        *(["--rows", *rows] if rows else []),
        *(["--quick"] if quick else []),
        *(["--json"] if as_json else []),
    ]
    for name, value in (("--rounds", rounds), ("--seconds", seconds)):
        arguments += [name, str(value)] if value is not None else []
    os.execv(sys.executable, [sys.executable, "-m", "bench", *arguments])  # noqa: S606 - no shell is wanted


def _stay(folder: DataDir, port: int | None, *, as_json: bool) -> None:
    chosen = _ready_to_start()

    def on_ready(address: StackAddress) -> None:
        _print_address(address, as_json=as_json)
        screen.err.print("Ctrl-C stops everything; the data stays.")

    complaints = asyncio.run(run_stack(folder, chosen, port=port, say=_say, on_ready=on_ready))
    if complaints:
        raise LocalError("\n".join(complaints))


def _start_detached(folder: DataDir, port: int | None) -> StackAddress:
    _ready_to_start()
    with screen.err.status("starting") as shown:
        return start_in_background(folder, port, lambda doing: shown.update(doing or "starting"))


def _ready_to_start() -> Chosen:
    """Check the environment, and get what takes minutes to get, while the person can see it happen."""
    chosen = read_environment(os.environ)
    if chosen.embeds_temporal:
        temporal_cli(screen.err)
    return chosen


def _print_address(address: StackAddress, *, as_json: bool) -> None:
    if as_json:
        screen.print_json(address.model_dump(by_alias=True))
    else:
        screen.print_address(address)


def _say(words: str) -> None:
    screen.err.print(words, soft_wrap=True, markup=False, highlight=False)


def _folder(data_dir: Path | None) -> DataDir:
    return DataDir(data_dir or data_dir_of(os.environ))


def _help(sentence: str, example: str) -> str:
    return f"{sentence}\n\nExample: {example}"


@contextmanager
def _one_clear_line() -> Iterator[None]:
    try:
        yield
    except LocalError as no:
        screen.err.print(str(no), style="red", soft_wrap=True, markup=False, highlight=False)
        raise typer.Exit(no.exit_code) from None
