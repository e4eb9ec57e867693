"""Sums over the journal in spans."""

from collections import Counter
from datetime import datetime
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.history import EntryFilter, entries_of_account
from ledger.store.books import EntrySum, spans_of_entries, sum_entries
from ledger.transaction import with_snapshot
from tests.store.support import grant, open_user
from tests.store.test_explaining import spend

Span = tuple[int, int | None]


@pytest.mark.parametrize("at_once", [1, 2, 4, 5, 6, 7])
async def test_spans_follow_one_another_and_sum_to_the_whole(engine: AsyncEngine, at_once: int) -> None:
    account_id = await open_user(engine)
    for number in range(3):
        await grant(engine, account_id, f"g{number}", 5)
        await spend(engine, account_id, f"s{number}", 3)

    async def work(tx: AsyncConnection) -> tuple[list[Span], list[list[EntrySum]], list[EntrySum]]:
        spans = [span async for span in spans_of_entries(tx, UUID(account_id), at_once=at_once)]
        parts = [await sum_entries(tx, [UUID(account_id)], span=span) for span in spans]
        return spans, parts, await sum_entries(tx, [UUID(account_id)])

    spans, parts, whole = await with_snapshot(engine, work, what="sums")
    assert spans[0][0] == 0
    assert all(earlier[1] == later[0] for earlier, later in pairwise(spans))
    assert spans[-1][1] is None
    # The second consumption took the rest of one grant and the beginning of the next.
    assert len(spans) == 7 // at_once + 1
    assert [sum(each.entries for each in part) for part in parts][:-1] == [at_once] * (7 // at_once)
    assert sum((_by_grant(part) for part in parts), Counter()) == _by_grant(whole)
    assert max(each.last_seq for each in whole) == 6
    assert sum(each.spent_since for each in whole) == 9


def _by_grant(sums: list[EntrySum]) -> Counter[object]:
    credits: Counter[object] = Counter()
    for each in sums:
        credits[each.grant_id, each.kind] += abs(each.credits)
    return credits


async def test_usage_counts_both_ends(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "g", 9)
    for number in (1, 2, 3):
        await spend(engine, account_id, f"s{number}", number)
    page = await entries_of_account(engine, account_id, EntryFilter(kinds=("consumed",)), limit=3)
    one, two, three = (entry.effective_at for entry in page.entries)
    spans = ((one, three), (two, three), (two, two), (one, two), (three, one))
    assert [await _usage(engine, account_id, *span) for span in spans] == [6, 5, 2, 3, 0]


async def _usage(engine: AsyncEngine, account_id: str, since: datetime, at: datetime) -> int:
    sums = await with_snapshot(
        engine, lambda tx: sum_entries(tx, [UUID(account_id)], at=at, spent_since=since), what="usage"
    )
    return sum(each.spent_since for each in sums)
