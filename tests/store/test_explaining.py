"""A balance explained: by the effect's time, to the unit, as it was when somebody looked."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import explaining
from ledger.balances import Balance, read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import ConsumeOrder, Consumption, OnInsufficient
from ledger.explaining import Explanation, explain
from ledger.granting import process_and_grant_credit
from ledger.revoking import revoke_grant
from ledger.rules.errors import InsufficientCredits, InvalidOrder, UnknownAccount
from ledger.sweeping import book_due
from messages.grants import GrantOrder, GrantType
from tests.conftest import Database, MakeDatabase
from tests.store.support import DAY_SECONDS, grant, open_user, session

HOUR_SECONDS = 3600
MICROSECOND = timedelta(microseconds=1)
Act = tuple[Any, ...]


async def spend(engine: AsyncEngine, account_id: str, operation_id: str, credits: int, *, debt: bool = False) -> None:
    """One consumption; one that is refused is none."""
    policy = OnInsufficient.DEBT if debt else OnInsufficient.REFUSE
    consumption = Consumption(engine)
    async with consumption.running():
        try:
            await consumption.consume(ConsumeOrder(account_id, operation_id, credits, policy))
        except InsufficientCredits:
            return


async def test_an_expiry_counts_from_its_instant_booked_or_not(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    made = (await grant(engine, account_id, "free", 10, GrantType.FREE)).grant
    await grant(engine, account_id, "stays", 5)
    await spend(engine, account_id, "spent", 3)
    assert made.expires_at is not None
    await advance_test_clock(engine, 50 * DAY_SECONDS)
    before = [await explain(engine, account_id, at=made.expires_at - MICROSECOND, limit=10)]
    after = [await explain(engine, account_id, at=made.expires_at, limit=10)]
    now = await explain(engine, account_id, limit=10)
    assert (now.net, now.whole.not_booked) == (5, Counter({"expired": -7}))
    assert await book_due(engine, account_id) == 1
    before.append(await explain(engine, account_id, at=made.expires_at - MICROSECOND, limit=10))
    after.append(await explain(engine, account_id, at=made.expires_at, limit=10))
    assert [each.remaining for each in before] == [12, 12]
    assert [each.remaining for each in after] == [5, 5]
    assert [each.whole.by_kind["expired"] for each in after] == [0, -7]
    assert [each.whole.not_booked["expired"] for each in after] == [-7, 0]
    assert [[entry.kind for entry in each.page.entries] for each in after] == [
        ["consumed", "granted", "granted"],
        ["expired", "consumed", "granted", "granted"],
    ]
    assert [each.grants_left for each in (*before, *after)] == [2, 2, 1, 1]


async def test_debt_and_what_pays_it(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await spend(engine, account_id, "owes", 8, debt=True)
    owing = await explain(engine, account_id, limit=10)
    await grant(engine, account_id, "pays", 10, GrantType.PURCHASE)
    paid = await explain(engine, account_id, limit=10)
    assert (owing.debt, owing.net, owing.remaining, owing.usage) == (8, -8, 0, 8)
    assert (paid.debt, paid.net, paid.remaining, paid.usage) == (0, 2, 2, 8)
    assert paid.debt_tally.by_kind == {"debt-incurred": -8, "debt-paid": 8}
    assert paid.by_type[GrantType.PURCHASE].by_kind == {"granted": 10, "debt-paid": -8}
    assert (paid.grants[0].tally.balance, paid.grants[0].grant.operation_id) == (2, "pays")


async def test_before_the_account_there_was_nothing(engine: AsyncEngine) -> None:
    account_id = await open_user(engine, free_credits=5)
    opened = (await explain(engine, account_id, limit=10)).cycle_start
    none = await explain(engine, account_id, at=opened - timedelta(days=400), limit=10)
    assert (none.net, none.usage, none.seq, none.page.entries, none.cycle_start) == (0, 0, 0, [], opened)
    assert (await explain(engine, account_id, at=opened, limit=10)).net == 5


async def test_what_can_not_be_explained(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    now = (await read_balance(engine, account_id)).now
    with pytest.raises(InvalidOrder, match="has not come"):
        await explain(engine, account_id, at=now + timedelta(hours=1), limit=10)
    for nobody in ("nobody", "01890000-0000-7000-8000-000000000000"):
        with pytest.raises(UnknownAccount):
            await explain(engine, nobody, limit=10)


async def test_the_answer_is_bounded_and_its_entries_go_on(engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    count = explaining.GRANTS_NAMED + 3
    for number in range(count):
        await grant(engine, account_id, f"g{number}", 1)
    at = (await read_balance(engine, account_id)).now
    await grant(engine, account_id, "later", 1)
    seen, after = [], None
    while True:
        found = await explain(engine, account_id, at=at, after=after, limit=90)
        assert (found.net, found.grants_left, len(found.grants)) == (count, count, explaining.GRANTS_NAMED)
        seen += [entry.operation_id for entry in found.page.entries]
        after = found.page.next_key
        if after is None:
            break
    assert seen == [f"g{number}" for number in reversed(range(count))]


CREDITS = st.integers(1, 60)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.sampled_from(GrantType), CREDITS, st.none() | st.integers(1, 1000)),
        st.tuples(st.just("spend"), CREDITS, st.booleans()),
        st.tuples(st.just("revoke"), st.integers(0, 5)),
        st.tuples(st.just("pass"), st.integers(1, 500)),
        st.tuples(st.just("sweep")),
    ),
    min_size=1,
    max_size=14,
)


@dataclass
class Life:
    """An account to which things happen, and what its balance was after each."""

    engine: AsyncEngine
    account_id: str
    grants: list[str] = field(default_factory=list)
    seen: list[Balance] = field(default_factory=list)

    async def live(self, number: int, act: Act) -> None:
        """Does one thing, and looks."""
        await self._do(number, act)
        self.seen.append(await read_balance(self.engine, self.account_id))

    async def _do(self, number: int, act: Act) -> None:
        match act:
            case "grant", GrantType() as kind, int(credits), hours:
                now = (await read_balance(self.engine, self.account_id)).now
                expires = hours is not None and kind in (GrantType.FREE, GrantType.REFERRAL)
                expires_at = now + timedelta(hours=hours) if expires else None
                self.grants.append(f"{self.account_id}-{number}")
                order = GrantOrder(self.grants[-1], self.account_id, kind, credits, expires_at=expires_at)
                await process_and_grant_credit(self.engine, order)
            case "spend", int(credits), bool(debt):
                await spend(self.engine, self.account_id, f"spend-{number}", credits, debt=debt)
            case "revoke", int(which) if self.grants:
                name = self.grants[which % len(self.grants)]
                await revoke_grant(self.engine, name, reason="", actor="", request_id="")
            case "pass", int(hours):
                await advance_test_clock(self.engine, hours * HOUR_SECONDS)
            case ("sweep",):
                await book_due(self.engine, self.account_id)


def test_it_says_what_was_seen_and_what_the_entries_sum_to(make_database: MakeDatabase) -> None:
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()
    run = loop.run_until_complete
    database = run(stack.enter_async_context(make_database()))
    engine = database.open_engine(pool_size=3)

    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
    @given(acts=ACTS)
    def check(acts: list[Act]) -> None:
        run(_live_and_look_back(database, engine, acts))

    try:
        check()
    finally:
        run(engine.dispose())
        run(stack.aclose())
        loop.close()


async def _live_and_look_back(database: Database, engine: AsyncEngine, acts: list[Act]) -> None:
    life = Life(engine, await open_user(engine, free_credits=20))
    for number, act in enumerate(acts):
        await life.live(number, act)
    for balance in life.seen:
        found = await explain(engine, life.account_id, at=balance.now, limit=200)
        assert (found.remaining, found.net, found.debt) == (balance.remaining, balance.net, balance.debt)
        assert {kind: tally.balance for kind, tally in found.by_type.items()} == balance.breakdown
        assert (found.held, found.usage, found.at) == (balance.held, balance.usage, balance.now)
    naive = await Naive.read(database, life.account_id)
    for at in naive.instants(life.seen[-1].now):
        _compare(await explain(engine, life.account_id, at=at, limit=200), naive, at)


@dataclass
class Naive:
    """All rows in memory, added up by hand."""

    entries: list[Any]
    grants: dict[Any, Any]

    @classmethod
    async def read(cls, database: Database, account_id: str) -> "Naive":
        """The account's rows."""
        async with session(database.owner_url) as owner:
            entries = await owner.fetch("SELECT * FROM journal WHERE account_id = $1 ORDER BY entry_id", account_id)
            grants = await owner.fetch("SELECT * FROM grants WHERE account_id = $1", account_id)
        return cls(entries, {row["grant_id"]: row for row in grants})

    def instants(self, latest: datetime) -> list[datetime]:
        """When something changed, and just before."""
        changes = {row["effective_at"] for row in self.entries}
        changes |= {row["expires_at"] for row in self.grants.values() if row["expires_at"]}
        return sorted(each for change in changes for each in (change, change - MICROSECOND) if each <= latest)

    def left(self, at: datetime) -> dict[Any, int]:
        """What each grant had left, and (None) the debt, below zero."""
        sums: Counter[Any] = Counter()
        for row in self.entries:
            if row["effective_at"] <= at:
                sums[row["grant_id"]] += row["credits"]
        over = [grant_id for grant_id, row in self.grants.items() if row["expires_at"] and row["expires_at"] <= at]
        return {key: credits for key, credits in sums.items() if credits and key not in over}


def _compare(found: Explanation, naive: Naive, at: datetime) -> None:
    left = naive.left(at)
    assert found.net == sum(left.values())
    assert found.debt == -left.pop(None, 0)
    assert {each.grant.grant_id: each.tally.balance for each in found.grants} == left
    counted = [row["entry_id"] for row in naive.entries if row["effective_at"] <= at]
    assert [entry.entry_id for entry in found.page.entries] == counted[::-1]
    booked = sum(entry.credits for entry in found.page.entries)
    assert booked + found.whole.not_booked.total() == found.net
    assert sum(found.whole.entries.values()) == len(counted)
    by_type = sum(tally.balance for tally in found.by_type.values())
    assert by_type - found.debt == found.net
