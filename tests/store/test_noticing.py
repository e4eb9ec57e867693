"""Notices before the expiry of long-lived grants: each once, the nearest only, and while something is left."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import ConsumeOrder, Consumption
from ledger.noticing import give_expiry_notices, mark_told, notices_of_account, untold_notices
from ledger.revoking import revoke_grant
from ledger.rules.errors import UnknownAccount
from ledger.store.notices import GrantKey
from messages.grants import GrantType
from tests.conftest import Database
from tests.store.held import place_hold
from tests.store.support import DAY_SECONDS, count, grant, open_user

DAYS = (30, 7, 1)


async def long_lived(
    engine: AsyncEngine, account_id: str, operation_id: str = "long", *, days: float = 60, credits: int = 40
) -> None:
    """A grant that lives for so many days."""
    now = (await read_balance(engine, account_id)).now
    expires_at = now + timedelta(days=days)
    await grant(engine, account_id, operation_id, credits, GrantType.REFERRAL, expires_at=expires_at)


async def sweep(engine: AsyncEngine, *, limit: int = 100) -> int:
    """The sweep of the whole list, page by page; answers with how many notices it wrote."""
    written, after = 0, None
    while True:
        page = await give_expiry_notices(engine, days=DAYS, after=after, limit=limit)
        written, after = written + page.written, page.last
        if after is None:
            return written


async def told_days(engine: AsyncEngine, account_id: str) -> list[int]:
    """The days before the expiry of the notices that wait, in their order."""
    return [notice.payload["daysBefore"] for notice in await untold_notices(engine, account_id, limit=100)]


async def test_a_sweep_in_time_gives_each_notice_once(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await long_lived(engine, account_id)
    given = []
    for _ in range(62):
        given.append(await sweep(engine) + await sweep(engine))
        await advance_test_clock(engine, DAY_SECONDS)
    assert await told_days(engine, account_id) == [30, 7, 1]
    assert [day for day, notices in enumerate(given) if notices] == [30, 53, 59]
    assert sum(given) == 3


async def test_a_notice_says_what_expires_when(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await long_lived(engine, account_id)
    await advance_test_clock(engine, 31 * DAY_SECONDS)
    assert await sweep(engine) == 1
    [notice] = await untold_notices(engine, account_id, limit=10)
    assert (notice.kind, notice.account_id, notice.told_at) == ("expiry", account_id, None)
    payload = dict(notice.payload)
    assert len(payload.pop("grantId")) == 36
    expires_at = payload.pop("expiresAt")
    assert expires_at.endswith("+00:00")
    assert payload == {"operationId": "long", "type": "referral", "credits": 40, "daysBefore": 30}
    assert abs(notice.created_at - (await read_balance(engine, account_id)).now) < timedelta(minutes=5)


@pytest.mark.parametrize(("late_by", "nearest"), [(30, 30), (52, 30), (54, 7), (58.5, 7), (59.5, 1)])
async def test_a_late_sweep_gives_the_nearest_alone(engine: AsyncEngine, late_by: float, nearest: int) -> None:
    account_id = await open_user(engine)
    await long_lived(engine, account_id)
    await advance_test_clock(engine, int(late_by * DAY_SECONDS) + 60)
    assert await sweep(engine) == 1
    assert await told_days(engine, account_id) == [nearest]
    assert await sweep(engine) == 0


async def test_who_has_nothing_to_lose_hears_nothing(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await long_lived(engine, account_id, "short", days=45)
    await long_lived(engine, account_id, "spent")
    await grant(engine, account_id, "never", 5)
    consumption = Consumption(engine)
    async with consumption.running():
        await consumption.consume(ConsumeOrder(account_id, "spend", 80))
    await long_lived(engine, account_id, "revoked")
    await revoke_grant(engine, "revoked", reason="", actor="", request_id="")
    await long_lived(engine, account_id, "gone")
    await advance_test_clock(engine, 44 * DAY_SECONDS)
    assert await sweep(engine) == 1  # "gone", which is still there
    await advance_test_clock(engine, 16 * DAY_SECONDS)
    assert await sweep(engine) == 0
    assert [notice.payload["operationId"] for notice in await untold_notices(engine, account_id, limit=9)] == ["gone"]


async def test_what_a_hold_keeps_of_a_revoked_grant_is_not_noticed(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await long_lived(engine, account_id, "revoked")
    await long_lived(engine, account_id, "held", credits=5)
    await advance_test_clock(engine, 31 * DAY_SECONDS)
    await place_hold(database, account_id, "one", "revoked", 5, hours=1)
    await place_hold(database, account_id, "two", "held", 5, hours=1)
    await revoke_grant(engine, "revoked", reason="", actor="", request_id="")
    assert await sweep(engine) == 1  # what is held is not spent yet
    [notice] = await untold_notices(engine, account_id, limit=9)
    assert notice.payload["operationId"] == "held"


async def test_who_lives_just_longer_is_told(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await long_lived(engine, account_id, days=45.01)
    await advance_test_clock(engine, 16 * DAY_SECONDS)
    assert await sweep(engine) == 1


async def test_pages_reach_everybody_and_sweeps_that_meet_double_nothing(
    database: Database, engine: AsyncEngine
) -> None:
    accounts = [await open_user(engine, name=f"user {number}") for number in range(7)]
    for number, account_id in enumerate(accounts):
        await long_lived(engine, account_id, f"long-{number}", days=50)
    await advance_test_clock(engine, 21 * DAY_SECONDS)
    written = await asyncio.gather(*(sweep(engine, limit=limit) for limit in (2, 3, 7, 100)))
    assert sum(written) == 7
    assert await count(database, "notices") == 7
    for account_id in accounts:
        assert await told_days(engine, account_id) == [30]


async def test_a_full_page_says_where_the_next_begins(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    for number in range(3):
        await long_lived(engine, account_id, f"long-{number}", days=50 + number)
    await advance_test_clock(engine, 30 * DAY_SECONDS)
    first = await give_expiry_notices(engine, days=DAYS, limit=2)
    assert first.written == 2
    assert isinstance(first.last, GrantKey)
    second = await give_expiry_notices(engine, days=DAYS, after=first.last, limit=2)
    assert (second.written, second.last) == (1, None)


async def test_what_was_told_is_not_told_again_but_can_be_read(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    stranger = await open_user(engine, name="Grace")
    for number in range(3):
        await long_lived(engine, account_id, f"long-{number}", days=50 + number)
    await advance_test_clock(engine, 30 * DAY_SECONDS)
    await sweep(engine)
    first, second, third = await untold_notices(engine, account_id, limit=10)
    assert [notice.notice_id for notice in await untold_notices(engine, account_id, limit=2)] == [
        first.notice_id,
        second.notice_id,
    ]
    await mark_told(engine, [first.notice_id, third.notice_id])
    told = (await notices_of_account(engine, account_id, limit=1))[0].told_at
    assert told is not None
    await mark_told(engine, [third.notice_id])
    assert await untold_notices(engine, account_id, limit=10) == [second]
    page = await notices_of_account(engine, account_id, limit=2)
    assert [notice.notice_id for notice in page] == [third.notice_id, second.notice_id]
    assert page[0].told_at == told
    rest = await notices_of_account(engine, account_id, before=second.notice_id, limit=2)
    assert [notice.notice_id for notice in rest] == [first.notice_id]
    assert await notices_of_account(engine, stranger, limit=2) == []
    assert await untold_notices(engine, stranger, limit=2) == []
    with pytest.raises(UnknownAccount):
        await notices_of_account(engine, "01970000-0000-7000-8000-000000000001", limit=2)
