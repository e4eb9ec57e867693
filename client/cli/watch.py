"""`grantflow watch`: an account's balance as it changes."""

import asyncio
import json
import sys
from typing import Annotated

import typer

from client.answers import BalanceNews
from client.cli.options import DEFAULT_API_URL, AccountToken, ApiUrl, AsJson, help_with
from client.cli.screen import complain, say
from client.cli.speaking import WRONG_USAGE, run
from client.socket import Event, GrantflowSocket

REACHED_SECONDS = 3.0


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "watch", help=help_with("Show every change of a balance, until Ctrl-C.", "grantflow watch --token gf_…")
    )(watch)


def watch(
    count: Annotated[int | None, typer.Option("--count", min=1, help="End after so many events.")] = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: AccountToken = "",
) -> None:
    """Prints a line for each event; with --json, one object in a line."""
    if not token:
        complain("--token: a token of the account is needed (or GRANTFLOW_TOKEN); `grantflow account token` makes one")
        raise typer.Exit(WRONG_USAGE)

    async def follow() -> None:
        seen = 0
        async with GrantflowSocket(api_url, token, answer_seconds=REACHED_SECONDS) as socket:
            await socket.ping()  # once there, it comes back by itself; but somebody must have been there
            async for event in socket.events():
                _print(event, as_json=as_json)
                seen += 1
                if seen == count:
                    return

    try:
        run(follow)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(0) from None


def _print(event: Event, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(event.to_wire()) + "\n")
        sys.stdout.flush()
    elif isinstance(event, BalanceNews):
        added = f", {event.auto_topup_added:,} just bought" if event.auto_topup_added else ""
        debt = f", {event.debt:,} owed" if event.debt else ""
        say(f"change {event.seq}: {event.remaining_balance:,} credits to spend{debt}{added}")
        for notice in event.notifications:
            say(f"{notice.kind}: {notice.message}")
    else:
        where = f" ({event.action_url})" if event.action_url else ""
        say(f"{event.error}: {event.message}{where}")
