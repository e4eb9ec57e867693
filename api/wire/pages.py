"""Cursors: opaque to clients, and told from one another by the list that they belong to."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from api.problems import Problem
from api.wire.base import Answer, Page
from ledger.balances import PageKey
from messages.grants import Grant

PAGE_SIZE = 50
PAGE_SIZE_MAX = 200


def _in_range(limit: int) -> int:
    if not 1 <= limit <= PAGE_SIZE_MAX:
        raise PydanticCustomError(
            "limit", "must be a whole number from 1 to {maximum}", {"minimum": 1, "maximum": PAGE_SIZE_MAX}
        )
    return limit


Limit = Annotated[int, Query(description="How many to answer at most, 1 to 200."), AfterValidator(_in_range)]
Cursor = Annotated[str | None, Query(max_length=500, description="`nextCursor` of the page before.")]

A = TypeVar("A", bound=Answer)


K = TypeVar("K")


def read_cursor(cursor: str | None, *, of: str) -> PageKey | None:
    """Where a page of grants begins. ``of`` names the list. Raises Problem for what is no cursor of it."""

    def key(at: str, grant_id: str) -> PageKey:
        instant = datetime.fromisoformat(at)
        if instant.tzinfo is None:
            raise ValueError("an instant without its offset")
        return instant, UUID(grant_id)

    return decode_cursor(cursor, of=of, key=key)


def decode_cursor(cursor: str | None, *, of: str, key: Callable[..., K]) -> K | None:
    """What ``key`` makes of a cursor's parts; ``of`` names the list. Raises Problem for what is no cursor of it."""
    if cursor is None:
        return None
    try:
        kind, *parts = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        if kind != of:
            raise ValueError("a cursor of another list")
        return key(*parts)
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        problem = "is not a cursor of this list; take nextCursor of a page of it"
        raise Problem(
            "invalid-request", f"cursor {problem}", members={"errors": [{"field": "cursor", "problem": problem}]}
        ) from None


def page_of(
    found: Sequence[Grant], *, limit: int, of: str, at: Callable[[Grant], datetime], show: Callable[[Grant], A]
) -> Page[A]:
    """The page of what was found; the caller has asked for one more than ``limit``, to see whether there is more."""
    shown = found[:limit]
    more = len(found) > limit
    last = shown[-1] if shown else None
    cursor = None if last is None or not more else encode_cursor(of, at(last).isoformat(), last.grant_id)
    return Page[A](data=[show(grant) for grant in shown], next_cursor=cursor)


def encode_cursor(of: str, *parts: str | int) -> str:
    """The cursor with these parts, for the list that ``of`` names."""
    return base64.urlsafe_b64encode(json.dumps([of, *parts]).encode()).decode()
