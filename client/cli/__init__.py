"""The command line `grantflow`, as far as it speaks to the API. The local stack adds its own commands to ``app``."""

import typer

from client.cli import (
    accounts,
    balance,
    consuming,
    explaining,
    granting,
    grants,
    history,
    holding,
    reports,
    topping_up,
    verifying,
    watch,
)

app = typer.Typer(
    name="grantflow",
    help="Prepaid credits: accounts, grants, balances.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.add_typer(accounts.app, name="account")
app.add_typer(grants.app, name="grants")
app.add_typer(holding.app, name="hold")
app.add_typer(topping_up.app, name="topup")
granting.add_to(app)
consuming.add_to(app)
balance.add_to(app)
history.add_to(app)
explaining.add_to(app)
verifying.add_to(app)
reports.add_to(app)
watch.add_to(app)

__all__ = ["app"]
