"""`grantflow account`: create, show, token, payment-method, notices."""

from enum import StrEnum
from typing import Annotated

import typer

from client.answers import Account
from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Cursor, Limit, Token, help_with, whole_number
from client.cli.screen import note, print_fields, print_json, print_table, say
from client.cli.speaking import speak

app = typer.Typer(help="Accounts of users and organizations.", no_args_is_help=True)

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]


class Kind(StrEnum):
    """What an account can be."""

    USER = "user"
    ORGANIZATION = "organization"


@app.command(help=help_with("Open an account.", "grantflow account create Ada --email ada@example.com"))
def create(
    name: Annotated[str, typer.Argument(help="The person's or the organization's name.")],
    kind: Annotated[Kind, typer.Option(help="A user gets free credits at once.")] = Kind.USER,
    email: Annotated[str | None, typer.Option(help="For receipts.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Your own id: a repeat finds the same account.")] = None,
    free_credits: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="CREDITS", help="Each month, instead of the default.")
    ] = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Opens an account and shows it."""
    account = speak(
        api_url,
        token,
        lambda client: client.create_account(
            kind, name, email=email, external_id=external_id, free_credits=free_credits
        ),
    )
    _show(account, as_json=as_json)


@app.command(help=help_with("Show an account.", "grantflow account show 0198c5…"))
def show(
    account_id: AccountId, *, as_json: AsJson = False, api_url: ApiUrl = DEFAULT_API_URL, token: Token = ""
) -> None:
    """Shows the account."""
    _show(speak(api_url, token, lambda client: client.account(account_id)), as_json=as_json)


@app.command(
    "token", help=help_with("Make a token of the account; it is shown once.", "grantflow account token 0198c5…")
)
def create_token(
    account_id: AccountId, *, as_json: AsJson = False, api_url: ApiUrl = DEFAULT_API_URL, token: Token = ""
) -> None:
    """Prints a new token."""
    made = speak(api_url, token, lambda client: client.create_token(account_id))
    if as_json:
        print_json({"token": made})
    else:
        say(made)


@app.command(
    help=help_with("Attach a card and make it the default.", "grantflow account payment-method 0198c5… pm_card_visa")
)
def payment_method(
    account_id: AccountId,
    payment_method_id: Annotated[str, typer.Argument(metavar="METHOD", help="Stripe's id of the payment method.")],
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Attaches the payment method and shows what Stripe made of it."""
    method = speak(api_url, token, lambda client: client.set_payment_method(account_id, payment_method_id))
    if as_json:
        print_json(method.to_wire())
    else:
        print_fields({"payment method": method.payment_method_id, "card": _card(method.brand, method.last4)})


@app.command(help=help_with("Show what an account was told, or is to be told.", "grantflow account notices 0198c5…"))
def notices(
    account_id: AccountId,
    limit: Limit = 50,
    cursor: Cursor = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Prints a page of notices, newest first."""
    page = speak(api_url, token, lambda client: client.notices(account_id, limit=limit, cursor=cursor))
    if as_json:
        print_json(page.to_wire())
        return
    rows = ((each.at, each.kind, each.message, each.told_at) for each in page.data)
    print_table(("at", "kind", "message", "told at"), rows, empty="no notices")
    if page.next_cursor is not None:
        note(f"more: --cursor {page.next_cursor}")


def _show(account: Account, *, as_json: bool) -> None:
    if as_json:
        print_json(account.to_wire())
        return
    method = account.payment_method
    print_fields(
        {
            "account": account.account_id,
            "name": account.name,
            "kind": account.kind,
            "e-mail": account.email,
            "external id": account.external_id,
            "stripe customer": account.stripe_customer_id,
            "card": None if method is None else _card(method.brand, method.last4),
            "next reset": account.next_quota_reset,
            "referral code": account.referral_code,
            "opened": account.created_at,
        }
    )


def _card(brand: str | None, last4: str | None) -> str:
    return " ".join(part for part in (brand, f"…{last4}" if last4 else None) if part) or "unknown to us"
