"""`grantflow history`: the journal of an account."""

import sys
from datetime import datetime
from typing import Annotated

import typer

from client.answers import Entry, Page
from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Cursor, Limit, Token, help_with, instant
from client.cli.screen import complain, note, print_json, print_table
from client.cli.speaking import WRONG_USAGE, speak
from client.http import GrantflowClient


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "history",
        help=help_with("Show an account's journal, the latest entries first.", "grantflow history 0198c5… --limit 20"),
    )(history)


def history(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    limit: Limit = 50,
    cursor: Cursor = None,
    since: Annotated[
        datetime | None, typer.Option("--from", parser=instant, metavar="INSTANT", help="What counts from then on.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", parser=instant, metavar="INSTANT", help="What counts before then.")
    ] = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this kind, such as consumed; may be given again.")
    ] = None,
    *,
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Begin with the oldest.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="All of it as CSV, the oldest first.")] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Prints a page of entries; with --csv all of them."""
    if as_csv and (as_json or cursor):
        complain("--csv prints everything, from the first entry on: it goes without --json and --cursor")
        raise typer.Exit(WRONG_USAGE)
    if as_csv:

        async def print_csv(client: GrantflowClient) -> None:
            async for line in client.entries_csv(account_id, since=since, until=until, kinds=kinds or ()):
                sys.stdout.write(f"{line}\n")

        speak(api_url, token, print_csv)
        return
    page = speak(
        api_url,
        token,
        lambda client: client.entries(
            account_id,
            newest_first=not oldest_first,
            since=since,
            until=until,
            kinds=kinds or (),
            limit=limit,
            cursor=cursor,
        ),
    )
    if as_json:
        print_json(page.to_wire())
        return
    print_entries(page)


def print_entries(page: Page[Entry]) -> None:
    """Prints entries for people, and where the next page begins."""
    columns = ("at", "kind", "credits", "balance", "type", "operation id", "actor")
    rows = (
        (each.at, each.kind, f"{each.credits:+,}", each.balance_after, each.grant_type, each.operation_id, each.actor)
        for each in page.data
    )
    print_table(columns, rows, empty="no entries")
    if page.next_cursor is not None:
        note(f"more: --cursor {page.next_cursor}")
