"""The options that all commands share."""

import re
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import typer

DEFAULT_API_URL = "http://127.0.0.1:8080"


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter(f"must be an address such as {DEFAULT_API_URL}")
    return url


ApiUrl = Annotated[
    str,
    typer.Option(
        "--api-url",
        envvar="GRANTFLOW_API_URL",
        callback=_web_address,
        help="Where the API is.",
        rich_help_panel="Connection",
    ),
]
Token = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="GRANTFLOW_ADMIN_TOKEN",
        show_envvar=True,
        help="The admin token, or an account's.",
        rich_help_panel="Connection",
    ),
]
AccountToken = Annotated[
    str,
    typer.Option("--token", envvar="GRANTFLOW_TOKEN", help="A token of the account.", rich_help_panel="Connection"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="How many to show at most.")]
Cursor = Annotated[str | None, typer.Option("--cursor", help="Where the last page ended.")]


def help_with(sentence: str, example: str) -> str:
    """The help of a command: what it does, and how it is called."""
    return f"{sentence}\n\nExample: {example}"


def instant(text: str) -> datetime:
    """The instant in an argument, which must say its offset."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise typer.BadParameter("must be an instant with its offset, such as 2027-01-31T12:00:00Z")
    return found


def whole_number(text: str) -> int:
    """The number in an argument. Typer itself would take 5.0 for 5."""
    if not re.fullmatch(r"[+-]?\d{1,40}", text):
        raise typer.BadParameter("must be a whole number")
    return int(text)
