"""Notices of payments: each thing is told once, at once to those who listen, and later to whoever asks."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.changes import NOTICE_CHANNEL
from ledger.noticing import (
    WRITTEN,
    give_notice,
    latest_notice,
    mark_told,
    notices_of_account,
    notices_since,
    untold_notices,
)
from ledger.rules.errors import UnknownAccount
from messages.payments import NoticeOrder
from tests.conftest import Database
from tests.store.support import count, open_user, session, total

ADDED, FAILED = "auto-topup-added", "auto-topup-failed"


def notice(account_id: str, subject: str = "topup-1", *, kind: str = ADDED) -> NoticeOrder:
    """Word of a top-up."""
    return NoticeOrder(account_id, kind, subject, "You have more now.", credits=500)


@asynccontextmanager
async def listening(database: Database) -> AsyncIterator[asyncio.Queue[str]]:
    """What is announced while the context is open."""
    heard: asyncio.Queue[str] = asyncio.Queue()

    def hear(_: asyncpg.Connection, __: int, ___: str, payload: str) -> None:
        heard.put_nowait(payload)

    async with session(database.app_url) as listener:
        await listener.add_listener(NOTICE_CHANNEL, hear)
        yield heard


async def test_a_notice_is_written_once_and_announced_once(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    before = total(WRITTEN, kind=ADDED)
    async with listening(database) as heard:
        assert await give_notice(engine, notice(account_id))
        [written] = await untold_notices(engine, account_id, limit=10)
        assert await asyncio.wait_for(heard.get(), 5) == f"{account_id}:{written.notice_id}"
        # Whatever else is said of it later: it has been told.
        assert not await give_notice(engine, replace(notice(account_id), message="Something else."))
        assert await give_notice(engine, notice(account_id, "topup-2"))
        second = (await untold_notices(engine, account_id, limit=10))[1]
        assert await asyncio.wait_for(heard.get(), 5) == f"{account_id}:{second.notice_id}"
    assert heard.empty()
    assert total(WRITTEN, kind=ADDED) == before + 2


async def test_of_many_who_tell_the_same_at_once_one_does(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    async with listening(database) as heard:
        told = await asyncio.gather(*(give_notice(engine, notice(account_id)) for _ in range(10)))
        await asyncio.wait_for(heard.get(), 5)
    assert Counter(told) == {True: 1, False: 9}
    assert heard.empty()
    assert await count(database, "notices") == 1


async def test_what_is_told_before_is_not_told_again_after_it_was_read(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await give_notice(engine, notice(account_id))
    [written] = await untold_notices(engine, account_id, limit=10)
    await mark_told(engine, [written.notice_id])
    assert not await give_notice(engine, notice(account_id))
    assert await untold_notices(engine, account_id, limit=10) == []


async def test_a_notice_carries_what_it_was_given(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    whole = NoticeOrder(
        account_id, FAILED, "t", "Do that.", error="auto-topup-declined", action_url="https://x/", credits=5
    )
    await give_notice(engine, whole)
    await give_notice(engine, NoticeOrder(account_id, FAILED, "u", "Only words."))
    words, all_of_it = await notices_of_account(engine, account_id, limit=2)
    assert (words.kind, words.payload) == (FAILED, {"message": "Only words."})
    assert all_of_it.payload == {
        "message": "Do that.",
        "error": "auto-topup-declined",
        "actionUrl": "https://x/",
        "credits": 5,
    }


async def test_another_account_or_kind_is_another_notice(engine: AsyncEngine) -> None:
    account_id, other = await open_user(engine), await open_user(engine)
    assert await give_notice(engine, notice(account_id))
    assert await give_notice(engine, notice(other))
    assert await give_notice(engine, notice(account_id, kind=FAILED))


async def test_those_who_know_some_are_given_what_came_since(engine: AsyncEngine) -> None:
    ada, bob, eve = [await open_user(engine, name=name) for name in ("Ada", "Bob", "Eve")]
    for account_id in (ada, bob, eve):
        assert await latest_notice(engine, account_id) == 0
        await give_notice(engine, notice(account_id, "known"))
    known = {UUID(each): await latest_notice(engine, each) for each in (ada, bob)}
    assert known[UUID(bob)] > known[UUID(ada)] > 0
    assert await notices_since(engine, known, kinds=(ADDED, FAILED)) == []
    await give_notice(engine, notice(bob, "new"))
    await give_notice(engine, notice(ada, "new", kind=FAILED))
    await give_notice(engine, notice(ada, "of no interest", kind="expiry"))
    await give_notice(engine, notice(eve, "new"))
    since = await notices_since(engine, known, kinds=(ADDED, FAILED))
    assert [(each.account_id, each.kind) for each in since] == [(bob, ADDED), (ada, FAILED)]
    assert len(await notices_since(engine, known, kinds=("expiry",))) == 1
    # Who knows nothing of an account is given all of it.
    assert len(await notices_since(engine, {UUID(ada): 0}, kinds=(ADDED, FAILED, "expiry"))) == 3
    assert await notices_since(engine, {}, kinds=(ADDED,)) == []


async def test_nobody_is_told_nothing(engine: AsyncEngine) -> None:
    for refused in (give_notice(engine, notice("x")), latest_notice(engine, "x")):
        with pytest.raises(UnknownAccount):
            await refused


async def test_an_account_that_was_never_opened_is_told_nothing(database: Database, engine: AsyncEngine) -> None:
    with pytest.raises(UnknownAccount):
        await give_notice(engine, notice("01970000-0000-7000-8000-000000000001"))
    assert await count(database, "notices") == 0
