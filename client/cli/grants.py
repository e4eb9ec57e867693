"""`grantflow grants`: list, show, stuck, retry, abandon, revoke."""

from typing import Annotated

import typer

from client.answers import Grant, OrderTaken, Page
from client.cli.granting import show_grant
from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Cursor, Limit, Token, help_with
from client.cli.screen import note, print_fields, print_json, print_table
from client.cli.speaking import speak

app = typer.Typer(help="Grants, and those that need an operator.", no_args_is_help=True)

OperationId = Annotated[str, typer.Argument(metavar="OPERATION", help="The grant's operation id.")]


@app.command("list", help=help_with("List an account's grants, oldest first.", "grantflow grants list 0198c5…"))
def list_grants(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    limit: Limit = 50,
    cursor: Cursor = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Prints a page of grants."""
    page = speak(api_url, token, lambda client: client.grants(account_id, limit=limit, cursor=cursor))
    if as_json:
        print_json(page.to_wire())
        return
    columns = ("operation id", "type", "left", "of", "expires", "stage")
    rows = ((g.operation_id, g.type, g.balance, g.principal, g.expires_at or "never", g.stage) for g in page.data)
    print_table(columns, rows, empty="no grants")
    _mention_next(page)


@app.command(help=help_with("Show one grant.", "grantflow grants show welcome-ada"))
def show(
    operation_id: OperationId, *, as_json: AsJson = False, api_url: ApiUrl = DEFAULT_API_URL, token: Token = ""
) -> None:
    """Prints the grant."""
    grant = speak(api_url, token, lambda client: client.find_grant(operation_id))
    if as_json:
        print_json(grant.to_wire())
    else:
        show_grant(grant)


@app.command(help=help_with("List the grants that Stripe refused for good.", "grantflow grants stuck --json"))
def stuck(
    limit: Limit = 50,
    cursor: Cursor = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Prints the stuck grants, oldest first, with the reason and the page of their workflow."""
    page = speak(api_url, token, lambda client: client.grants_at("stuck", limit=limit, cursor=cursor))
    if as_json:
        print_json(page.to_wire())
        return
    columns = ("operation id", "account", "credits", "since", "reason", "temporal")
    rows = ((g.operation_id, g.account_id, g.principal, g.stage_since, g.reason, g.temporal_ui_url) for g in page.data)
    print_table(columns, rows, empty="no grant is stuck")
    _mention_next(page)


@app.command(help=help_with("Try Stripe again for a grant.", "grantflow grants retry welcome-ada"))
def retry(
    operation_id: OperationId,
    reason: Annotated[str | None, typer.Option(help="Why; it is noted with the grant.")] = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Gives the order and shows that it was taken."""
    taken = speak(api_url, token, lambda client: client.retry_grant(operation_id, reason=reason))
    _show_taken(taken, as_json=as_json)


@app.command(
    help=help_with("Stop mirroring a grant; the credits stay.", 'grantflow grants abandon welcome-ada --reason "…"')
)
def abandon(
    operation_id: OperationId,
    reason: Annotated[str, typer.Option(help="Why; it is noted with the grant.")],
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Gives the order and shows that it was taken."""
    taken = speak(api_url, token, lambda client: client.abandon_grant(operation_id, reason=reason))
    _show_taken(taken, as_json=as_json)


@app.command(
    help=help_with("Take back what is unspent of a grant.", 'grantflow grants revoke welcome-ada --reason "a mistake"')
)
def revoke(
    operation_id: OperationId,
    reason: Annotated[str, typer.Option(help="Why; it goes into the journal.")],
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Revokes and shows what came back."""
    revocation = speak(api_url, token, lambda client: client.revoke_grant(operation_id, reason=reason))
    if as_json:
        print_json(revocation.to_wire())
        return
    if revocation.replayed:
        note("This grant was revoked before; nothing was taken now.")
    print_fields({"grant": operation_id, "revoked": revocation.revoked, "reason": revocation.reason})


def _show_taken(taken: OrderTaken, *, as_json: bool) -> None:
    if as_json:
        print_json(taken.to_wire())
    else:
        print_fields({"told": taken.workflow_id, "which was": taken.stage})


def _mention_next(page: Page[Grant]) -> None:
    if page.next_cursor is not None:
        note(f"more: --cursor {page.next_cursor}")
