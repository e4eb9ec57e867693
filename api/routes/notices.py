"""Notices: what an account's owner was told, or will be told with the next ``init``. Reading them tells nothing."""

from fastapi import APIRouter

from api.auth import AsOwner, TheParts
from api.wire.base import Page
from api.wire.notices import NoticeAnswer, notice_key
from api.wire.pages import PAGE_SIZE, Cursor, Limit, decode_cursor, encode_cursor
from ledger.noticing import notices_of_account

router = APIRouter(prefix="/v1", tags=["notices"])

_LIST = "notices"


@router.get("/accounts/{account_id}/notices")
async def list_notices(
    account_id: str, parts: TheParts, _: AsOwner, limit: Limit = PAGE_SIZE, cursor: Cursor = None
) -> Page[NoticeAnswer]:
    """A page of the account's notices, newest first. It does not count as telling them."""
    before = decode_cursor(cursor, of=_LIST, key=notice_key)
    found = await notices_of_account(parts.engine, account_id, before=before, limit=limit + 1)
    shown = found[:limit]
    next_cursor = encode_cursor(_LIST, shown[-1].notice_id) if len(found) > limit else None
    return Page[NoticeAnswer](data=[NoticeAnswer.of(notice) for notice in shown], next_cursor=next_cursor)
