"""`grantflow report`: reports on all accounts."""

import csv
import sys
from collections import Counter
from datetime import datetime
from typing import Annotated

import typer

from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Token, help_with, instant
from client.cli.screen import complain, note, print_json, print_table, say
from client.cli.speaking import WRONG_USAGE, speak
from client.http import GrantflowClient
from client.reports import PATIENCE_SECONDS, DeferredLine, add_up

app = typer.Typer(help="Reports on all accounts.", no_args_is_help=True)

_FIELDS = ("currency", "type", "month", "priceCents", "priceCredits", "grants", "credits", "cents")


def add_to(commands: typer.Typer) -> None:
    """Adds the commands."""
    commands.add_typer(app, name="report")


@app.callback()
def reports() -> None:
    """Reports on all accounts."""


@app.command(
    help=help_with(
        "What paid credits are unspent, and what they cost, by type, month and price.",
        "grantflow report deferred-revenue --at 2027-02-01T00:00:00Z --csv",
    )
)
def deferred_revenue(
    at: Annotated[
        datetime | None, typer.Option(parser=instant, metavar="INSTANT", help="As of when; now, unless told.")
    ] = None,
    *,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Walks through all accounts and prints the report."""
    if as_csv and as_json:
        complain("--csv goes without --json")
        raise typer.Exit(WRONG_USAGE)

    async def walk(client: GrantflowClient) -> tuple[datetime, list[DeferredLine]]:
        lines: list[DeferredLine] = []
        pages = 0
        async for page in client.deferred_revenue_pages(at=at):
            lines = add_up([*lines, *page.data])
            pages += 1
            if page.next_cursor is not None:
                note(f"{pages:,} pages of accounts")
        return page.at, lines

    as_of, lines = speak(api_url, token, walk, timeout_seconds=PATIENCE_SECONDS)
    if as_json:
        print_json({"at": as_of.isoformat().replace("+00:00", "Z"), "data": [line.to_wire() for line in lines]})
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, _FIELDS)
        writer.writeheader()
        writer.writerows(line.to_wire() for line in lines)
    else:
        _show(as_of, lines)


def _show(as_of: datetime, lines: list[DeferredLine]) -> None:
    columns = ("currency", "type", "month", "cents", "for credits", "grants", "unspent credits", "cents in all")
    print_table(columns, (tuple(line.to_wire().values()) for line in lines), empty="nothing is deferred")
    totals = Counter[str]()
    for line in lines:
        totals[line.currency] += line.cents
    for currency, cents in sorted(totals.items()):
        say(f"{currency}: {cents:,} cents deferred at {as_of:%Y-%m-%d %H:%M:%S} UTC")
