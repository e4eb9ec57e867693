"""A balance explained: by the effect's time, to the unit, as it was when somebody looked."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
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
from ledger.consuming import Consumption, OnInsufficient
from ledger.demands import ConsumeOrder, ExtendOrder, HoldOrder, ReleaseOrder, SettleOrder
from ledger.explaining import Explanation, explain
from ledger.granting import process_and_grant_credit
from ledger.revoking import revoke_grant
from ledger.rules.errors import (
    HoldClosed,
    IdempotencyConflict,
    InsufficientCredits,
    InvalidOrder,
    UnknownAccount,
    UnknownHold,
)
from ledger.sweeping import book_due
from messages.grants import GrantOrder, GrantType
from tests.conftest import Database, MakeDatabase
from tests.store.held import place_hold
from tests.store.support import DAY_SECONDS, grant, open_user, session

HOUR_SECONDS = 3600
MICROSECOND = timedelta(microseconds=1)
Act = tuple[Any, ...]


async def spend(engine: AsyncEngine, account_id: str, operation_id: str, credits: int, *, debt: bool = False) -> None:
    """One consumption; one that is refused is none."""
    policy = OnInsufficient.DEBT if debt else OnInsufficient.REFUSE
    async with spending(engine) as consumption:
        await consumption.consume(ConsumeOrder(account_id, operation_id, credits, policy))


@asynccontextmanager
async def spending(engine: AsyncEngine) -> AsyncIterator[Consumption]:
    """Somebody who spends, and does not mind to be refused."""
    consumption = Consumption(engine)
    async with consumption.running():
        with suppress(InsufficientCredits, HoldClosed):
            yield consumption


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
        after = found.page.next_after
        if after is None:
            break
    assert seen == [f"g{number}" for number in reversed(range(count))]


async def test_a_hold_keeps_past_the_expiry_and_what_it_gives_back_pays_the_debt(
    database: Database, engine: AsyncEngine
) -> None:
    account_id = await open_user(engine)
    now = (await read_balance(engine, account_id)).now
    end = now + timedelta(hours=1)
    await grant(engine, account_id, "gone", 10, GrantType.FREE, expires_at=end)
    await grant(engine, account_id, "stays", 10)
    lapses = await place_hold(database, account_id, "one", "gone", 4, hours=2)
    later = await place_hold(database, account_id, "two", "stays", 5, hours=3)
    await spend(engine, account_id, "owes", 14, debt=True)
    await advance_test_clock(engine, 50 * DAY_SECONDS)
    for _ in range(2):
        told = [await explain(engine, account_id, at=at, limit=10) for at in (end, lapses, later, None)]
        assert [(each.remaining, each.held, each.debt, each.net) for each in told] == [
            (0, 9, 3, 6),
            (0, 5, 3, 2),
            (2, 0, 0, 2),
            (2, 0, 0, 2),
        ]
        assert [each.grants_left for each in told] == [2, 1, 1, 1]
        await book_due(engine, account_id)
    last = await explain(engine, account_id, limit=10)
    assert last.debt_tally.by_kind == {"debt-incurred": -3, "debt-paid": 3}
    assert last.whole.not_booked.total() == 0


async def test_what_a_hold_gives_back_of_a_revoked_grant_is_taken(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "taken", 10)
    lapses = await place_hold(database, account_id, "held", "taken", 4, hours=2)
    await revoke_grant(engine, "taken", reason="", actor="", request_id="")
    await advance_test_clock(engine, DAY_SECONDS)
    for _ in range(2):
        told = [await explain(engine, account_id, at=at, limit=10) for at in (lapses - MICROSECOND, lapses)]
        assert [(each.remaining, each.held, each.net) for each in told] == [(0, 4, 4), (0, 0, 0)]
        await book_due(engine, account_id)


async def test_a_hold_without_an_end_keeps_until_it_is_closed(database: Database, engine: AsyncEngine) -> None:
    account_id = await open_user(engine)
    await grant(engine, account_id, "kept", 10)
    await place_hold(database, account_id, "freeze", "kept", 4, hours=1)
    async with session(database.owner_url) as owner:
        await owner.execute("UPDATE holds SET held_until = NULL")
        await advance_test_clock(engine, 9 * DAY_SECONDS)
        during = await explain(engine, account_id, limit=1)
        await owner.execute("UPDATE holds SET state = 'released', closed_at = ledger_now()")
    after = await explain(engine, account_id, limit=1)
    again = await explain(engine, account_id, at=during.at, limit=1)
    assert [each.held for each in (during, after, again)] == [4, 0, 4]
    assert (again.grants[0].held, again.remaining, after.remaining) == (4, 6, 10)


CREDITS = st.integers(1, 60)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.sampled_from(GrantType), CREDITS, st.none() | st.integers(1, 1000)),
        st.tuples(st.just("spend"), CREDITS, st.booleans()),
        st.tuples(st.just("revoke"), st.integers(0, 5)),
        st.tuples(st.just("hold"), CREDITS, st.integers(1, 24)),
        st.tuples(st.just("settle"), st.integers(0, 3), st.integers(0, 80)),
        st.tuples(st.just("release"), st.integers(0, 3)),
        st.tuples(st.just("extend"), st.integers(0, 3), st.integers(1, 24)),
        st.tuples(st.just("pass"), st.integers(1, 12) | st.integers(1, 500)),
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
    holds: list[str] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)
    seen: list[Balance] = field(default_factory=list)

    async def live(self, number: int, act: Act) -> None:
        """Does one thing, and looks."""
        await self._do(number, act)
        self.seen.append(await read_balance(self.engine, self.account_id))
        await self.look_back(self.seen[-1])

    async def look_back(self, balance: Balance) -> None:
        """Explains what was seen, and finds the same."""
        found = await explain(self.engine, self.account_id, at=balance.now, limit=200)
        assert (found.remaining, found.net, found.debt) == (balance.remaining, balance.net, balance.debt)
        assert {kind: tally.balance for kind, tally in found.by_type.items()} == balance.breakdown
        assert (found.held, found.usage, found.at) == (balance.held, balance.usage, balance.now)

    async def _do(self, number: int, act: Act) -> None:
        match act:
            case "grant", GrantType() as kind, int(credits), hours:
                now = (await read_balance(self.engine, self.account_id)).now
                expires = hours is not None and kind in (GrantType.FREE, GrantType.REFERRAL)
                expires_at = now + timedelta(hours=hours) if expires else None
                self.grants.append(f"{self.account_id}-{number}")
                await process_and_grant_credit(
                    self.engine, GrantOrder(self.grants[-1], self.account_id, kind, credits, expires_at=expires_at)
                )
            case "spend", int(credits), bool(debt):
                await spend(self.engine, self.account_id, f"spend-{number}", credits, debt=debt)
            case "revoke", int(which) if self.grants:
                name = self.grants[which % len(self.grants)]
                await revoke_grant(self.engine, name, reason="", actor="", request_id="")
            case "hold", int(credits), int(hours):
                self.holds.append(f"hold-{number}")
                order = HoldOrder(self.account_id, self.holds[-1], credits, hours * HOUR_SECONDS)
                async with spending(self.engine) as consumption:
                    await consumption.hold(order)
            case "settle" | "release" | "extend", int(which), *more if self.holds:
                await self._about_hold(act[0], self.holds[which % len(self.holds)], *more)
            case "pass", int(hours):
                await advance_test_clock(self.engine, hours * HOUR_SECONDS)
            case ("sweep",):
                await book_due(self.engine, self.account_id)

    async def _about_hold(self, what: str, name: str, number: int = 0) -> None:
        async with spending(self.engine) as consumption:
            with suppress(UnknownHold, IdempotencyConflict):
                if what == "settle":
                    await consumption.settle(SettleOrder(self.account_id, name, number))
                elif what == "release":
                    await consumption.release(ReleaseOrder(self.account_id, name))
                else:
                    await consumption.extend(ExtendOrder(self.account_id, name, number * HOUR_SECONDS))


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
    await book_due(engine, life.account_id)
    for balance in life.seen:
        await life.look_back(balance)
    naive = await Naive.read(database, life.account_id)
    for at in naive.instants(life.seen[-1].now):
        _compare(await explain(engine, life.account_id, at=at, limit=200), naive, at)


@dataclass
class Naive:
    """All rows in memory, added up by hand; nothing is due that is not booked."""

    entries: list[Any]
    holds: list[Any]

    @classmethod
    async def read(cls, database: Database, account_id: str) -> "Naive":
        """The account's rows."""
        async with session(database.owner_url) as owner:
            entries = await owner.fetch("SELECT * FROM journal WHERE account_id = $1 ORDER BY entry_id", account_id)
            holds = await owner.fetch(
                "SELECT created_at, closed_at AS ended_at, grant_id, parts.credits FROM holds "
                "JOIN hold_parts AS parts USING (account_id, operation_id) WHERE account_id = $1",
                account_id,
            )
        return cls(entries, holds)

    def instants(self, latest: datetime) -> list[datetime]:
        """When something changed, and just before."""
        changes = {row["effective_at"] for row in self.entries}
        changes |= {each for row in self.holds for each in (row["created_at"], row["ended_at"] or latest)}
        return sorted(each for change in changes for each in (change, change - MICROSECOND) if each <= latest)

    def left(self, at: datetime) -> dict[Any, int]:
        """What each grant had left, and (None) the debt, below zero."""
        sums: Counter[Any] = Counter()
        for row in self.entries:
            if row["effective_at"] <= at:
                sums[row["grant_id"]] += row["credits"]
        return {key: credits for key, credits in sums.items() if credits}

    def held(self, at: datetime) -> dict[Any, int]:
        """What holds kept of each grant."""
        sums: Counter[Any] = Counter()
        for row in self.holds:
            if row["created_at"] <= at and not (row["ended_at"] and row["ended_at"] <= at):
                sums[row["grant_id"]] += row["credits"]
        return dict(sums)


def _compare(found: Explanation, naive: Naive, at: datetime) -> None:
    left, held = naive.left(at), naive.held(at)
    assert found.net == sum(left.values())
    assert (found.debt, found.held) == (-left.pop(None, 0), sum(held.values()))
    assert {each.grant.grant_id: each.tally.balance for each in found.grants} == left
    assert {each.grant.grant_id: each.held for each in found.grants if each.held} == held
    assert found.remaining == sum(left.values()) - sum(held.values())
    counted = [row["entry_id"] for row in naive.entries if row["effective_at"] <= at]
    assert [entry.entry_id for entry in found.page.entries] == counted[::-1]
    assert (found.whole.not_booked.total(), sum(found.whole.entries.values())) == (0, len(counted))
    assert sum(entry.credits for entry in found.page.entries) == found.net
    assert sum(tally.balance for tally in found.by_type.values()) - found.debt == found.net
