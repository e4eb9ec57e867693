"""`grantflow consume`: spends credits of an account."""

from typing import Annotated

import typer

from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Token, help_with, whole_number
from client.cli.screen import note, print_fields, print_json
from client.cli.speaking import choose_operation_id, speak


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("consume", help=help_with("Spend an account's credits.", "grantflow consume 0198c5… 25"))(consume)


def consume(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    credits: Annotated[int, typer.Argument(parser=whole_number, metavar="CREDITS", help="How many.")],
    operation_id: Annotated[
        str | None,
        typer.Option(help="Names the consumption for ever: a repeat has no second effect. Made up when not given."),
    ] = None,
    debt: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--debt", help="Book what the credits do not cover as debt, up to the account's cap.")
    ] = False,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Spends the credits and shows which grants paid."""
    chosen = choose_operation_id(operation_id)
    spent = speak(
        api_url,
        token,
        lambda client: client.consume(
            account_id,
            operation_id=chosen,
            credits=credits,
            on_insufficient="debt" if debt else None,
            description=description,
        ),
    )
    if as_json:
        print_json(spent.to_wire())
        return
    if spent.replayed:
        note("This was spent before; nothing was spent now.")
    paid = (f"{each.credits:,} by {each.operation_id} ({each.type})" for each in spent.allocations)
    print_fields(
        {
            "operation id": spent.operation_id,
            "consumed": f"{spent.consumed:,}",
            "paid": ", ".join(paid) or None,
            "as debt": f"{spent.debt_incurred:,}" if spent.debt_incurred else None,
            "left": f"{spent.remaining_balance:,}",
            "debt": f"{spent.debt:,}",
        }
    )
