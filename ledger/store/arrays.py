"""Rows for a statement over arrays: one array a column.

The driver looks at each element of an array in Python, and most columns of a batch say the same in every row (its kind,
its actor, its price; on a hot account the account and the grant): such a column is sent as an array of one element.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> tuple[Sequence[Any], ...]:
    """The rows' columns; ``width`` of them, also where there is no row."""
    return tuple(zip(*rows, strict=True)) if rows else ((),) * width


def thrifty_columns(rows: Sequence[tuple[Any, ...]], width: int) -> tuple[Sequence[Any], ...]:
    """The same for :func:`rows_from`: columns that say the same in every row have one element, but for the first."""
    if not rows:
        return columns(rows, width)
    first, *others = columns(rows, width)
    return first, *(column[:1] if column.count(column[0]) == len(column) else column for column in others)


def rows_from(parameter: int, types: Mapping[str, str]) -> str:
    """SQL for the rows of :func:`thrifty_columns`, with these columns and types.

    The arrays are the statement's parameters from number ``parameter`` on. The first column can't be thrifty: its
    length is the number of rows.
    """
    arrays = [f"${parameter + place}::{kind}[]" for place, kind in enumerate(types.values())]
    first, *others = types
    values = (
        f"CASE WHEN cardinality({array}) = 1 THEN ({array})[1] ELSE sent.{name} END AS {name}"
        for name, array in zip(others, arrays[1:], strict=True)
    )
    return f"SELECT sent.{first}, {', '.join(values)} FROM unnest({', '.join(arrays)}) AS sent ({', '.join(types)})"  # noqa: S608 - our own words
