"""Auto top-up and purchases by the Python client: over HTTP, and over the WebSocket."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from client.answers import ActionFailed, BalanceNews, ToppedUp
from client.errors import Refused
from client.http import GrantflowClient
from client.socket import EVENTS_KEPT, Event, GrantflowSocket
from ledger.noticing import give_notice
from messages.payments import NoticeKind, NoticeOrder, PaymentError
from tests.api.payment_flows import CHECKOUT_PAGE, DECLINED_MESSAGE
from tests.api.running import ADMIN_TOKEN, RunningApi, new_id
from tests.client.bad_line import BadLine, Fault


@pytest.fixture
async def carded(api: RunningApi, admin: GrantflowClient, account: str) -> AsyncIterator[str]:
    """An account with a card, which is good unless the test says otherwise."""
    await admin.set_payment_method(account, "pm_card_visa")
    yield account
    api.flows.card = "good"


async def _next(events: AsyncGenerator[Event, None], kind: type[Event]) -> Event:
    async with asyncio.timeout(10):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError("the events ended")


async def test_auto_topup_is_chosen_and_shown(admin: GrantflowClient, carded: str) -> None:
    await admin.grant(carded, operation_id=new_id(), type="admin", credits=5000)
    before = await admin.auto_topup(carded)
    assert (before.enabled, before.threshold, before.target, before.last_result) == (False, None, None, None)
    chosen = await admin.set_auto_topup(carded, enabled=True, threshold=500, target=2000, monthly_limit_cents=9000)
    assert (chosen.enabled, chosen.threshold, chosen.target) == (True, 500, 2000)
    assert (chosen.monthly_limit_cents, chosen.monthly_spent_cents, chosen.warning) == (9000, 0, None)
    assert "2,000" in chosen.sentence
    assert await admin.auto_topup(carded) == chosen


async def test_what_is_not_named_stays(admin: GrantflowClient, carded: str) -> None:
    await admin.grant(carded, operation_id=new_id(), type="admin", credits=5000)
    await admin.set_auto_topup(carded, enabled=True, threshold=500, target=2000, monthly_limit_cents=9000)
    off = await admin.set_auto_topup(carded, enabled=False)
    assert (off.enabled, off.threshold, off.target, off.monthly_limit_cents) == (False, 500, 2000, 9000)
    unlimited = await admin.set_auto_topup(carded, enabled=True, threshold=0, target=1000, monthly_limit_cents=None)
    assert (unlimited.threshold, unlimited.target, unlimited.monthly_limit_cents) == (0, 1000, None)


async def test_a_choice_out_of_range_or_without_a_card_is_refused(
    admin: GrantflowClient, carded: str, api: RunningApi
) -> None:
    with pytest.raises(Refused) as wrong:
        await admin.set_auto_topup(carded, enabled=True, threshold=500, target=400)
    assert (wrong.value.code, wrong.value.members["errors"][0]["field"]) == ("invalid-request", "target")
    with pytest.raises(Refused) as cardless:
        await admin.set_auto_topup(await api.open_account(), enabled=True, threshold=0, target=1000)
    assert (cardless.value.code, cardless.value.status) == ("auto-topup-no-payment-method", 402)


async def test_below_the_threshold_the_answer_warns(admin: GrantflowClient, carded: str) -> None:
    chosen = await admin.set_auto_topup(carded, enabled=True, threshold=500, target=2000)
    assert chosen.warning is not None
    assert "2,000" in chosen.warning


async def test_a_purchase_has_one_effect(api: RunningApi, carded: str, line: BadLine) -> None:
    operation_id = new_id()
    line.faults.extend([Fault.ANSWER_LOST])
    async with GrantflowClient(line.url, ADMIN_TOKEN) as client:
        bought = await client.buy(carded, operation_id=operation_id, credits=600)
        assert (bought.status, bought.credits, bought.replayed) == ("paid", 600, True)
        assert bought.grant is not None
        assert (bought.grant.operation_id, bought.grant.principal) == (operation_id, 600)
        assert (await client.balance(carded)).balance_breakdown["purchase"] == 600
        shown = await client.purchase(operation_id)
        assert (shown.grant, shown.receipt_url) == (bought.grant, bought.receipt_url)
        with pytest.raises(Refused) as refused:
            await client.buy(carded, operation_id=operation_id, credits=700)
    assert refused.value.code == "idempotency-conflict"
    assert api.flows.purchased.count(operation_id) == 1


async def test_a_purchase_on_a_page_and_one_that_is_declined(
    api: RunningApi, admin: GrantflowClient, carded: str
) -> None:
    api.flows.card = "checkout"
    asked = await admin.buy(carded, operation_id=new_id(), credits=600)
    assert (asked.status, asked.checkout_url, asked.grant) == ("requires-action", CHECKOUT_PAGE, None)
    api.flows.card = "declined"
    declined = await admin.buy(carded, operation_id=new_id(), credits=600)
    assert (declined.status, declined.error, declined.checkout_url) == ("failed", "payment-declined", None)
    with pytest.raises(Refused) as refused:
        await admin.buy(carded, operation_id=new_id(), credits=1)
    assert refused.value.code == "invalid-request"
    with pytest.raises(Refused) as unknown:
        await admin.purchase("op-none")
    assert unknown.value.code == "not-found"


async def test_payments_come_page_by_page(admin: GrantflowClient, carded: str) -> None:
    made = [(await admin.buy(carded, operation_id=new_id(), credits=500 + n)).operation_id for n in range(3)]
    page = await admin.purchases(carded, limit=2)
    assert [each.operation_id for each in page.data] == made[:0:-1]
    rest = await admin.purchases(carded, limit=2, cursor=page.next_cursor)
    assert ([each.operation_id for each in rest.data], rest.next_cursor) == (made[:1], None)
    assert [each.operation_id async for each in admin.all_purchases(carded)] == made[::-1]
    assert {each.kind for each in page.data} == {"purchase"}


async def test_over_the_socket(api: RunningApi, carded: str) -> None:
    await api.grant(carded, 5000)
    async with GrantflowSocket(api.url, await api.token_of(carded)) as socket:
        assert socket.account_id in (None, carded)
        chosen = await socket.set_auto_topup(enabled=True, threshold=500, target=2000, monthly_limit_cents=9000)
        assert (chosen.enabled, chosen.monthly_limit_cents, socket.account_id) == (True, 9000, carded)
        assert (await socket.set_auto_topup(enabled=False)).monthly_limit_cents == 9000
        operation_id = new_id()
        bought = await socket.buy_credits(operation_id, 600)
        assert (bought.status, bought.replayed, bought.grant is not None) == ("paid", False, True)
        assert (await socket.buy_credits(operation_id, 600)).replayed
        with pytest.raises(Refused):
            await socket.set_auto_topup(enabled=True, threshold=500, target=1)


async def test_a_top_up_and_its_failure_are_events(api: RunningApi, admin: GrantflowClient, carded: str) -> None:
    await api.grant(carded, 600)
    await admin.set_auto_topup(carded, enabled=True, threshold=500, target=2000)
    async with (
        GrantflowSocket(api.url, await api.token_of(carded)) as socket,
        aclosing(socket.events()) as events,
    ):
        # What the account can't pay is topped up while it waits.
        assert (await socket.consume(new_id(), 1000)).consumed == 1000
        added = await _next(events, ToppedUp)
        assert isinstance(added, ToppedUp)
        assert added.auto_topup_added == 1400
        api.flows.card = "declined"
        with pytest.raises(Refused) as refused:
            await socket.consume(new_id(), 9000)
        assert refused.value.code == "insufficient-credits"
        assert refused.value.members["autoTopupError"] == "auto-topup-declined"
        failed = await _next(events, ActionFailed)
    assert isinstance(failed, ActionFailed)
    assert (failed.error, failed.message, failed.request_id) == ("auto-topup-declined", DECLINED_MESSAGE, None)
    assert failed.remaining_balance == 1000
    settings = await admin.auto_topup(carded)
    assert (settings.enabled, settings.disabled_reason) == (False, "auto-topup-declined")
    assert settings.last_result is not None
    assert (settings.last_result.state, settings.last_result.message) == ("failed", DECLINED_MESSAGE)


async def test_an_authentication_says_where(api: RunningApi, admin: GrantflowClient, carded: str) -> None:
    await api.grant(carded, 600)
    await admin.set_auto_topup(carded, enabled=True, threshold=500, target=2000)
    api.flows.card = "authentication"
    with pytest.raises(Refused) as refused:
        await admin.consume(carded, operation_id=new_id(), credits=1000)
    last = (await admin.auto_topup(carded)).last_result
    assert last is not None
    assert (
        refused.value.members["actionUrl"] == last.action_url == f"{api.url}/payments/{last.operation_id}/authenticate"
    )


async def test_old_balances_give_way_to_what_is_told_once(api: RunningApi, account: str) -> None:
    order = NoticeOrder(account, NoticeKind.AUTO_TOPUP_FAILED, new_id(), "It failed.", error=PaymentError.DECLINED)
    async with GrantflowSocket(api.url, await api.token_of(account)) as socket:
        async with aclosing(socket.events()) as events:
            assert isinstance(await _next(events, BalanceNews), BalanceNews)
            await give_notice(api.engine, order)
            failed = await _next(events, ActionFailed)
        # Nobody comes for what follows: that failure once more, and more balances than are kept.
        socket._happened(failed)
        news = BalanceNews.model_validate((await socket.usage()).model_dump(by_alias=True))
        for _ in range(EVENTS_KEPT + 10):
            socket._happened(news)
        assert len(socket._events) == EVENTS_KEPT
        assert socket._events[0] is failed
        for _ in range(EVENTS_KEPT):
            socket._happened(failed)
        assert set(map(type, socket._events)) == {ActionFailed}
