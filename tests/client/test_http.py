"""The Python client over HTTP: typed answers, and repeats exactly where they are safe."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from client.answers import Grant
from client.errors import Refused, Unreachable
from client.http import GrantflowClient
from ledger.mirroring import change_stage
from local.ports import free_port
from messages.grants import GrantStage, StageChange
from tests.api.flows import DECLINED
from tests.api.running import ADMIN_TOKEN, RunningApi, new_id, rows
from tests.client.bad_line import BadLine, Fault


async def test_an_account_and_all_that_it_has(api: RunningApi, admin: GrantflowClient) -> None:
    account = await admin.create_account("user", "Ada", email="ada@example.com", free_credits=20)
    method = await admin.set_payment_method(account.account_id, "pm_card_visa")
    assert method.last4 == "4242"
    expires_at = datetime(2099, 1, 1, tzinfo=UTC)
    granted = await admin.grant(
        account.account_id, operation_id=new_id(), type="free", credits=30, description="hello", expires_at=expires_at
    )
    assert granted.created
    assert granted.grant.expires_at == expires_at
    assert await admin.find_grant(granted.grant.operation_id) == granted.grant
    balance = await admin.balance(account.account_id)
    assert (balance.remaining_balance, balance.balance_breakdown["free"]) == (50, 50)
    assert (await admin.account(account.account_id)).payment_method == method

    token = await admin.create_token(account.account_id)
    async with GrantflowClient(api.url, token) as holder:
        assert (await holder.balance(account.account_id)).remaining_balance == 50
        assert (await holder.create_ticket()).startswith("gft_")
        with pytest.raises(Refused) as refused:
            await holder.grant(account.account_id, operation_id=new_id(), type="admin", credits=1)
        assert (refused.value.code, refused.value.status) == ("forbidden", 403)


async def test_all_grants_come_page_by_page(admin: GrantflowClient, account: str) -> None:
    made = [
        (await admin.grant(account, operation_id=new_id(), type="admin", credits=1)).grant.grant_id for _ in range(5)
    ]
    assert [grant.grant_id async for grant in admin.all_grants(account)] == made
    page = await admin.grants(account, limit=2)
    assert page.next_cursor is not None
    assert [grant.grant_id for grant in (await admin.grants(account, limit=2, cursor=page.next_cursor)).data] == made[
        2:4
    ]


async def test_what_operators_do(api: RunningApi, admin: GrantflowClient, account: str) -> None:
    operation_id = (await admin.grant(account, operation_id=new_id(), type="admin", credits=9)).grant.operation_id
    await change_stage(api.engine, StageChange(operation_id, GrantStage.STUCK, reason="no such price"))
    stuck = [grant async for grant in _stuck(admin)]
    [mine] = [grant for grant in stuck if grant.operation_id == operation_id]
    assert mine.reason == "no such price"
    assert mine.temporal_ui_url is not None
    assert (await admin.retry_grant(operation_id)).stage == "stuck"
    assert (await admin.retry_grant(operation_id, reason="price made")).workflow_id == f"grant/{operation_id}"
    assert (await admin.abandon_grant(operation_id, reason="enough")).stage == "stuck"
    assert (await admin.revoke_grant(operation_id, reason="a mistake")).revoked == 9
    assert (await admin.revoke_grant(operation_id, reason="a mistake")).replayed


async def _stuck(admin: GrantflowClient) -> AsyncGenerator[Grant, None]:
    cursor = None
    while True:
        page = await admin.grants_at("stuck", cursor=cursor)
        for grant in page.data:
            yield grant
        cursor = page.next_cursor
        if cursor is None:
            return


async def test_a_refusal_carries_the_services_words_and_numbers(admin: GrantflowClient, account: str) -> None:
    with pytest.raises(Refused) as declined:
        await admin.set_payment_method(account, DECLINED)
    assert (declined.value.code, declined.value.status) == ("payment-method-refused", 402)
    with pytest.raises(Refused) as invalid:
        await admin.grant(account, operation_id=new_id(), type="admin", credits=0)
    assert invalid.value.members["errors"][0]["maximum"] == 10**12
    assert invalid.value.request_id is not None


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.ANSWER_LOST])
async def test_a_grant_is_repeated_until_it_is_answered(
    api: RunningApi, account: str, line: BadLine, fault: Fault
) -> None:
    line.faults.extend([fault, fault])
    async with GrantflowClient(line.url, ADMIN_TOKEN) as client:
        granted = await client.grant(account, operation_id=new_id(), type="admin", credits=5)
    assert line.connections == 3
    assert granted.created == (fault is Fault.REFUSED)
    balance = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    assert (balance["remainingBalance"], balance["seq"]) == (5, 1)


async def test_an_outage_is_waited_for(api: RunningApi, admin: GrantflowClient, account: str) -> None:
    api.flows.down = True
    asking = asyncio.create_task(admin.grant(account, operation_id=new_id(), type="admin", credits=5))
    try:
        await asyncio.sleep(0.3)
        assert not asking.done()
    finally:
        api.flows.down = False
    assert (await asking).created


async def test_an_outage_that_lasts_is_told(api: RunningApi, account: str) -> None:
    api.flows.down = True
    try:
        async with GrantflowClient(api.url, ADMIN_TOKEN, attempts=2) as client:
            with pytest.raises(Unreachable, match="same operation id"):
                await client.grant(account, operation_id=new_id(), type="admin", credits=5)
    finally:
        api.flows.down = False


async def test_what_has_no_id_is_not_repeated_once_it_was_sent(api: RunningApi, line: BadLine) -> None:
    before = await rows(api.database)
    line.faults.append(Fault.ANSWER_LOST)
    async with GrantflowClient(line.url, ADMIN_TOKEN) as client:
        with pytest.raises(Unreachable):
            await client.create_account("user", "Ada")
    assert (await rows(api.database))["accounts"] == before["accounts"] + 1
    line.faults.append(Fault.ANSWER_LOST)
    async with GrantflowClient(line.url, ADMIN_TOKEN) as client:
        await client.create_account("user", "Ada", external_id=new_id())
    assert (await rows(api.database))["accounts"] == before["accounts"] + 2


async def test_a_refusal_is_not_repeated(account: str, line: BadLine) -> None:
    async with GrantflowClient(line.url, "wrong") as client:
        with pytest.raises(Refused, match="Authorization"):
            await client.balance(account)
    assert line.connections == 1


async def test_nobody_there() -> None:
    async with GrantflowClient(f"http://127.0.0.1:{free_port()}", ADMIN_TOKEN, attempts=2) as client:
        with pytest.raises(Unreachable, match="does not answer"):
            await client.balance("x")


async def test_ids_can_not_climb_out_of_their_path(admin: GrantflowClient) -> None:
    for odd in ("../../healthz", "a/b", "a?b", "a#b", "..", "%2e%2e", "ü"):
        with pytest.raises(Refused) as refused:
            await admin.find_grant(odd)
        assert refused.value.code == "not-found", odd


async def test_spending_is_repeated_safely(admin: GrantflowClient, account: str) -> None:
    await admin.grant(account, operation_id=new_id(), type="purchase", credits=10)
    operation_id = new_id()
    spent = await admin.consume(account, operation_id=operation_id, credits=4, description="a prompt")
    assert (spent.consumed, spent.from_purchased, spent.remaining_balance, spent.replayed) == (4, 4, 6, False)
    again = await admin.consume(account, operation_id=operation_id, credits=4, description="a prompt")
    assert again == spent.model_copy(update={"replayed": True})
    with pytest.raises(Refused) as refused:
        await admin.consume(account, operation_id=new_id(), credits=7)
    assert (refused.value.code, refused.value.members["available"]) == ("insufficient-credits", 6)
    assert (await admin.consume(account, operation_id=new_id(), credits=7, on_insufficient="debt")).debt == 1
