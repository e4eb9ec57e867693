"""What commands print: tables for people, JSON for programs. NO_COLOR is honoured by rich itself."""

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.console import Console
from rich.table import Table


def print_json(fields: object) -> None:
    """Prints one JSON value on standard output."""
    sys.stdout.write(json.dumps(fields, indent=2) + "\n")
    sys.stdout.flush()


def print_fields(fields: Mapping[str, object]) -> None:
    """Prints names and values, one pair in a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, _cell(value))
    Console().print(table)


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]], *, empty: str) -> None:
    """Prints rows under their columns, or ``empty`` where there are none."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    if table.row_count:
        Console().print(table)
    else:
        say(empty)


def money(cents: int, currency: str) -> str:
    """An amount for people: ``12.50 USD``."""
    return f"{cents // 100:,}.{cents % 100:02} {currency.upper()}"


def say(words: str) -> None:
    """Prints a sentence on standard output, as it is."""
    Console(highlight=False, soft_wrap=True).print(words, markup=False)


def note(words: str) -> None:
    """Prints a sentence beside the answer, where it is in no program's way."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(words, markup=False)


def complain(words: str) -> None:
    """Prints what did not work."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(words, style="red", markup=False)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S UTC")
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("[", "\\[")
