"""Refunds and disputes, told in any order, any number of times, while they happen or long after: one end.

What is delivered is news; what is booked comes from what Stripe says at that moment. So a drawn order has two parts: in
which order things happen at Stripe, and when, how often and how late we hear of each.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.balances import Balance, read_balance
from ledger.consuming import ConsumeOrder, OnInsufficient
from ledger.granting import process_and_grant_credit
from ledger.reversing import reverse_payment
from ledger.rules.errors import UnknownPayment
from messages.grants import GrantOrder, GrantType
from messages.reversals import PaymentStanding, Reversal
from tests.conftest import MakeDatabase
from tests.store.books import assert_books_balance
from tests.store.holding import do
from tests.store.support import open_user
from workflows.payment_reversal import target_of

PAID = 1000
SPENT = 400
FIRST, SECOND = 250, 333


@dataclass
class AtStripe:
    """A payment at Stripe, as it stands while things happen to it."""

    standing: PaymentStanding

    def happen(self, event: str) -> None:
        """One thing happens."""
        now = self.standing
        match event:
            case "refund-1":
                now = replace(now, refunded_cents=now.refunded_cents + FIRST)
            case "refund-2":
                now = replace(now, refunded_cents=now.refunded_cents + SECOND)
            case "opened":
                now = replace(now, dispute_open=True)
            case "withdrawn":
                now = replace(now, withdrawn_cents=PAID)
            case "won":
                now = replace(now, dispute_open=False, reinstated_cents=now.withdrawn_cents)
            case "lost":
                now = replace(now, dispute_open=False)
        self.standing = now


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, str]]:
    """What happens at Stripe, and when we are told: ``("happens", event)`` and ``("told", event)``, in one order.

    A dispute is opened before it is withdrawn and that before it is closed; the rest is free. Each event is told after
    it has happened, once or up to three times. "succeeded" is when the credits are given, "spent" when 40 % are spent.
    """
    end = draw(st.sampled_from(["won", "lost"]))
    happens = draw(st.permutations(["refund-1", "refund-2", "opened", "withdrawn", end]))
    dispute = iter(["opened", "withdrawn", end])
    happens = [each if each.startswith("refund") else next(dispute) for each in happens]
    told = ["succeeded", "spent", *(each for each in happens for _ in range(draw(st.integers(1, 3))))]
    story = [("happens", each) for each in happens]
    for each in draw(st.permutations(told)):
        earliest = 0 if each in ("succeeded", "spent") else story.index(("happens", each)) + 1
        story.insert(draw(st.integers(earliest, len(story))), ("told", each))
    return story


async def tell(engine: AsyncEngine, account_id: str, stripe: AtStripe) -> Reversal | None:
    """Books what Stripe says now; None where the credits are not there yet. (The workflow tries that again.)"""
    try:
        return await reverse_payment(engine, target_of(stripe.standing), request_id="told")
    except UnknownPayment:
        return None


async def live_through(engine: AsyncEngine, story: list[tuple[str, str]], others: int) -> tuple[Balance, Reversal]:
    """An account's balance, and what is reversed of its payment, after all of it."""
    account_id = await open_user(engine, free_credits=0)
    payment = f"pi_{account_id}"
    stripe = AtStripe(PaymentStanding(payment, PAID, 0, 0, 0, dispute_open=False, failed=False, operation_id=None))
    if others:
        await process_and_grant_credit(engine, GrantOrder(f"o-{account_id}", account_id, GrantType.ADMIN, others))
    last: Reversal | None = None
    for what, event in story:
        if what == "happens":
            stripe.happen(event)
        elif event == "spent":
            order = ConsumeOrder(account_id, f"s-{account_id}", SPENT, OnInsufficient.DEBT)
            await do(engine, order)
        elif event == "succeeded":
            bought = GrantOrder(f"b-{account_id}", account_id, GrantType.PURCHASE, PAID, payment_id=payment)
            await process_and_grant_credit(engine, bought)
            last = await tell(engine, account_id, stripe)
        else:
            last = await tell(engine, account_id, stripe) or last
    assert last is not None
    return await read_balance(engine, account_id), last


def by_formula(story: list[tuple[str, str]]) -> int:
    """What is reversed in the end, in credits: the price is one cent a credit."""
    lost = ("happens", "lost") in story
    return PAID if lost else FIRST + SECOND


def test_every_order_ends_in_the_same_books(make_database: MakeDatabase) -> None:
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()
    run = loop.run_until_complete
    database = run(stack.enter_async_context(make_database()))
    engine = database.open_engine(pool_size=3)

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(story=stories(), others=st.sampled_from([0, 500]))
    def check(story: list[tuple[str, str]], others: int) -> None:
        balance, reversal = run(live_through(engine, story, others))
        assert (reversal.reversed_credits, reversal.frozen_credits, balance.held) == (by_formula(story), 0, 0)
        net = PAID + others - SPENT - by_formula(story)
        assert (balance.net, balance.debt, balance.remaining) == (net, max(0, -net), max(0, net))

    try:
        check()
        run(assert_books_balance(database))
    finally:
        run(engine.dispose())
        run(stack.aclose())
        loop.close()
