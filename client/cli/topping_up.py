"""`grantflow topup`: show, on, off, options, buy, history."""

from typing import Annotated

import typer

from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Cursor, Limit, Token, help_with, whole_number
from client.cli.screen import complain, money, note, print_fields, print_json, print_table, say
from client.cli.speaking import REFUSED, WRONG_USAGE, choose_operation_id, speak
from client.http import GrantflowClient
from client.payments import KEEP, AutoTopup, MonthlyLimit, Payment, Purchase

app = typer.Typer(help="Buying credits: automatically, or now.", no_args_is_help=True)

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
NO_LIMIT = "none"


def _limit(text: str) -> str:
    return text if text == NO_LIMIT else str(whole_number(text))


@app.command(
    help=help_with("Show an account's auto top-up, and how the latest one went.", "grantflow topup show 0198c5…")
)
def show(
    account_id: AccountId, *, as_json: AsJson = False, api_url: ApiUrl = DEFAULT_API_URL, token: Token = ""
) -> None:
    """Shows the settings, what they have cost, and the latest result."""
    _show(speak(api_url, token, lambda client: client.auto_topup(account_id)), as_json=as_json)


@app.command(
    help=help_with(
        "Switch auto top-up on, or change it. What is not named stays as it was chosen before.",
        "grantflow topup on 0198c5… --threshold 500 --target 2000 --monthly-limit 5000",
    )
)
def on(
    account_id: AccountId,
    threshold: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="CREDITS", help="Below so many it buys.")
    ] = None,
    target: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="CREDITS", help="It brings the balance back to so many.")
    ] = None,
    monthly_limit: Annotated[
        str | None,
        typer.Option(parser=_limit, metavar="CENTS", help=f"What it may cost a month; {NO_LIMIT} takes it away."),
    ] = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Switches it on and shows what will happen."""
    limit: MonthlyLimit = KEEP
    if monthly_limit is not None:
        limit = None if monthly_limit == NO_LIMIT else int(monthly_limit)

    async def switch(client: GrantflowClient) -> AutoTopup | None:
        below, up_to = threshold, target
        if below is None or up_to is None:
            before = await client.auto_topup(account_id)
            below = before.threshold if below is None else below
            up_to = before.target if up_to is None else up_to
        if below is None or up_to is None:
            return None
        return await client.set_auto_topup(
            account_id, enabled=True, threshold=below, target=up_to, monthly_limit_cents=limit
        )

    chosen = speak(api_url, token, switch)
    if chosen is None:
        complain("--threshold and --target are needed: nothing was chosen for this account before")
        raise typer.Exit(WRONG_USAGE)
    _show(chosen, as_json=as_json)


@app.command(help=help_with("Switch auto top-up off; what was chosen is kept.", "grantflow topup off 0198c5…"))
def off(
    account_id: AccountId, *, as_json: AsJson = False, api_url: ApiUrl = DEFAULT_API_URL, token: Token = ""
) -> None:
    """Switches it off and shows the settings."""
    _show(speak(api_url, token, lambda client: client.set_auto_topup(account_id, enabled=False)), as_json=as_json)


@app.command(
    help=help_with(
        "Buy credits now: with the account's card, or on the page that is printed. Exit code 1 where it failed.",
        "grantflow topup buy 0198c5… 2000",
    )
)
def buy(
    account_id: AccountId,
    credits: Annotated[int, typer.Argument(parser=whole_number, metavar="CREDITS", help="How many.")],
    operation_id: Annotated[
        str | None,
        typer.Option(help="Names the purchase for ever: a repeat has no second effect. Made up when not given."),
    ] = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Buys the credits and shows how it stands."""
    chosen = choose_operation_id(operation_id)
    bought = speak(api_url, token, lambda client: client.buy(account_id, operation_id=chosen, credits=credits))
    if as_json:
        print_json(bought.to_wire())
    else:
        _show_purchase(bought)
    if bought.status == "failed":
        raise typer.Exit(REFUSED)


@app.command(help=help_with("Show what an account can buy, and for how much.", "grantflow topup options 0198c5…"))
def options(
    account_id: AccountId, *, as_json: AsJson = False, api_url: ApiUrl = DEFAULT_API_URL, token: Token = ""
) -> None:
    """Prints numbers of credits to choose from, and the bounds of any other."""
    found = speak(api_url, token, lambda client: client.purchase_options(account_id))
    if as_json:
        print_json(found.to_wire())
        return
    rows = ((each.credits, money(each.amount_cents, found.currency)) for each in found.options)
    print_table(("credits", "price"), rows, empty="nothing to choose from")
    say(f"Or any number from {found.min_credits:,} to {found.max_credits:,}.")
    say(f"Buy: `grantflow topup buy {account_id} CREDITS`")


@app.command(help=help_with("List an account's payments, newest first.", "grantflow topup history 0198c5… --limit 20"))
def history(
    account_id: AccountId,
    limit: Limit = 50,
    cursor: Cursor = None,
    *,
    as_json: AsJson = False,
    api_url: ApiUrl = DEFAULT_API_URL,
    token: Token = "",
) -> None:
    """Prints a page of purchases and auto top-ups."""
    page = speak(api_url, token, lambda client: client.purchases(account_id, limit=limit, cursor=cursor))
    if as_json:
        print_json(page.to_wire())
        return
    columns = ("at", "kind", "credits", "price", "status", "operation id", "why, or where to go on")
    rows = (
        (
            each.created_at,
            each.kind,
            each.credits,
            money(each.amount_cents, each.currency),
            each.status,
            each.operation_id,
            _why(each),
        )
        for each in page.data
    )
    print_table(columns, rows, empty="no payments")
    if page.next_cursor is not None:
        note(f"more: --cursor {page.next_cursor}")


def _why(payment: Payment) -> str | None:
    error = f"{payment.error}: {payment.message}" if payment.error and payment.message else payment.error
    return " ".join(part for part in (error, payment.checkout_url) if part) or None


def _show_purchase(bought: Purchase) -> None:
    if bought.replayed:
        note("This was bought before; this is how it stands.")
    print_fields(
        {
            "operation id": bought.operation_id,
            "credits": bought.credits,
            "price": money(bought.amount_cents, bought.currency),
            "status": bought.status,
        }
    )
    # Links stand in lines of their own: a table would break them.
    match bought.status:
        case "paid" if bought.receipt_url:
            say(f"Receipt: {bought.receipt_url}")
        case "requires-action":
            say("To pay, open this page:")
            say(bought.checkout_url or "(it is not known yet: ask again with the same operation id)")
        case "processing":
            say("The bank has not answered yet. The credits come when it does; `grantflow topup history` shows it.")
        case "failed":
            complain(bought.message or f"The purchase failed: {bought.error}.")


def _show(chosen: AutoTopup, *, as_json: bool) -> None:
    if as_json:
        print_json(chosen.to_wire())
        return
    limit = chosen.monthly_limit_cents
    fields: dict[str, object] = {
        "auto top-up": "on" if chosen.enabled else "off",
        "below": chosen.threshold,
        "up to": chosen.target,
        "monthly limit": NO_LIMIT if limit is None else money(limit, chosen.currency),
        "spent this cycle": money(chosen.monthly_spent_cents, chosen.currency),
        "cycle began": chosen.cycle_start,
    }
    if chosen.disabled_reason is not None:
        fields |= {"switched off by": chosen.disabled_reason, "at": chosen.disabled_at, "why": chosen.disabled_message}
    if chosen.not_before is not None:
        fields["not before"] = chosen.not_before
    last = chosen.last_result
    if last is not None:
        price = money(last.amount_cents, last.currency)
        fields["the latest"] = f"{last.credits:,} credits for {price}: {last.state} ({last.operation_id})"
        if last.message:
            fields["it says"] = last.message
    print_fields(fields)
    say(chosen.sentence)
    if last is not None and last.action_url:
        say(f"Mend the latest at {last.action_url}")
    if chosen.warning is not None:
        note(chosen.warning)
