"""The history of an account: its journal in pages and as CSV, and its balance at any instant explained."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from api.auth import AsOwner, TheParts
from api.csv_answers import OR_CSV, Accept, Format, csv_answer, wants_csv
from api.wire.base import Instant, Page
from api.wire.entries import CSV_HEADER, EntryAnswer, Kinds, csv_row, entry_number
from api.wire.explanations import ExplanationAnswer
from api.wire.pages import PAGE_SIZE, Cursor, Limit, decode_cursor, encode_cursor
from ledger.explaining import explain
from ledger.history import EntryFilter, all_entries, entries_of_account

router = APIRouter(prefix="/v1", tags=["history"])

Order = Literal["oldest", "newest"]


@router.get("/accounts/{account_id}/entries", response_model=Page[EntryAnswer], responses=OR_CSV)
async def list_entries(
    account_id: str,
    parts: TheParts,
    _: AsOwner,
    order: Annotated[Order, Query(description="Which come first, in the order of booking.")] = "oldest",
    since: Annotated[Instant | None, Query(alias="from", description="Those that count from then on.")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Those that count before then.")] = None,
    kinds: Kinds = [],  # noqa: B006 - FastAPI copies it
    limit: Limit = PAGE_SIZE,
    cursor: Cursor = None,
    chosen: Annotated[Format, Query(alias="format")] = None,
    accept: Accept = None,
) -> Page[EntryAnswer] | Response:
    """A page of the account's journal, the oldest entries first unless told; all of it as CSV.

    With a filter, a page may have fewer entries than asked for and not be the last: go on while there is a nextCursor.
    """
    wanted = EntryFilter(since=since, until=until, kinds=tuple(kinds))
    newest_first = order == "newest"
    if wants_csv(chosen, accept):
        entries = all_entries(parts.engine, account_id, wanted, newest_first=newest_first)
        return await csv_answer(f"entries-{account_id}.csv", CSV_HEADER, (csv_row(entry) async for entry in entries))
    of = f"entries-{order}"
    after = decode_cursor(cursor, of=of, key=entry_number)
    page = await entries_of_account(
        parts.engine, account_id, wanted, after=after, newest_first=newest_first, limit=limit
    )
    next_cursor = None if page.next_after is None else encode_cursor(of, page.next_after)
    return Page[EntryAnswer](data=[EntryAnswer.of(entry) for entry in page.entries], next_cursor=next_cursor)


@router.get("/accounts/{account_id}/explain")
async def explain_balance(
    account_id: str,
    parts: TheParts,
    _: AsOwner,
    at: Annotated[Instant | None, Query(description="The instant; now, unless told.")] = None,
    limit: Limit = PAGE_SIZE,
    cursor: Cursor = None,
) -> ExplanationAnswer:
    """The balance at an instant, by the time at which entries count, with the entries that make it."""
    after = decode_cursor(cursor, of="explain", key=entry_number)
    found = await explain(parts.engine, account_id, at=at, after=after, limit=limit)
    last = found.page.next_after
    return ExplanationAnswer.of(found, next_cursor=None if last is None else encode_cursor("explain", last))
