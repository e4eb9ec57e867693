"""Sums over the journal in spans."""

from collections import Counter
from datetime import datetime
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.history import EntryFilter, entries_of_account
from ledger.store.books import EntrySum, spans_of_changes, sum_entries, sum_usage
from ledger.transaction import with_snapshot
from tests.store.support import grant, open_user
from tests.store.test_explaining import spend


@pytest.mark.parametrize("seq", [0, 1, 2, 3, 4, 7])
def test_spans_follow_one_another_and_the_last_has_no_end(seq: int) -> None:
    spans = list(spans_of_changes(seq, at_once=2))
    assert spans[0][0] == 0
    assert all(earlier[1] == later[0] for earlier, later in pairwise(spans))
    assert spans[-1][1] is None
    assert len(spans) == max(1, (seq + 1) // 2)


async def test_spans_sum_to_the_whole(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    for number in range(3):
        await grant(engine, account_id, f"g{number}", 5)
        await spend(engine, account_id, f"s{number}", 3)
    spans = list(spans_of_changes(6, at_once=2))
    parts = [await _sums(engine, account_id, changes) for changes in spans]
    assert len(parts) == 3
    assert sum((_by_grant(part) for part in parts), Counter()) == _by_grant(await _sums(engine, account_id, (0, None)))
    assert [max(each.latest_seq for each in part) for part in parts] == [2, 4, 6]


async def _sums(engine: AsyncEngine, account_id: str, changes: tuple[int, int | None]) -> list[EntrySum]:
    return await with_snapshot(engine, lambda tx: sum_entries(tx, [UUID(account_id)], changes=changes), what="sums")


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
    return await with_snapshot(engine, lambda tx: sum_usage(tx, UUID(account_id), since=since, at=at), what="usage")
