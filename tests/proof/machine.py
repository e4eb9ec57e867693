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
from tests.proof.calls import Call
from tests.proof.model import EXPIRING
from tests.proof.world import World

R = TypeVar("R")

CREDITS = st.integers(1, 200)
DEBT_CAPS = st.sampled_from([0, 60, 300])
ACCOUNTS_MAX = 3
# Many end within the hours that pass between two steps, some never do within a run.
HOURS = st.integers(1, 60) | st.integers(61, 2000)
MOMENTS = st.sampled_from([timedelta(microseconds=-1), timedelta(0), timedelta(microseconds=1)])
# What is asked for at once is small, so that who comes first matters.
FEW_CREDITS = st.integers(1, 40)
PLACES = st.integers(0, 1000)
AT_ONCE = st.lists(
    st.tuples(
        st.sampled_from(["consume", "consume", "consume", "grant", "revoke", "repeat", "sweep", "balance"]),
        FEW_CREDITS,
        st.sampled_from(OnInsufficient),
        st.sampled_from(GrantType),
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
        self.past.append(call)
        self.run(self.world.play(call))

    def account(self, number: int) -> str:
        """One of the accounts."""
        ids = list(self.world.model.accounts)
        return ids[number % len(ids)]

    @initialize(debt_cap=DEBT_CAPS)
    def begin(self, debt_cap: int) -> None:
        self.run(self.world.open_account(debt_cap=debt_cap))

    @rule(debt_cap=DEBT_CAPS)
    def open(self, debt_cap: int) -> None:
        if len(self.world.model.accounts) < ACCOUNTS_MAX:
            self.run(self.world.open_account(debt_cap=debt_cap))

    @rule(number=st.integers(0, 2), grant_type=st.sampled_from(GrantType), credits=CREDITS, hours=st.none() | HOURS)
    def grant(self, number: int, grant_type: GrantType, credits: int, hours: int | None) -> None:
        expires_at = None
        if hours is not None and grant_type in EXPIRING:
            expires_at = (self.world.now + timedelta(hours=hours)).isoformat()
        call = Call("grant", self.account(number), self.new_id(), credits, type=grant_type, expires_at=expires_at)
        self.play(call)

    @rule(number=st.integers(0, 2), credits=CREDITS, policy=st.sampled_from(OnInsufficient))
    def consume(self, number: int, credits: int, policy: OnInsufficient) -> None:
        self.play(Call("consume", self.account(number), self.new_id(), credits, policy))

    @rule(
        number=st.integers(0, 2),
        demands=st.lists(st.tuples(CREDITS, st.sampled_from(OnInsufficient)), min_size=2, max_size=6),
    )
    def consume_in_one_batch(self, number: int, demands: list[tuple[int, OnInsufficient]]) -> None:
        account_id = self.account(number)
        calls = [Call("consume", account_id, self.new_id(), credits, policy) for credits, policy in demands]
        self.past += calls
        self.run(self.world.play_in_one_batch(calls))

    @rule(number=st.integers(0, 2))
    def sweep(self, number: int) -> None:
        self.play(Call("sweep", self.account(number)))

    @rule(place=PLACES)
    def repeat(self, place: int) -> None:
        if self.past:
            self.play(self.past[place % len(self.past)])

    @rule(place=PLACES, kind=st.sampled_from(["grant", "consume"]), credits=CREDITS, number=st.integers(0, 2))
    def ask_for_something_else(self, place: int, kind: str, credits: int, number: int) -> None:
        """With an id that may be taken: by the same kind of call or another, on the same account or another."""
        taken = [call for call in self.past if call.operation_id]
        if taken:
            other = replace(taken[place % len(taken)], kind=kind, credits=credits, account_id=self.account(number))
            self.run(self.world.play(other))

    @rule(place=PLACES)
    def revoke(self, place: int) -> None:
        self.play(self._revocation(place))

    def _revocation(self, place: int) -> Call:
        """The end of some grant, which may have come to its end before, or may never have been made."""
        granted = [call for call in self.past if call.kind == "grant"]
        if not granted:
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
            else:
                call = Call(kind, self.account(place), self.new_id(), credits, policy, type=grant_type)
                calls.append(call)
        self.past += calls
        self.run(self.world.play_at_once(calls))

    def _again(self, calls: list[Call], place: int) -> Call:
        """One of these calls, or of earlier ones, once more."""
        known = calls or self.past
        return known[place % len(known)] if known else Call("balance", self.account(place))

    @rule(hours=HOURS)
    def time_passes(self, hours: int) -> None:
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
        return expiries | {hold.until for account in accounts for hold in account.holds.values()}

    @invariant()
    def ledger_and_model_are_alike(self) -> None:
        if self.world.model.accounts:
            self.run(self.world.check())
