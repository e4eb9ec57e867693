"""`grantflow watch`: an account's balance as it changes."""

import asyncio
import json
import sys
from typing import Annotated

import typer

from client.answers import ActionFailed, BalanceNews
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
                _print(event, socket, as_json=as_json)
                seen += 1
                if seen == count:
                    return

    try:
        run(follow)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(0) from None


def _print(event: Event, socket: GrantflowSocket, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(event.to_wire()) + "\n")
        sys.stdout.flush()
    elif isinstance(event, BalanceNews):
        added = f", +{event.auto_topup_added:,} credits by auto top-up" if event.auto_topup_added else ""
        debt = f", {event.debt:,} owed" if event.debt else ""
        say(f"change {event.seq}: {event.remaining_balance:,} credits to spend{debt}{added}")
        for notice in event.notifications:
            say(f"{notice.kind}: {notice.message}")
    else:
        say(f"{event.error}: {event.message}{_where(event, socket.account_id or 'ACCOUNT')}")


def _where(event: ActionFailed, account_id: str) -> str:
    """Where it is mended: at the page that the service names, or by a command."""
    if event.action_url:
        return f" Mend it at {event.action_url}"
    command = _COMMANDS.get(event.error)
    return f" ({command.format(account=account_id)})" if command else ""


_NEW_CARD = "grantflow account payment-method {account} METHOD, then grantflow topup on {account}"
_COMMANDS = {
    "auto-topup-declined": _NEW_CARD,
    "auto-topup-no-payment-method": _NEW_CARD,
    "auto-topup-limit-reached": "grantflow topup on {account} --monthly-limit CENTS, or topup buy {account} N",
    "payment-reversed": "grantflow topup history {account}; grantflow topup on {account} switches it on again",
    "payment-declined": "grantflow account payment-method {account} METHOD, then grantflow topup buy {account} N",
}
