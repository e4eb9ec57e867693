"""Every bad input gets its 4xx, names the field, and leaves no row."""

from typing import Any

import pytest

from tests.api.running import RunningApi, new_id, rows

CREDITS_RANGE = {"minimum": 1, "maximum": 10**12}
NO_CREDITS = [0, -1, -(2**63), 5.0, 5.5, 1e3, "5", "", True, None, [], {}, 10**12 + 1, 2**63, 2**64, 10**400]


def _grant(**fields: Any) -> dict[str, Any]:
    return {"operationId": new_id(), "type": "admin", "credits": 5} | fields


@pytest.mark.parametrize("credits", NO_CREDITS, ids=lambda value: repr(value)[:24])
async def test_credits_that_are_no_amount(api: RunningApi, account: str, credits: object) -> None:
    before = await rows(api.database)
    answer = await api.admin.post(f"/v1/accounts/{account}/grants", json=_grant(credits=credits))
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error == {"field": "credits", "problem": f"must be a whole number from 1 to {10**12}", **CREDITS_RANGE}
    assert await rows(api.database) == before


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
async def test_credits_that_are_no_json_number(api: RunningApi, account: str, literal: str) -> None:
    before = await rows(api.database)
    body = f'{{"operationId": "{new_id()}", "type": "admin", "credits": {literal}}}'
    answer = await api.admin.post(
        f"/v1/accounts/{account}/grants", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "credits"
    assert await rows(api.database) == before


BAD_GRANTS: list[tuple[str, dict[str, Any]]] = [
    ("type", {"type": "gift"}),
    ("type", {"type": "ADMIN"}),
    ("type", {"type": 20}),
    ("operationId", {"operationId": ""}),
    ("operationId", {"operationId": 7}),
    ("operationId", {"operationId": "has space"}),
    ("operationId", {"operationId": "has/slash"}),
    ("operationId", {"operationId": "ünïcode"}),
    ("operationId", {"operationId": "zero\x00byte"}),
    ("operationId", {"operationId": "x" * 129}),
    ("operationId", {"operationId": "free-mine"}),
    ("operationId", {"operationId": "rollover-mine"}),
    ("operationId", {"operationId": "referral-mine"}),
    ("operationId", {"operationId": "auto-topup-mine"}),
    ("operationId", {"operationId": "reversal-mine"}),
    ("description", {"description": "x" * 501}),
    ("description", {"description": 5}),
    ("description", {"description": "zero\x00byte"}),
    ("expiresAt", {"type": "free", "expiresAt": "2020-01-01T00:00:00Z"}),
    ("expiresAt", {"type": "free", "expiresAt": "2099-01-01T00:00:00"}),
    ("expiresAt", {"type": "free", "expiresAt": "2099-01-01"}),
    ("expiresAt", {"type": "free", "expiresAt": "tomorrow"}),
    ("expiresAt", {"type": "free", "expiresAt": 4102444800}),
    ("expiresAt", {"type": "free", "expiresAt": "2099-02-30T00:00:00Z"}),
    ("expiresAt", {"type": "free", "expiresAt": "9999-12-31T23:59:59-14:00"}),
    ("expiresAt", {"type": "admin", "expiresAt": "2099-01-01T00:00:00Z"}),
    ("expiresAt", {"type": "purchase", "expiresAt": "2099-01-01T00:00:00Z"}),
    ("expiresAt", {"type": "rollover", "expiresAt": "2099-01-01T00:00:00Z"}),
    ("surprise", {"surprise": 1}),
    ("operation_id", {"operation_id": "snake"}),
]


@pytest.mark.parametrize(("field", "fields"), BAD_GRANTS, ids=lambda value: repr(value)[:60])
async def test_grants_that_no_rule_allows(api: RunningApi, account: str, field: str, fields: dict[str, Any]) -> None:
    before, asked = await rows(api.database), len(api.flows.granted)
    answer = await api.admin.post(f"/v1/accounts/{account}/grants", json=_grant(**fields))
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["code"] == "invalid-request"
    assert [error["field"] for error in problem["errors"]] == [field]
    assert await rows(api.database) == before
    assert len(api.flows.granted) == asked, "it must not even reach Temporal"


@pytest.mark.parametrize("missing", ["operationId", "type", "credits"])
async def test_grants_without_a_field(api: RunningApi, account: str, missing: str) -> None:
    body = {name: value for name, value in _grant().items() if name != missing}
    answer = await api.admin.post(f"/v1/accounts/{account}/grants", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": missing, "problem": "is required"}]


@pytest.mark.parametrize("account_id", ["nobody", "01890000-0000-7000-8000-000000000000", "%00", "%F0%9F%92%B8"])
async def test_grants_to_an_unknown_account(api: RunningApi, account_id: str) -> None:
    before = await rows(api.database)
    answer = await api.admin.post(f"/v1/accounts/{account_id}/grants", json=_grant())
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-account")
    assert await rows(api.database) == before


async def test_an_account_that_would_hold_too_much(api: RunningApi, account: str) -> None:
    await api.grant(account, 10**12)
    for _ in range(3):
        await api.grant(account, 10**12)
    balance = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    assert balance["remainingBalance"] == 4 * 10**12


BAD_ACCOUNTS: list[tuple[str, dict[str, Any]]] = [
    ("kind", {"kind": "robot"}),
    ("kind", {"kind": None}),
    ("name", {"name": ""}),
    ("name", {"name": "   "}),
    ("name", {"name": "x" * 201}),
    ("name", {"name": 5}),
    ("name", {"name": "two\nlines"}),
    ("name", {"name": "zero\x00byte"}),
    ("email", {"email": "nobody"}),
    ("email", {"email": "a@" + "x" * 320}),
    ("externalId", {"externalId": ""}),
    ("externalId", {"externalId": "x" * 201}),
    ("freeCredits", {"freeCredits": -1}),
    ("freeCredits", {"freeCredits": 1.0}),
    ("freeCredits", {"freeCredits": True}),
    ("freeCredits", {"freeCredits": 2**63}),
    ("balance", {"balance": 5}),
]


@pytest.mark.parametrize(("field", "fields"), BAD_ACCOUNTS, ids=lambda value: repr(value)[:60])
async def test_accounts_that_no_rule_allows(api: RunningApi, field: str, fields: dict[str, Any]) -> None:
    before = await rows(api.database)
    answer = await api.admin.post("/v1/accounts", json={"kind": "user", "name": "Ada"} | fields)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await rows(api.database) == before


@pytest.mark.parametrize("seconds", [0, -1, 1.5, "60", True, 2**63, 10**12])
async def test_clocks_that_can_not_be_moved_so(api: RunningApi, seconds: object) -> None:
    answer = await api.admin.post("/v1/test-clock", json={"advanceSeconds": seconds})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "advanceSeconds"


@pytest.mark.parametrize("method_id", ["", "pm/../customers", "pm card", 5, None, "x" * 256])
async def test_payment_methods_that_are_none(api: RunningApi, account: str, method_id: object) -> None:
    answer = await api.admin.put(f"/v1/accounts/{account}/payment-method", json={"paymentMethodId": method_id})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "paymentMethodId"
