"""Lists: newest first, `limit`, `starting_after`, `ending_before`, `has_more`."""

import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stripe_sandbox.database import Database
from stripe_sandbox.errors import Json, wrong_parameter

LIMIT_DEFAULT = 10
SEQ_MAX = 2**62
COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True)
class Window:
    """One page of a list: at most `limit` rows between two places; `backwards` takes those next to the older end."""

    limit: int
    above: int
    below: int
    backwards: bool


def read_window(params: Json, seq_of: Callable[[str, str], int]) -> Window:
    """Return the page that a request asks for.

    Args:
        params: the request's, read by `params.PAGING`.
        seq_of: gives the place of the object with an id; its second argument is the parameter's name.

    Raises:
        ApiError: 400 for two cursors at once, and what `seq_of` raises.
    """
    limit: int = params.get("limit", LIMIT_DEFAULT)
    after, before = params.get("starting_after"), params.get("ending_before")
    if after is not None and before is not None:
        message = "You may only specify one of these parameters: starting_after, ending_before."
        raise wrong_parameter(message, param="ending_before")
    if before is not None:
        return Window(limit, above=seq_of(before, "ending_before"), below=SEQ_MAX, backwards=True)
    below = SEQ_MAX if after is None else seq_of(after, "starting_after")
    return Window(limit, above=0, below=below, backwards=False)


def read_page(
    database: Database, table: str, conditions: Mapping[str, object], window: Window
) -> tuple[list[sqlite3.Row], bool]:
    """Return a page's rows, newest first, and whether there are more in the direction of paging.

    Args:
        database: the file.
        table: one of ours, with a `seq` column.
        conditions: SQL conditions and the value that each names (`:name`); None for one without.
        window: which page.
    """
    words = ["SELECT * FROM", table, "WHERE", " AND ".join(["seq > :above", "seq < :below", *conditions])]
    words += ["ORDER BY seq", "ASC" if window.backwards else "DESC", "LIMIT :limit"]
    values: dict[str, object] = {"above": window.above, "below": window.below, "limit": window.limit + 1}
    for condition, value in conditions.items():
        values.update(dict.fromkeys(re.findall(r":(\w+)", condition), value))
    rows = database.rows(" ".join(words), **values)
    page = rows[: window.limit]
    return page[::-1] if window.backwards else page, len(rows) > window.limit


def created_conditions(period: Json | None) -> dict[str, object]:
    """Return the conditions of a `created` filter."""
    return {f"created {COMPARISONS[bound]} :created_{bound}": instant for bound, instant in (period or {}).items()}


def list_object(url: str, data: list[Json], *, has_more: bool) -> Json:
    """Return Stripe's list envelope."""
    return {"object": "list", "url": url, "has_more": has_more, "data": data}
