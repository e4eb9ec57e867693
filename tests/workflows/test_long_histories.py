"""What is heard while a long history comes to its end is not lost: the next run takes over.

On the real server, which is told to find a history long very early; the one that skips time never finds it so.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from temporalio.testing import WorkflowEnvironment

from gateways.temporal.connection import TemporalAddress, connect
from local.children import Command
from local.temporal import NAMESPACE, TemporalDevServer
from messages.payments import NoticeKind, PaymentState, TopUpDemand
from tests.workflows.payment_flow import PaymentFlow, payment_flow

# A top-up takes some 60 events, and each signal is one.
LONG = 40
NEWS = 60


class EarlyServer(TemporalDevServer):
    """A server that suggests after few events that a workflow continue as new."""

    def command(self) -> Command:
        usual = super().command()
        early = ("--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={LONG}")
        return replace(usual, argv=(*usual.argv, *early))


@pytest.fixture(scope="module")
async def early(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WorkflowEnvironment]:
    """That server."""
    server = EarlyServer(tmp_path_factory.mktemp("early"))
    await server.start()
    try:
        client = await connect(TemporalAddress(address=server.address, namespace=NAMESPACE))
        yield WorkflowEnvironment.from_client(client)
    finally:
        await server.stop()


@pytest.fixture
async def money(early: WorkflowEnvironment, request: pytest.FixtureRequest) -> AsyncIterator[PaymentFlow]:
    """An account's payments on their way, on that server."""
    async with payment_flow(early, request.node.name) as begun:
        yield begun


async def _has_continued(money: PaymentFlow) -> bool:
    """Whether the workflow that was last spoken to has had more runs than one."""
    described = await money.handle.describe()
    return described.raw_description.workflow_execution_info.first_run_id != described.run_id


async def test_a_crossing_that_comes_as_the_run_grows_long_is_topped_up_by_the_next(money: PaymentFlow) -> None:
    """Spent again before the first top-up is done: its run has heard of it, and ends."""
    told: list[asyncio.Task[None]] = []

    async def tell() -> None:
        for _ in range(NEWS):
            await money.wants_top_up()

    def spend_after_the_first(notice: object) -> None:
        if len(money.books.payments) == 1 and not told:
            money.books.base -= 6_000
            told.append(asyncio.get_running_loop().create_task(tell()))

    money.books.on_notice = spend_after_the_first
    await money.wants_top_up()
    await money.until(lambda: bool(told) and money.books.only.state is PaymentState.SUCCEEDED)
    await told[0]
    await money.webhook(money.books.only)
    await money.until(lambda: len(money.books.payments) == 2)
    await money.until(lambda: money.books.payments[1].state is PaymentState.SUCCEEDED)
    await money.webhook(money.books.payments[1])
    await money.ends()
    first, second = money.books.payments
    assert (first.state, second.state) == (PaymentState.PAID, PaymentState.PAID)
    assert money.books.net == 5_000
    assert len(money.stripe.keys_used) == len(money.books.told(NoticeKind.AUTO_TOPUP_ADDED)) == 2
    assert await _has_continued(money)


async def test_requests_that_wait_as_the_run_grows_long_are_all_answered(money: PaymentFlow) -> None:
    answered = await asyncio.gather(
        *(money.top_up(TopUpDemand(needed=600)) for _ in range(5)), *(money.wants_top_up() for _ in range(NEWS))
    )
    outcomes = [outcome for outcome in answered if outcome is not None]
    assert len(outcomes) == 5
    assert {outcome.error for outcome in outcomes} == {None}
    assert len(money.stripe.keys_used) == 1


async def test_a_refund_that_is_told_as_the_run_grows_long_is_taken_back_by_the_next(money: PaymentFlow) -> None:
    payment = await money.bought()
    intent = str(payment.payment_intent_id)
    money.stands(payment, refunded=100)
    asked = 0

    async def refund_more_after_the_answer() -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            money.stands(payment, refunded=700)
            for _ in range(NEWS):
                await money.reversal_webhook(intent)

    money.stripe.on_standing = refund_more_after_the_answer
    await money.reversal_webhook(intent)
    await money.ends()
    assert money.books.booked[intent].reversed_credits == 700
    assert await _has_continued(money)
    # However often it was told: what had been heard is asked about once more, and not for each.
    assert asked == 2
