"""`grantflow verify`: whether the books add up."""

from collections.abc import Mapping

import typer

from client.cli.options import DEFAULT_API_URL, ApiUrl, AsJson, Token, help_with
from client.cli.screen import complain, note, print_json, print_table, say
from client.cli.speaking import REFUSED, speak
from client.http import GrantflowClient
from client.reports import PATIENCE_SECONDS, Mismatch, Verification

# Nobody reads more of them on a screen; --json has them all.
MISMATCHES_SHOWN = 50


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "verify",
        help=help_with(
            "Add up all books anew from the journal; exit code 1 if something does not add up.", "grantflow verify"
        ),
    )(verify)


def verify(*, as_json: AsJson = False, api_url: ApiUrl = DEFAULT_API_URL, token: Token = "") -> None:
    """Walks through all accounts and shows what they sum to, and what is wrong."""

    async def walk(client: GrantflowClient) -> Verification:
        whole = Verification()
        async for page in client.verification_pages():
            whole.take_in(page)
            note(f"{whole.accounts:,} accounts, {whole.entries:,} entries")
        return whole

    whole = speak(api_url, token, walk, timeout_seconds=PATIENCE_SECONDS)
    if as_json:
        print_json(whole.to_wire())
    else:
        _show(whole)
    if not whole.adds_up:
        raise typer.Exit(REFUSED)


def _show(whole: Verification) -> None:
    names = [name for name in sorted(whole.totals) if name]
    columns = [*((name, whole.totals[name]) for name in names), ("in all", whole.totals[""])]
    print_table(
        ("credits", *(name for name, _ in columns)),
        ((words, *(sums[key] for _, sums in columns)) for words, key in _LINES),
        empty="",
    )
    issued, come_to = whole.totals[""]["issued"], _come_to(whole.totals[""])
    say(f"\nissued {issued:,}; spent + expired + revoked + reversed + live - owed = {come_to:,}")
    if whole.adds_up:
        say("everything adds up")
        return
    for each in whole.mismatches[:MISMATCHES_SHOWN]:
        complain(_words(each))
    more = len(whole.mismatches) - MISMATCHES_SHOWN
    if more + whole.mismatches_left_out > 0:
        complain(f"and {max(0, more) + whole.mismatches_left_out:,} more")


_LINES = (
    ("issued", "issued"),
    ("spent", "spent"),
    ("expired", "expired"),
    ("revoked", "revoked"),
    ("reversed", "reversed"),
    ("live", "live"),
    ("  of it held", "held"),
    ("  of it expired, not booked yet", "due"),
    ("owed", "debt"),
)


def _come_to(sums: Mapping[str, int]) -> int:
    left_for_good = sums["spent"] + sums["expired"] + sums["revoked"] + sums["reversed"]
    return left_for_good + sums["live"] - sums["debt"]


def _words(wrong: Mismatch) -> str:
    whose = f"account {wrong.account_id}" + (f", grant {wrong.grant_id}" if wrong.grant_id else "")
    numbers = "" if wrong.found is None else f": {wrong.found:,}"
    if wrong.expected is not None and wrong.found is not None:
        numbers = f": {wrong.found:,}, and should be {wrong.expected:,}"
    return f"{wrong.check}: {whose}" + (f", {wrong.subject}" if wrong.subject else "") + numbers
