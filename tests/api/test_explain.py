"""A balance explained over HTTP."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.api.running import RunningApi, new_id
from tests.store.support import DAY_SECONDS


async def _explain(api: RunningApi, account: str, **query: Any) -> dict[str, Any]:
    answer = await api.admin.get(f"/v1/accounts/{account}/explain", params=query)
    assert answer.status_code == 200, answer.text
    explained: dict[str, Any] = answer.json()
    return explained


async def _spend(api: RunningApi, account: str, credits: int) -> None:
    body = {"operationId": new_id(), "credits": credits, "onInsufficient": "debt"}
    answer = await api.admin.post(f"/v1/accounts/{account}/consumptions", json=body)
    assert answer.status_code == 200, answer.text


async def test_it_sums_to_the_unit_and_agrees_with_the_balance(api: RunningApi, account: str) -> None:
    free = await api.grant(account, 10, type="free")
    bought = await api.grant(account, 30, type="purchase")
    await _spend(api, account, 4)
    await api.admin.post("/v1/test-clock", json={"advanceSeconds": 40 * DAY_SECONDS})
    await _spend(api, account, 7)
    found = await _explain(api, account)
    balance = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    for field in ("remainingBalance", "netBalance", "debt", "held", "usage", "balanceBreakdown"):
        assert found[field] == balance[field], field
    assert found["byKind"] == [
        {"kind": "granted", "credits": 40, "entries": 2},
        {"kind": "consumed", "credits": -11, "entries": 2},
        {"kind": "expired", "credits": -6, "entries": 1},
    ]
    assert (found["netBalance"], found["notBooked"], found["grantsLeft"], found["seq"]) == (23, [], 1, 4)
    assert sum(entry["credits"] for entry in found["entries"]["data"]) == found["netBalance"]
    [left] = found["grants"]
    assert (left["operationId"], left["byKind"]) == (bought["operationId"], {"granted": 30, "consumed": -7})
    assert [each["type"] for each in found["byType"]] == ["free", "referral", "admin", "rollover", "purchase"]
    assert found["byType"][0]["byKind"] == {"granted": 10, "consumed": -4, "expired": -6}
    expiry = datetime.fromisoformat(free["expiresAt"])
    then = await _explain(api, account, at=(expiry - timedelta(microseconds=1)).isoformat())
    assert (then["remainingBalance"], then["usage"]) == (36, 4)
    assert (await _explain(api, account, at=free["expiresAt"]))["remainingBalance"] == 30


async def test_what_is_due_and_not_booked_is_shown(api: RunningApi, account: str) -> None:
    await api.grant(account, 10, type="free")
    await api.admin.post("/v1/test-clock", json={"advanceSeconds": 40 * DAY_SECONDS})
    found = await _explain(api, account)
    assert (found["remainingBalance"], found["grants"]) == (0, [])
    assert found["notBooked"] == [{"kind": "expired", "credits": -10}]
    assert found["byType"][0] == {
        "type": "free",
        "byKind": {"granted": 10},
        "notBooked": {"expired": -10},
        "balance": 0,
    }


async def test_debt(api: RunningApi, account: str) -> None:
    await _spend(api, account, 7)
    found = await _explain(api, account)
    assert (found["netBalance"], found["debt"], found["remainingBalance"]) == (-7, 7, 0)
    assert (found["debtByKind"], found["balanceBreakdown"]["free"]) == ({"debt-incurred": -7}, 0)


async def test_its_entries_go_on(api: RunningApi, account: str) -> None:
    for credits in (1, 2, 3):
        await api.grant(account, credits)
    at = (await _explain(api, account))["at"]
    await api.grant(account, 4)
    first = await _explain(api, account, at=at, limit=2)
    second = await _explain(api, account, at=at, limit=2, cursor=first["entries"]["nextCursor"])
    assert [entry["credits"] for entry in first["entries"]["data"] + second["entries"]["data"]] == [3, 2, 1]
    assert (first["netBalance"], second["netBalance"], second["entries"]["nextCursor"]) == (6, 6, None)


@pytest.mark.parametrize("query", ["at=yesterday", "at=2026-01-01", "at=2099-01-01T00:00:00Z", "limit=0", "cursor=x"])
async def test_what_can_not_be_explained(api: RunningApi, account: str, query: str) -> None:
    answer = await api.admin.get(f"/v1/accounts/{account}/explain?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


async def test_nobodys_balance(api: RunningApi) -> None:
    answer = await api.admin.get("/v1/accounts/nobody/explain")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-account")
