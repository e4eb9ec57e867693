"""Reports on all accounts, for operators: the books verified, and deferred revenue. Both come in pages of accounts."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from api.auth import AsAdmin, TheParts
from api.csv_answers import OR_CSV, Accept, Cell, Format, csv_answer, wants_csv
from api.problems import Problem
from api.wire.base import Instant
from api.wire.pages import PAGE_SIZE_MAX, Cursor, Limit, decode_cursor, encode_cursor
from api.wire.reports import (
    DEFERRED_HEADER,
    DeferredRevenueAnswer,
    VerificationAnswer,
    account_key,
    deferred_key,
    deferred_lines,
    deferred_row,
)
from ledger.deferring import FIRST, Report, add_to, deferred_revenue_page
from ledger.verifying import verify_page

router = APIRouter(prefix="/v1", tags=["reports"])


@router.get("/verification")
async def verify(
    parts: TheParts, _: AsAdmin, limit: Limit = PAGE_SIZE_MAX, cursor: Cursor = None
) -> VerificationAnswer:
    """Adds up the books of a page of accounts anew from the journal, and compares; it changes nothing."""
    after = decode_cursor(cursor, of="verification", key=account_key) or FIRST
    page = await verify_page(parts.engine, after=after, limit=limit)
    last = page.next_after
    return VerificationAnswer.of(page, next_cursor=None if last is None else encode_cursor("verification", str(last)))


@router.get("/reports/deferred-revenue", response_model=DeferredRevenueAnswer, responses=OR_CSV)
async def deferred_revenue(
    parts: TheParts,
    _: AsAdmin,
    at: Annotated[Instant | None, Query(description="As of this instant; now, unless told.")] = None,
    limit: Limit = PAGE_SIZE_MAX,
    cursor: Cursor = None,
    chosen: Annotated[Format, Query(alias="format")] = None,
    accept: Accept = None,
) -> DeferredRevenueAnswer | Response:
    """What paid credits are unspent, and what they cost: a page of accounts in JSON, all accounts in CSV.

    A cursor keeps the instant of its first page.
    """
    if wants_csv(chosen, accept):
        return await csv_answer("deferred-revenue.csv", DEFERRED_HEADER, _whole(parts.engine, at))
    begun = decode_cursor(cursor, of="deferred", key=deferred_key)
    if begun is not None and at not in (None, begun[0]):
        problem = "is not the instant of the cursor; leave it out"
        raise Problem("invalid-request", f"at {problem}", members={"errors": [{"field": "at", "problem": problem}]})
    instant, after = begun or (at, FIRST)
    page = await deferred_revenue_page(parts.engine, at=instant, after=after, limit=limit)
    last = page.next_after
    return DeferredRevenueAnswer(
        at=page.at,
        data=deferred_lines(page.report.items()),
        next_cursor=None if last is None else encode_cursor("deferred", page.at.isoformat(), str(last)),
    )


async def _whole(engine: AsyncEngine, at: datetime | None) -> AsyncIterator[tuple[Cell, ...]]:
    report: Report = {}
    after = FIRST
    while True:
        page = await deferred_revenue_page(engine, at=at, after=after, limit=PAGE_SIZE_MAX)
        add_to(report, page.report.items())
        if page.next_after is None:
            break
        at, after = page.at, page.next_after
    for line in deferred_lines(report.items()):
        yield deferred_row(line)
