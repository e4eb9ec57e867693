"""What clients see of a reversal: its entries, the balance, the books, and a freeze that nobody may end."""

from collections.abc import AsyncIterator
from typing import Any

from tests.api.running import RunningApi, new_id
from tests.store.reversing import buy, reverse


async def test_a_freeze_is_seen_and_ended_by_nobody(api: RunningApi, account: str) -> None:
    payment = f"pi_{new_id()}"
    await buy(api.engine, account, name=new_id(), payment_id=payment)
    await reverse(api.engine, 0, 400, payment_id=payment)
    balance = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    assert (balance["remainingBalance"], balance["held"], balance["netBalance"]) == (60, 40, 100)
    freeze = f"reversal-{payment}-freeze-1"
    calls = (("settle", {"credits": 0}), ("release", None), ("extend", {"ttlSeconds": 60}))
    async with api.client(await api.token_of(account)) as holder:
        for client in (holder, api.admin):
            for call, body in calls:
                answer = await client.post(f"/v1/holds/{freeze}/{call}", json=body)
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
                assert "for a disputed payment; it ends with the dispute" in answer.json()["detail"]
        taken = await holder.post(
            f"/v1/accounts/{account}/holds", json={"operationId": freeze, "credits": 1, "ttlSeconds": 60}
        )
        assert (taken.status_code, taken.json()["code"]) == (422, "invalid-request")
    named = await api.admin.post(f"/v1/holds/{freeze}/settle", json={"credits": 0, "accountId": account})
    assert named.status_code == 403


async def test_what_was_taken_and_given_back_is_told(api: RunningApi, account: str) -> None:
    payment = f"pi_{new_id()}"
    await buy(api.engine, account, name=new_id(), payment_id=payment)
    body = {"operationId": new_id(), "credits": 30}
    await api.admin.post(f"/v1/accounts/{account}/consumptions", json=body)
    await reverse(api.engine, 1000, payment_id=payment)
    await reverse(api.engine, 500, payment_id=payment)
    answer = await api.admin.get(f"/v1/accounts/{account}/entries", params={"kind": ["reversed", "reinstated"]})
    entries = answer.json()["data"]
    assert [(each["kind"], each["credits"], each["grantId"] is None) for each in entries] == [
        ("reversed", -70, False),
        ("reversed", -30, True),
        ("reinstated", 50, False),
    ]
    assert [each["operationId"] for each in entries] == [f"reversal-{payment}-{number}" for number in (1, 1, 2)]
    explained = (await api.admin.get(f"/v1/accounts/{account}/explain")).json()
    assert (explained["netBalance"], explained["debtByKind"]) == (20, {"reversed": -30, "debt-paid": 30})
    reversed_credits = 0
    async for page in verification(api):
        assert page["addsUp"] is True
        for sums in page["totals"]:
            gone = sums["spent"] + sums["expired"] + sums["revoked"] + sums["reversed"]
            assert sums["issued"] == gone + sums["live"] - sums["debt"]
            reversed_credits += sums["reversed"]
    assert reversed_credits >= 50


async def verification(api: RunningApi) -> AsyncIterator[dict[str, Any]]:
    """The verification of all accounts, page by page."""
    params: dict[str, str] = {}
    while True:
        page = (await api.admin.get("/v1/verification", params=params)).json()
        yield page
        if page["nextCursor"] is None:
            return
        params = {"cursor": page["nextCursor"]}
