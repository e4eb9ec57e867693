"""A machine that does whatever comes to its mind, and after every step compares the ledger with a naive model.

I1 to I4, I6 and I7 hold after every step. `--hypothesis-seed=N` makes it do something else.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.balances import read_balance
from ledger.clock import advance_test_clock
from ledger.consuming import Consumed, ConsumeOrder, Consumption, OnInsufficient
from ledger.granting import find_grant, process_and_grant_credit
from ledger.opening import Opening, open_account
from ledger.revoking import revoke_grant
from ledger.rules.errors import IdempotencyConflict, InsufficientCredits
from ledger.rules.limits import DEFAULT_DEBT_CAP
from messages.grants import GrantOrder, GrantType
from tests.conftest import MakeDatabase
from tests.store.model import ModelAccount, ModelGrant
from tests.store.support import owe, session, wrong_books

R = TypeVar("R")
Row = tuple[Any, ...]

EXAMPLES, STEPS = 12, 30
HOUR_SECONDS = 3600
CREDITS = st.integers(1, 200)
EXPIRING = (GrantType.FREE, GrantType.REFERRAL)

_JOURNAL = """
SELECT entry_id, account_id::text, seq, kind, operation_id, grant_id::text, credits, balance_after, actor, request_id,
    price_cents, price_credits, currency, effective_at, recorded_at
FROM journal ORDER BY entry_id
"""


# Debt that the tests have written themselves is nobody's spending.
_SPENT = """
SELECT coalesce(-sum(credits), 0)::bigint FROM journal
WHERE kind IN ('consumed', 'debt-incurred') AND actor <> 'test'
"""


class LedgerMachine(RuleBasedStateMachine):
    """The ledger on a database of its own, beside the model of it."""

    make_database: MakeDatabase
    loop: asyncio.AbstractEventLoop

    accounts = Bundle("accounts")
    grants = Bundle("grants")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, ModelAccount] = {}
        self.journal: list[Row] = []
        self.count = 0
        self.usage = 0
        self.resources = AsyncExitStack()
        self.run(self._set_up())

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Runs to its end what the ledger does."""
        return self.loop.run_until_complete(work)

    async def _set_up(self) -> None:
        self.database = await self.resources.enter_async_context(self.make_database())
        self.engine = self.database.open_engine(pool_size=2)
        self.resources.push_async_callback(self.engine.dispose)
        self.owner = await self.resources.enter_async_context(session(self.database.owner_url))

    def teardown(self) -> None:
        self.run(self.resources.aclose())

    def now(self, account_id: str) -> datetime:
        """The product's clock."""
        return self.run(read_balance(self.engine, account_id)).now

    def order(self, account_id: str, grant_type: GrantType, credits: int) -> GrantOrder:
        """An order that nobody has given before."""
        self.count += 1
        return GrantOrder(
            f"operation-{self.count}", account_id, grant_type, credits, request_id=f"request-{self.count}"
        )

    @initialize(target=accounts)
    def begin(self) -> str:
        return self._opened(free_credits=0)

    @rule(target=accounts, free_credits=st.sampled_from([0, 0, 30]))
    def open(self, free_credits: int) -> str:
        return self._opened(free_credits)

    def _opened(self, free_credits: int) -> str:
        opened = self.run(open_account(self.engine, Opening(kind="user", name="Ada", free_credits=free_credits)))
        assert opened.created
        account = ModelAccount(opened.account.created_at)
        if free_credits:
            order = GrantOrder("free", opened.account.account_id, GrantType.FREE, free_credits)
            account.give(order, opened.account.created_at)
        self.model[opened.account.account_id] = account
        return opened.account.account_id

    @rule(
        target=grants,
        account_id=accounts,
        grant_type=st.sampled_from(GrantType),
        credits=CREDITS,
        hours=st.none() | st.integers(1, 2000),
    )
    def grant(self, account_id: str, grant_type: GrantType, credits: int, hours: int | None) -> tuple[ModelGrant, str]:
        order = self.order(account_id, grant_type, credits)
        if hours is not None and grant_type in EXPIRING:
            order = replace(order, expires_at=self.now(account_id) + timedelta(hours=hours))
        outcome = self.run(process_and_grant_credit(self.engine, order))
        made = self.model[account_id].give(order, outcome.grant.created_at)
        assert outcome.created
        assert (outcome.grant.balance, outcome.grant.expires_at) == (made.left, made.expires_at)
        return made, account_id

    @rule(granted=grants)
    def repeat(self, granted: tuple[ModelGrant, str]) -> None:
        order = replace(granted[0].order, actor="somebody else", request_id="another")
        outcome = self.run(process_and_grant_credit(self.engine, order))
        assert not outcome.created
        assert outcome.grant == self.run(find_grant(self.engine, order.operation_id))
        assert (outcome.grant.principal, outcome.grant.balance) == (order.credits, granted[0].left)

    @rule(granted=grants, account_id=accounts, credits=CREDITS)
    def conflict(self, granted: tuple[ModelGrant, str], account_id: str, credits: int) -> None:
        order = granted[0].order
        changed = replace(order, credits=credits, account_id=account_id)
        if (changed.credits, changed.account_id) == (order.credits, order.account_id):
            changed = replace(order, description="something else")
        with pytest.raises(IdempotencyConflict):
            self.run(process_and_grant_credit(self.engine, changed))

    @rule(granted=grants)
    def revoke(self, granted: tuple[ModelGrant, str]) -> None:
        made, account_id = granted
        now = self.now(account_id)
        revocation = self.run(
            revoke_grant(self.engine, made.order.operation_id, reason="", actor="operator", request_id="r")
        )
        assert revocation.replayed == (made.revoked is not None)
        assert revocation.revoked == self.model[account_id].take_back(made, now)

    @precondition(lambda self: any(not _holds_credit(account) for account in self.model.values()))
    @rule(credits=CREDITS, data=st.data())
    def owe(self, credits: int, data: st.DataObject) -> None:
        poor = [account_id for account_id, account in self.model.items() if not _holds_credit(account)]
        account_id = data.draw(st.sampled_from(poor))
        self.run(owe(self.database, account_id, credits))
        self.model[account_id].debt += credits

    @rule(
        account_id=accounts,
        demands=st.lists(st.tuples(CREDITS, st.sampled_from(OnInsufficient)), min_size=1, max_size=4),
    )
    def consume(self, account_id: str, demands: list[tuple[int, OnInsufficient]]) -> None:
        """One batch, in the order of its calls; then each of them once more."""
        orders = []
        for credits, policy in demands:
            self.count += 1
            orders.append(ConsumeOrder(account_id, f"operation-{self.count}", credits, policy))
        account, now = self.model[account_id], self.now(account_id)
        first = self.run(self._consume(orders))
        for order, outcome in zip(orders, first, strict=True):
            into_debt = order.on_insufficient is OnInsufficient.DEBT
            spent = account.spend(order.credits, into_debt=into_debt, debt_cap=DEFAULT_DEBT_CAP, now=now)
            assert isinstance(outcome, Consumed if spent else InsufficientCredits)
            if isinstance(outcome, Consumed):
                self.usage += order.credits
                assert sum(each.credits for each in outcome.allocations) + outcome.debt_incurred == order.credits
                again = self.run(self._consume([replace(order, request_id="another")]))
                assert again == [replace(outcome, replayed=True)]
                changed = replace(order, credits=order.credits + 1)
                assert isinstance(self.run(self._consume([changed]))[0], IdempotencyConflict)

    async def _consume(self, orders: list[ConsumeOrder]) -> list[Consumed | BaseException]:
        consumption = Consumption(self.engine)
        async with consumption.running():
            return await asyncio.gather(*map(consumption.consume, orders), return_exceptions=True)

    @rule(hours=st.integers(1, 900))
    def time_passes(self, hours: int) -> None:
        self.run(advance_test_clock(self.engine, hours * HOUR_SECONDS))

    @invariant()
    def every_account_is_as_the_model_says(self) -> None:
        for account_id, account in self.model.items():
            balance = self.run(read_balance(self.engine, account_id))
            spendable = account.spendable(balance.now)
            assert balance.breakdown == spendable
            assert balance.remaining == sum(spendable.values())
            assert (balance.debt, balance.net) == (account.debt, balance.remaining - account.debt)
            assert not (balance.debt and balance.remaining)

    @invariant()
    def the_books_balance_and_the_journal_only_grows(self) -> None:
        assert self.run(wrong_books(self.owner)) == []
        journal = [tuple(row) for row in self.run(self.owner.fetch(_JOURNAL))]
        assert journal[: len(self.journal)] == self.journal
        self.journal = journal
        assert self.run(self.owner.fetchval(_SPENT)) == self.usage
        made = self.run(self.owner.fetchval("SELECT count(*) FROM grants"))
        assert made == sum(len(account.grants) for account in self.model.values())


def _holds_credit(account: ModelAccount) -> bool:
    return any(grant.left for grant in account.grants)


def test_the_ledger_equals_the_model(make_database: MakeDatabase) -> None:
    loop = asyncio.new_event_loop()

    class Machine(LedgerMachine):
        pass

    Machine.make_database = staticmethod(make_database)
    Machine.loop = loop
    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=EXAMPLES, stateful_step_count=STEPS, suppress_health_check=[HealthCheck.too_slow]
            ),
        )
    finally:
        loop.close()
