"""Spending over HTTP and over the WebSocket."""

import asyncio

from tests.api.running import RunningApi, new_id, rows


async def test_spending_says_which_grants_paid(api: RunningApi, account: str) -> None:
    free = await api.grant(account, 5, type="free")
    bought = await api.grant(account, 10, type="purchase")
    operation_id = new_id()
    body = {"operationId": operation_id, "credits": 8, "description": "a\nprompt"}
    answer = await api.admin.post(f"/v1/accounts/{account}/consumptions", json=body)
    assert answer.status_code == 200
    assert answer.json() == {
        "operationId": operation_id,
        "consumed": 8,
        "fromPurchased": 3,
        "allocations": [
            {"grantId": free["grantId"], "operationId": free["operationId"], "type": "free", "credits": 5},
            {"grantId": bought["grantId"], "operationId": bought["operationId"], "type": "purchase", "credits": 3},
        ],
        "debtIncurred": 0,
        "debt": 0,
        "remainingBalance": 7,
        "netBalance": 7,
        "replayed": False,
    }
    again = await api.admin.post(f"/v1/accounts/{account}/consumptions", json=body)
    assert again.json() == answer.json() | {"replayed": True}
    conflict = await api.admin.post(f"/v1/accounts/{account}/consumptions", json=body | {"credits": 9})
    assert (conflict.status_code, conflict.json()["code"]) == (409, "idempotency-conflict")
    balance = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    assert (balance["remainingBalance"], balance["usage"]) == (7, 8)


async def test_too_few_credits_are_402_with_the_numbers_and_nothing_written(api: RunningApi, account: str) -> None:
    await api.grant(account, 5)
    before = await rows(api.database)
    answer = await api.admin.post(f"/v1/accounts/{account}/consumptions", json={"operationId": new_id(), "credits": 6})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["retryable"]) == (402, "insufficient-credits", False)
    assert (problem["needed"], problem["available"], problem["remainingBalance"]) == (6, 5, 5)
    assert await rows(api.database) == before


async def test_an_account_spends_its_own_credits_and_never_into_debt(api: RunningApi, account: str) -> None:
    await api.grant(account, 5)
    body = {"operationId": new_id(), "credits": 2}
    async with api.client(await api.token_of(account)) as holder:
        assert (await holder.post(f"/v1/accounts/{account}/consumptions", json=body)).status_code == 200
        into_debt = {"operationId": new_id(), "credits": 9, "onInsufficient": "debt"}
        refused = await holder.post(f"/v1/accounts/{account}/consumptions", json=into_debt)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        other = await api.open_account()
        stranger = await holder.post(f"/v1/accounts/{other}/consumptions", json=body)
        assert stranger.status_code == 403
    booked = await api.admin.post(f"/v1/accounts/{account}/consumptions", json=into_debt)
    assert (booked.json()["debtIncurred"], booked.json()["debt"], booked.json()["netBalance"]) == (6, 6, -6)


async def test_what_is_no_consumption_is_refused(api: RunningApi, account: str) -> None:
    path = f"/v1/accounts/{account}/consumptions"
    for wrong in ({"credits": 0}, {"credits": True}, {"credits": 1.5}, {"operationId": "free-me"}, {"more": 1}):
        answer = await api.admin.post(path, json={"operationId": new_id(), "credits": 1} | wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), wrong
    for unknown in ("nobody", "0198c5a0-0000-7000-8000-000000000000"):
        body = {"operationId": new_id(), "credits": 1}
        answer = await api.admin.post(f"/v1/accounts/{unknown}/consumptions", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-account")


async def test_many_requests_spend_to_the_unit(api: RunningApi, account: str) -> None:
    await api.grant(account, 100)
    asked = [
        api.admin.post(f"/v1/accounts/{account}/consumptions", json={"operationId": new_id(), "credits": 3})
        for _ in range(50)
    ]
    statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
    assert (statuses.count(200), statuses.count(402)) == (33, 17)


async def test_the_socket_spends_and_tells_who_paid(api: RunningApi, account: str) -> None:
    grant = await api.grant(account, 10)
    operation_id = new_id()
    async with api.socket_of(account) as socket:
        spend = {"operationId": operation_id, "credits": 4, "repoUrl": "https://github.com/ada/engine"}
        answer = await socket.ask("consume", **spend)
        assert (answer["type"], answer["paidBy"], answer["replayed"]) == ("consume-response", account, False)
        assert (answer["consumed"], answer["remainingBalance"]) == (4, 6)
        assert [each["grantId"] for each in answer["allocations"]] == [grant["grantId"]]
        push = await socket.next_push()
        assert (push["type"], push["remainingBalance"], push["usage"]) == ("usage-response", 6, 4)
        assert (await socket.ask("consume", **spend))["replayed"] is True


async def test_the_socket_refuses_by_an_action_error(api: RunningApi, account: str) -> None:
    await api.grant(account, 3)
    async with api.socket_of(account) as socket:
        refused = await socket.ask("consume", operationId=new_id(), credits=4)
        assert (refused["type"], refused["error"], refused["remainingBalance"]) == (
            "action-error",
            "insufficient-credits",
            3,
        )
        wrong_url = await socket.ask("consume", operationId=new_id(), credits=1, repoUrl="nowhere")
        assert wrong_url["error"] == "invalid-message"
        reserved = await socket.ask("consume", operationId="free-me", credits=1)
        assert reserved["error"] == "invalid-message"
        into_debt = await socket.ask("consume", operationId=new_id(), credits=4, onInsufficient="debt")
        assert into_debt["error"] == "forbidden"
