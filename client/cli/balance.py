"""`grantflow balance`: what an account can spend."""

from typing import Annotated

import typer

from client.answers import Balance
from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Token, help_with
from client.cli.screen import print_fields, print_json
from client.cli.speaking import speak


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("balance", help=help_with("Show what an account can spend.", "grantflow balance 0198c5…"))(balance)


def balance(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Shows the balance and what makes it up."""
    found = speak(api_url, token, lambda client: client.balance(account_id))
    if as_json:
        print_json(found.to_wire())
    else:
        print_fields(balance_fields(found))


def balance_fields(found: Balance) -> dict[str, object]:
    """The balance for people; what is nothing is left out, but for the balance itself."""
    optional = {"debt": found.debt, "held": found.held, "used this cycle": found.usage}
    types = {f"  {name}": credits for name, credits in found.balance_breakdown.items() if credits}
    return {
        "to spend": found.remaining_balance,
        **types,
        **{name: credits for name, credits in optional.items() if credits},
        "next reset": found.next_quota_reset,
    }
