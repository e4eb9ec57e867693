"""A machine that does whatever comes to its mind, to the ledger and to the model, and compares them after each step.

What it draws never depends on what the ledger answered: who comes first of those that come at once is chance, and a
failure must be found again.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.consuming import OnInsufficient
from messages.grants import GrantType
from tests.proof.calls import PAID_CENTS, Call
from tests.proof.model import EXPIRING
from tests.proof.world import World

R = TypeVar("R")

# Small demands, so that what there is lasts for several; large ones, that go beyond it.
CREDITS = st.integers(1, 30) | st.integers(1, 30) | st.integers(31, 250)
DEBT_CAPS = st.sampled_from([0, 60, 300])
ACCOUNTS_MAX = 3
NUMBERS = st.integers(0, ACCOUNTS_MAX - 1)
PLACES = st.integers(0, 1000)
POLICIES = st.sampled_from(OnInsufficient)
TYPES = st.sampled_from(GrantType)
# Many end within the hours that pass between two steps, some never do within a run.
HOURS = st.integers(1, 12) | st.integers(1, 40) | st.integers(41, 2000)
MOMENTS = st.sampled_from([timedelta(microseconds=-1), timedelta(0), timedelta(microseconds=1)])
TTL_SECONDS = st.integers(1, 24).map(lambda hours: hours * 3600) | st.integers(1, 86_400) | st.just(86_400)
MAKERS = st.sampled_from(["account", "account", "admin"])
ENDS = st.sampled_from(["settle", "settle", "release", "extend", "extend"])
# What work does with its hold: after so many hours, so.
STORIES = st.lists(st.tuples(st.integers(0, 14), ENDS, st.just(0) | CREDITS, TTL_SECONDS), min_size=1, max_size=4)
# Free and referral credits expire, and are what holds meet first.
GIVEN = st.sampled_from([*GrantType, GrantType.FREE, GrantType.FREE, GrantType.REFERRAL])
GRANTS = st.lists(st.tuples(GIVEN, st.integers(1, 250), st.none() | HOURS), min_size=1, max_size=6)
# Nothing, all, or a part is paid back, and some of the rest is in dispute.
TARGETS = st.tuples(
    st.sampled_from([0, 0, PAID_CENTS]) | st.integers(0, PAID_CENTS), st.sampled_from([0, 0, 500, PAID_CENTS])
)
AT_ONCE = st.lists(
    st.tuples(
        st.sampled_from(
            ["consume"] * 5
            + ["hold", "hold", "settle", "settle", "release", "extend"]
            + ["grant", "grant", "repeat", "repeat", "revoke", "reverse", "sweep", "balance"]
        ),
        CREDITS,
        POLICIES,
        TYPES,
        PLACES,
    ),
    min_size=2,
    max_size=9,
)


class LedgerMachine(RuleBasedStateMachine):
    """``world`` and ``loop`` are given to a subclass; all its examples share them, with accounts of their own."""

    world: World
    loop: asyncio.AbstractEventLoop
    # The differences as they were found: what chance has had a part in may not be found a second time.
    found: list[AssertionError]

    def __init__(self) -> None:
        super().__init__()
        self.run(self.world.begin())
        # What has been asked for, accepted or not. The first is always a grant.
        self.past: list[Call] = []
        self.count = 0

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Runs to its end what the ledger does."""
        try:
            return self.loop.run_until_complete(work)
        except AssertionError as difference:
            self.found.append(difference)
            raise

    def new_id(self) -> str:
        """An operation id that nobody has used in this example; grants' ids are unique over all examples."""
        self.count += 1
        first = next(iter(self.world.model.accounts))
        return f"{first}-{self.count}"

    def play(self, call: Call) -> None:
        """Makes the call, and remembers it for a repeat."""
        if call.operation_id:
            self.past.append(call)
        self.run(self.world.play(call))

    def account(self, number: int) -> str:
        """One of the accounts."""
        ids = list(self.world.model.accounts)
        return ids[number % len(ids)]

    @initialize(debt_cap=DEBT_CAPS, grants=GRANTS)
    def begin(self, debt_cap: int, grants: list[tuple[GrantType, int, int | None]]) -> None:
        self._open(debt_cap, grants)

    @rule(debt_cap=DEBT_CAPS, grants=GRANTS)
    def open(self, debt_cap: int, grants: list[tuple[GrantType, int, int | None]]) -> None:
        if len(self.world.model.accounts) < ACCOUNTS_MAX:
            self._open(debt_cap, grants)

    def _open(self, debt_cap: int, grants: list[tuple[GrantType, int, int | None]]) -> None:
        account_id = self.run(self.world.open_account(debt_cap=debt_cap))
        for grant_type, credits, hours in grants:
            self.play(self._grant(account_id, grant_type, credits, hours))

    @rule(number=NUMBERS, grant_type=TYPES, credits=CREDITS, hours=st.none() | HOURS)
    def grant(self, number: int, grant_type: GrantType, credits: int, hours: int | None) -> None:
        self.play(self._grant(self.account(number), grant_type, credits, hours))

    def _grant(self, account_id: str, grant_type: GrantType, credits: int, hours: int | None) -> Call:
        expires_at = None
        if hours is not None and grant_type in EXPIRING:
            expires_at = (self.world.now + timedelta(hours=hours)).isoformat()
        return Call("grant", account_id, self.new_id(), credits, type=grant_type, expires_at=expires_at)

    @rule(number=NUMBERS, credits=CREDITS, policy=POLICIES)
    def consume(self, number: int, credits: int, policy: OnInsufficient) -> None:
        self.play(Call("consume", self.account(number), self.new_id(), credits, policy))

    @rule(
        number=NUMBERS,
        demands=st.lists(st.tuples(CREDITS, POLICIES), min_size=2, max_size=6),
    )
    def consume_in_one_batch(self, number: int, demands: list[tuple[int, OnInsufficient]]) -> None:
        account_id = self.account(number)
        calls = [Call("consume", account_id, self.new_id(), credits, policy) for credits, policy in demands]
        self.past += calls
        self.run(self.world.play_in_one_batch(calls))

    @rule(number=NUMBERS, credits=CREDITS, ttl_seconds=TTL_SECONDS, made_by=MAKERS)
    def hold(self, number: int, credits: int, ttl_seconds: int, made_by: str) -> None:
        account_id = self.account(number)
        call = Call("hold", account_id, self.new_id(), credits, ttl_seconds=ttl_seconds, made_by=made_by)
        self.play(call)

    @rule(place=PLACES, kind=ENDS, credits=st.just(0) | CREDITS, ttl_seconds=TTL_SECONDS)
    def change_a_hold(self, place: int, kind: str, credits: int, ttl_seconds: int) -> None:
        self.play(replace(self._hold(place), kind=kind, credits=credits, ttl_seconds=ttl_seconds))

    @rule(number=NUMBERS, credits=CREDITS, ttl_seconds=TTL_SECONDS, made_by=MAKERS, story=STORIES)
    def work_with_a_hold(
        self, number: int, credits: int, ttl_seconds: int, made_by: str, story: list[tuple[int, str, int, int]]
    ) -> None:
        account_id = self.account(number)
        call = Call("hold", account_id, self.new_id(), credits, ttl_seconds=ttl_seconds, made_by=made_by)
        self.play(call)
        for hours, kind, cost, ttl in story:
            self.time_passes(hours)
            self.run(self.world.check())
            self.play(replace(call, kind=kind, credits=cost, ttl_seconds=ttl))

    def _hold(self, place: int) -> Call:
        """One of the last holds, by who made it or now and then by somebody else; any call where there is none."""
        placed = [call for call in self._accepted() if call.kind == "hold"]
        call = placed[-1 - place % min(len(placed), 4)] if placed else self.past[-1]
        return replace(call, made_by="admin") if place % 11 == 0 else call

    @rule(place=PLACES)
    def operate(self, place: int) -> None:
        """What operators do: revoke now and then, and let the sweep pass."""
        if place % 3 == 0:
            self.play(self._revocation(place))
        elif place % 3 == 1:
            self.play(Call("sweep", self.account(place)))

    @rule(place=PLACES, credits=CREDITS, story=st.lists(TARGETS, min_size=1, max_size=3))
    def pay_back(self, place: int, credits: int, story: list[tuple[int, int]]) -> None:
        """What Stripe says of a payment, once or as it goes on; nobody else may end what it freezes. Now and then an
        operator has been quicker."""
        if not any(call.kind == "grant" and call.type == GrantType.PURCHASE for call in self.past):
            self.play(Call("grant", self.account(place), self.new_id(), credits, type=GrantType.PURCHASE))
        for target in story:
            reversal = self._reversal(place, *target)
            if place % 7 == 0:
                self.play(replace(reversal, kind="revoke"))
            self.play(reversal)
            booked = self.world.model.accounts[reversal.account_id].reversals.get(reversal.operation_id)
            if place % 5 == 0 and booked is not None and booked.freeze is not None:
                kind = ["settle", "release", "extend"][place % 3]
                self.run(self.world.play(replace(reversal, kind=kind, operation_id=booked.freeze)))

    def _reversal(self, place: int, reversed_cents: int, frozen_cents: int) -> Call:
        """Of some purchase, or now and then of what was never paid for."""
        granted = [call for call in self.past if call.kind == "grant"]
        bought = [call for call in granted if call.type == GrantType.PURCHASE]
        call = (bought or granted)[-1 - place % min(len(bought or granted), 6)]
        frozen_cents = min(frozen_cents, PAID_CENTS - reversed_cents)
        return replace(call, kind="reverse", reversed_cents=reversed_cents, frozen_cents=frozen_cents)

    @rule(place=PLACES)
    def repeat(self, place: int) -> None:
        self.play(self._taken(place))

    @rule(
        place=PLACES,
        kind=st.sampled_from(["grant", "consume", "hold", "settle", "release"]),
        credits=CREDITS,
        policy=POLICIES,
    )
    def ask_for_something_else(self, place: int, kind: str, credits: int, policy: OnInsufficient) -> None:
        """With an id that is taken: by the same kind of call or another, on the same account or another."""
        taken = self._taken(place)
        account_id = self.account(place) if place % 5 == 0 else taken.account_id
        other = replace(taken, kind=kind, credits=credits, policy=policy, account_id=account_id)
        self.run(self.world.play(other))

    def _taken(self, place: int) -> Call:
        """A call that was accepted, or now and then one that may have been refused."""
        known = self.past if place % 7 == 0 else self._accepted()
        return known[place % len(known)]

    def _accepted(self) -> list[Call]:
        return [call for account in self.world.model.accounts.values() for call, _ in account.taken.values()]

    def _revocation(self, place: int) -> Call:
        """The end of some grant, which may have come to its end before, or was never made."""
        granted = [call for call in self.past if call.kind == "grant"]
        if place % 50 == 0:
            return Call("revoke", self.account(place), self.new_id())
        return replace(granted[place % len(granted)], kind="revoke")

    @rule(demands=AT_ONCE)
    def all_at_once(self, demands: list[tuple[str, int, OnInsufficient, GrantType, int]]) -> None:
        calls: list[Call] = []
        for kind, credits, policy, grant_type, place in demands:
            if kind == "repeat":
                calls.append(self._again(calls, place))
            elif kind == "revoke":
                calls.append(self._revocation(place))
            elif kind == "reverse":
                calls.append(self._reversal(place, 4 * credits % (PAID_CENTS + 1), PAID_CENTS * (place % 2)))
            elif kind in ("settle", "release", "extend"):
                calls.append(replace(self._hold(place), kind=kind, credits=credits))
            else:
                call = Call(kind, self.account(place), self.new_id(), credits, policy, type=grant_type)
                calls.append(call)
        self.past += [call for call in calls if call.operation_id]
        self.run(self.world.play_at_once(calls))

    def _again(self, calls: list[Call], place: int) -> Call:
        """One of these calls, or of earlier ones, once more."""
        return calls[place % len(calls)] if calls and place % 2 else self._taken(place)

    @rule(hours=HOURS)
    def time_passes(self, hours: int) -> None:
        """Everything that time does here, it does at the full hour, or nearly."""
        self.run(self.world.set_clock(self.world.now + timedelta(hours=hours)))

    @rule(place=st.integers(0, 3), moment=MOMENTS)
    def an_instant_comes(self, place: int, moment: timedelta) -> None:
        """An instant at which something ends, or the last before it, or the first after it."""
        instants = sorted(each + moment for each in self._ends() if each + moment > self.world.now)
        if instants:
            self.run(self.world.set_clock(instants[min(place, len(instants) - 1)]))

    def _ends(self) -> set[datetime]:
        accounts = self.world.model.accounts.values()
        expiries = {grant.expires_at for account in accounts for grant in account.grants.values() if grant.expires_at}
        return expiries | {
            hold.until for account in accounts for hold in account.holds.values() if hold.until is not None
        }

    @invariant()
    def ledger_and_model_are_alike(self) -> None:
        if self.world.model.accounts:
            self.run(self.world.check())
