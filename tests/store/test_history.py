"""The journal in pages, as the store reads it."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.history import EntryFilter, all_entries, entries_of_account
from ledger.rules.errors import UnknownAccount
from ledger.store.history import RecordedEntry, read_entries
from messages.grants import GrantType
from tests.store.support import grant, open_user

SPENT = EntryFilter(kinds=("consumed",))


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_filter_looks_at_a_bounded_part_and_says_where_to_go_on(
    engine: AsyncEngine, *, newest_first: bool
) -> None:
    account_id = await open_user(engine)
    for number in range(7):
        await grant(engine, account_id, f"g{number}", 1, GrantType.PURCHASE if number == 5 else GrantType.ADMIN)
    whole = (await entries_of_account(engine, account_id, EntryFilter(), limit=10)).entries
    since, until = whole[5].effective_at, whole[6].effective_at
    found: list[RecordedEntry] = []
    sizes, after = [], None
    while True:
        page, after = await _page(engine, account_id, EntryFilter(since, until), after, newest_first=newest_first)
        found += page
        sizes.append(len(page))
        if after is None:
            break
    assert [entry.operation_id for entry in found] == ["g5"]
    # Three entries are looked at for a page, of seven.
    assert sizes == ([1, 0, 0] if newest_first else [0, 1, 0])


async def _page(
    engine: AsyncEngine, account_id: str, wanted: EntryFilter, after: int | None, *, newest_first: bool
) -> tuple[list[RecordedEntry], int | None]:
    async with engine.connect() as connection:
        return await read_entries(
            connection, UUID(account_id), wanted, after=after, newest_first=newest_first, limit=2, look_at=3
        )


async def test_all_entries_end_with_those_that_were_there_at_the_first(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    for name in ("one", "two"):
        await grant(engine, account_id, name, 1)
    reading = all_entries(engine, account_id, EntryFilter(), rows_at_once=1)
    names = [(await anext(reading)).operation_id]
    await grant(engine, account_id, "booked meanwhile", 1)
    names += [entry.operation_id async for entry in reading]
    assert names == ["one", "two"]


async def test_entries_of_other_accounts_stay_theirs(engine: AsyncEngine) -> None:
    mine, theirs = await open_user(engine), await open_user(engine)
    await grant(engine, mine, "mine", 1)
    await grant(engine, theirs, "theirs", 1)
    page = await entries_of_account(engine, mine, EntryFilter(until=datetime(9999, 1, 1, tzinfo=UTC)), limit=10)
    assert [entry.operation_id for entry in page.entries] == ["mine"]


async def test_nobody_has_no_history(engine: AsyncEngine) -> None:
    nobody = "01890000-0000-7000-8000-000000000000"
    with pytest.raises(UnknownAccount):
        await entries_of_account(engine, nobody, SPENT, limit=1)
    with pytest.raises(UnknownAccount):
        await anext(all_entries(engine, nobody, SPENT))
