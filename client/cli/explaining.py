"""`grantflow explain`: why an account has, or had, what it has."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import typer

from client.answers import Explanation
from client.cli.history import print_entries
from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Cursor, Limit, Token, help_with, instant
from client.cli.screen import print_fields, print_json, print_table, say
from client.cli.speaking import speak


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "explain",
        help=help_with(
            "Explain a balance, now or at a past instant, by the entries that make it.",
            "grantflow explain 0198c5… --at 2027-01-31T12:00:00Z",
        ),
    )(explain)


def explain(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    at: Annotated[
        datetime | None, typer.Option(parser=instant, metavar="INSTANT", help="When; now, unless told.")
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Shows the balance, how it sums up, and the latest entries that count."""
    found = speak(api_url, token, lambda client: client.explain(account_id, at=at, limit=limit, cursor=cursor))
    if as_json:
        print_json(found.to_wire())
    else:
        _show(found)


def _show(found: Explanation) -> None:
    print_fields(
        {
            "at": found.at,
            "to spend": found.remaining_balance,
            **{name: credits for name, credits in (("held", found.held), ("debt", found.debt)) if credits},
            "net": found.net_balance,
            "used this cycle": found.usage,
            "cycle began": found.cycle_start,
        }
    )
    say("\nhow it sums up")
    rows = [(total.kind, f"{total.credits:+,}", total.entries) for total in found.by_kind]
    due = [(f"{total.kind}, not booked yet", f"{total.credits:+,}", None) for total in found.not_booked]
    print_table(("kind", "credits", "entries"), [*rows, *due, ("net", f"{found.net_balance:,}", None)], empty="")
    say(f"\ngrants with something left: {found.grants_left:,}")
    columns = ("type", "left", "of", "held", "how", "operation id")
    print_table(
        columns,
        (
            (each.type, each.balance, each.principal, each.held, _signed(each.by_kind), each.operation_id)
            for each in found.grants[:20]
        ),
        empty="none",
    )
    say("\nthe latest entries that count")
    print_entries(found.entries)


def _signed(by_kind: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {credits:+,}" for kind, credits in by_kind.items())
