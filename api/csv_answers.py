"""Answers as CSV (RFC 4180), row by row: they may be longer than memory."""

import csv
import io
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Header, Query
from fastapi.responses import StreamingResponse

MEDIA_TYPE = "text/csv"
ROWS_AT_ONCE = 500

# What OpenAPI says of an answer that can also be had as CSV.
OR_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}

# A spreadsheet takes a cell that begins so, or with the full-width forms of these, for a formula, and runs it
# (OWASP, "CSV Injection").
_FORMULA = re.compile(r"[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]")

Cell = str | int | datetime | None

Format = Annotated[Literal["json", "csv"] | None, Query(description="`csv` as `Accept: text/csv` does.")]
Accept = Annotated[str | None, Header(include_in_schema=False)]


def wants_csv(chosen: Literal["json", "csv"] | None, accept: str | None) -> bool:
    """Whether CSV is asked for, by the query or else by the first type in ``Accept`` that we have."""
    if chosen is not None:
        return chosen == "csv"
    types = [each.partition(";")[0].strip().lower() for each in (accept or "").split(",")]
    return next((each for each in types if each in (MEDIA_TYPE, "application/json", "*/*")), "") == MEDIA_TYPE


async def csv_answer(file_name: str, header: Sequence[str], rows: AsyncIterable[Sequence[Cell]]) -> StreamingResponse:
    """The rows as a file. What goes wrong before the first row is raised here, where it can still be answered."""
    chunks = _chunks(header, rows)
    first = await anext(chunks)

    async def all_chunks() -> AsyncIterator[str]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(
        all_chunks(),
        media_type=f"{MEDIA_TYPE}; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{file_name}"', "Cache-Control": "no-store"},
    )


async def _chunks(header: Sequence[str], rows: AsyncIterable[Sequence[Cell]]) -> AsyncIterator[str]:
    waiting: list[Sequence[Cell]] = [header]
    async for row in rows:
        waiting.append(row)
        if len(waiting) >= ROWS_AT_ONCE:
            yield _lines(waiting)
            waiting = []
    yield _lines(waiting)


def _lines(rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([csv_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def csv_cell(value: Cell) -> str:
    """The cell's text. A text that a spreadsheet would run as a formula gets an apostrophe before it; numbers, of which
    the negative ones begin with a minus, are ours and stay as they are."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, int):
        return str(value)
    return f"'{value}" if _FORMULA.match(value) else value
