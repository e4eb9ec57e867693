"""`grantflow grant`: credits for an account."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from client.answers import Grant
from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Token, help_with, instant, whole_number
from client.cli.screen import note, print_fields, print_json
from client.cli.speaking import choose_operation_id, speak


class GrantType(StrEnum):
    """The types of grants, in the order in which they are spent."""

    FREE = "free"
    REFERRAL = "referral"
    ADMIN = "admin"
    ROLLOVER = "rollover"
    PURCHASE = "purchase"


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("grant", help=help_with("Grant credits; they are usable at once.", "grantflow grant 0198c5… 500"))(
        grant
    )


def grant(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    credits: Annotated[int, typer.Argument(parser=whole_number, metavar="CREDITS", help="How many.")],
    kind: Annotated[GrantType, typer.Option("--type", help="The type decides priority and expiry.")] = GrantType.ADMIN,
    operation_id: Annotated[
        str | None,
        typer.Option(help="Names the grant for ever: a repeat has no second effect. Made up when not given."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    expires_at: Annotated[
        datetime | None,
        typer.Option(parser=instant, metavar="INSTANT", help="For free and referral: an instant with its offset."),
    ] = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Grants the credits and shows the grant."""
    chosen = choose_operation_id(operation_id)
    granted = speak(
        api_url,
        token,
        lambda client: client.grant(
            account_id,
            operation_id=chosen,
            type=kind,
            credits=credits,
            description=description,
            expires_at=expires_at,
        ),
    )
    if as_json:
        print_json(granted.grant.to_wire())
        return
    if not granted.created:
        note("This grant was made before; nothing was granted now.")
    show_grant(granted.grant)


def show_grant(grant: Grant) -> None:
    """Prints a grant for people."""
    print_fields(
        {
            "operation id": grant.operation_id,
            "account": grant.account_id,
            "type": f"{grant.type} (priority {grant.priority})",
            "credits": f"{grant.balance:,} of {grant.principal:,} left",
            "expires": grant.expires_at or "never",
            "stage": grant.stage,
            "since": grant.stage_since,
            "reason": grant.reason,
            "stripe grant": grant.stripe_grant_id,
            "workflow": grant.workflow_id,
        }
    )
