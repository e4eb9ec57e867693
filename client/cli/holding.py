"""`grantflow hold`: place, extend, settle, release."""

from typing import Annotated

import typer

from client.answers import Hold
from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Token, help_with, whole_number
from client.cli.screen import note, print_fields, print_json
from client.cli.speaking import choose_operation_id, speak

app = typer.Typer(help="Credits set aside for work whose cost is not known yet.", no_args_is_help=True)

OperationId = Annotated[str, typer.Argument(metavar="OPERATION", help="The hold's operation id.")]
Credits = Annotated[int, typer.Argument(parser=whole_number, metavar="CREDITS", help="How many.")]
Seconds = Annotated[
    int, typer.Argument(parser=whole_number, metavar="SECONDS", help="How long from now; a day in all at most.")
]
Account = Annotated[
    str | None, typer.Option("--account", help="Whose hold, where several accounts have one of this operation id.")
]


@app.command(help=help_with("Set an account's credits aside.", "grantflow hold place 0198c5… 100 600"))
def place(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    credits: Credits,
    seconds: Seconds,
    operation_id: Annotated[
        str | None,
        typer.Option(help="Names the hold for ever: a repeat has no second effect. Made up when not given."),
    ] = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Places the hold and shows it."""
    chosen = choose_operation_id(operation_id)
    hold = speak(
        api_url,
        token,
        lambda client: client.hold(account_id, operation_id=chosen, credits=credits, ttl_seconds=seconds),
    )
    if hold.replayed:
        note("This hold was placed before; nothing was held now.")
    _show(hold, as_json=as_json)


@app.command(help=help_with("Let a hold live longer.", "grantflow hold extend job-7 600"))
def extend(
    operation_id: OperationId,
    seconds: Seconds,
    account: Account = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Extends the hold and shows it."""
    hold = speak(
        api_url,
        token,
        lambda client: client.extend_hold(operation_id, ttl_seconds=seconds, account_id=account),
    )
    _show(hold, as_json=as_json)


@app.command(help=help_with("End a hold with what the work has cost.", "grantflow hold settle job-7 42"))
def settle(
    operation_id: OperationId,
    credits: Credits,
    account: Account = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Settles the hold and shows who paid."""
    settled = speak(
        api_url, token, lambda client: client.settle_hold(operation_id, credits=credits, account_id=account)
    )
    if as_json:
        print_json(settled.to_wire())
        return
    if settled.replayed:
        note("This hold was settled before; nothing was spent now.")
    paid = (f"{each.credits:,} by {each.operation_id} ({each.type})" for each in settled.allocations)
    print_fields(
        {
            "operation id": settled.operation_id,
            "consumed": f"{settled.consumed:,}",
            "paid": ", ".join(paid) or None,
            "as debt": f"{settled.debt_incurred:,}" if settled.debt_incurred else None,
            "given back": f"{settled.given_back:,}",
            "left": f"{settled.remaining_balance:,}",
            "debt": f"{settled.debt:,}",
        }
    )


@app.command(help=help_with("End a hold with nothing spent.", "grantflow hold release job-7"))
def release(
    operation_id: OperationId,
    account: Account = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Releases the hold and shows what came back."""
    released = speak(api_url, token, lambda client: client.release_hold(operation_id, account_id=account))
    if as_json:
        print_json(released.to_wire())
        return
    if released.replayed:
        note("This hold was released before; nothing came back now.")
    print_fields(
        {
            "operation id": released.operation_id,
            "given back": f"{released.given_back:,}",
            "left": f"{released.remaining_balance:,}",
            "debt": f"{released.debt:,}",
        }
    )


def _show(hold: Hold, *, as_json: bool) -> None:
    if as_json:
        print_json(hold.to_wire())
        return
    print_fields(
        {
            "operation id": hold.operation_id,
            "holds": f"{hold.credits:,}",
            "until": hold.expires_at,
            "left": f"{hold.remaining_balance:,}",
            "held in all": f"{hold.held:,}",
        }
    )
