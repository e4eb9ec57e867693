"""What the local commands show: tables for people, one JSON object for programs."""

import json
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from local.records import PartState, StackAddress

_COLOURS: Mapping[PartState, str] = {
    "starting": "yellow",
    "running": "green",
    "restarting": "yellow",
    "stopped": "red",
}

_WIDTH_OF_URLS = 160

out = Console()
err = Console(stderr=True)


def print_json(fields: object) -> None:
    """Print one JSON value on standard output, for programs."""
    sys.stdout.write(json.dumps(fields, indent=2) + "\n")
    sys.stdout.flush()


def print_address(address: StackAddress) -> None:
    """Print the table of what runs and where it is reached."""
    table = _table("part", "where", "pid")
    pids = {name: str(pid) if pid else "elsewhere" for name, pid in address.pids.items()}
    table.add_row("page", address.web_url, "")
    table.add_row("api", address.api_url, pids["api"])
    table.add_row("web socket", address.ws_url, "")
    table.add_row("worker metrics", address.worker_metrics_url, pids["worker"])
    table.add_row("temporal", f"{address.temporal_address} (namespace {address.temporal_namespace})", pids["temporal"])
    if address.temporal_ui_url:
        table.add_row("temporal ui", address.temporal_ui_url, "")
    table.add_row("stripe", address.stripe_url, pids["stripe"])
    table.add_row("postgres", address.database_url, pids["postgres"])
    table.add_row("admin token", address.admin_token, "")
    table.add_row("data", address.data_dir, "")
    table.add_row("logs", address.log_dir, "")
    # A URL or a token that is cut into two lines cannot be copied: let the terminal itself wrap it.
    Console(width=max(out.width, _WIDTH_OF_URLS)).print(table)


def print_status(parts: Sequence[Mapping[str, object]]) -> None:
    """Print the table of parts and how they are."""
    table = _table("part", "state", "pid", "restarts", "last exit", "where")
    for part in parts:
        state = str(part["state"])
        colour = _COLOURS.get(state, "red")  # type: ignore[call-overload]
        cells = (part["pid"] or "", part["restarts"], "" if part["lastExit"] is None else part["lastExit"], part["url"])
        table.add_row(str(part["name"]), f"[{colour}]{state}[/{colour}]", *(str(cell) for cell in cells))
    out.print(table)


def print_checks(checks: Sequence[Mapping[str, object]]) -> None:
    """Print the table of what `doctor` found."""
    table = _table("", "what", "found", "what to do")
    for check in checks:
        mark = {"ok": "[green]✓[/green]", "optional": "[yellow]·[/yellow]"}.get(str(check["state"]), "[red]✗[/red]")
        table.add_row(mark, str(check["name"]), str(check["found"]), str(check["todo"]))
    out.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
