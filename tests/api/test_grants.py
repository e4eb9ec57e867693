"""Grants over HTTP: first answers, repeats, conflicts, pages, and what operators do."""

import asyncio
from collections import Counter

import pytest

from ledger.mirroring import change_stage
from messages.grants import GrantStage, StageChange
from tests.api.conftest import TEMPORAL_UI
from tests.api.running import RunningApi, new_id, rows


async def test_a_grant_is_usable_when_it_is_answered(api: RunningApi, account: str) -> None:
    operation_id = new_id()
    body = {"operationId": operation_id, "type": "purchase", "credits": 250, "description": "bought\nat the counter"}
    answer = await api.admin.post(f"/v1/accounts/{account}/grants", json=body)
    assert answer.status_code == 201
    grant = answer.json()
    assert {name: grant[name] for name in ("operationId", "type", "priority", "principal", "balance")} == {
        "operationId": operation_id,
        "type": "purchase",
        "priority": 80,
        "principal": 250,
        "balance": 250,
    }
    assert (grant["stage"], grant["stripeGrantId"], grant["expiresAt"]) == ("local", None, None)
    assert grant["workflowId"] == f"grant/{operation_id}"
    assert (await api.admin.get(f"/v1/grants/{operation_id}")).json() == grant
    balance = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    assert balance["balanceBreakdown"]["purchase"] == 250


@pytest.mark.parametrize("kind", ["free", "referral", "admin", "rollover", "purchase"])
async def test_any_type_may_be_granted(api: RunningApi, account: str, kind: str) -> None:
    grant = await api.grant(account, type=kind)
    assert (grant["expiresAt"] is not None) == (kind in ("free", "referral"))
    assert grant["stage"] == ("not-mirrored" if kind == "rollover" else "local")


async def test_a_repeat_is_answered_with_the_same_grant(api: RunningApi, account: str) -> None:
    body = {"operationId": new_id(), "type": "free", "credits": 5, "expiresAt": "2099-01-01T01:00:00+01:00"}
    first = await api.admin.post(f"/v1/accounts/{account}/grants", json=body)
    before, asked = await rows(api.database), len(api.flows.granted)
    same_instant = body | {"expiresAt": "2099-01-01T00:00:00Z", "description": None}
    again = await api.admin.post(f"/v1/accounts/{account}/grants", json=same_instant)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert first.json()["expiresAt"] == "2099-01-01T00:00:00Z"
    assert await rows(api.database) == before
    assert len(api.flows.granted) == asked, "a repeat does not reach Temporal"


async def test_the_same_request_id_does_not_make_a_repeat_new(api: RunningApi, account: str) -> None:
    body = {"operationId": new_id(), "type": "admin", "credits": 5}
    asked = [
        api.admin.post(f"/v1/accounts/{account}/grants", json=body, headers={"X-Request-Id": "always-the-same"})
        for _ in range(5)
    ]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]


@pytest.mark.parametrize("other", [{"credits": 6}, {"type": "purchase"}, {"description": "else"}])
async def test_another_payload_is_a_conflict(api: RunningApi, account: str, other: dict[str, object]) -> None:
    body = {"operationId": new_id(), "type": "admin", "credits": 5}
    await api.admin.post(f"/v1/accounts/{account}/grants", json=body)
    before = await rows(api.database)
    answer = await api.admin.post(f"/v1/accounts/{account}/grants", json=body | other)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-conflict")
    assert answer.json()["operationId"] == body["operationId"]
    assert await rows(api.database) == before


async def test_an_id_of_another_accounts_grant_is_a_conflict(api: RunningApi, account: str) -> None:
    granted = await api.grant(await api.open_account(), 5)
    body = {"operationId": granted["operationId"], "type": "admin", "credits": 5}
    answer = await api.admin.post(f"/v1/accounts/{account}/grants", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-conflict")


async def test_a_hundred_at_once_with_one_id_make_one_grant(api: RunningApi, account: str) -> None:
    body = {"operationId": new_id(), "type": "admin", "credits": 5}
    asked = [api.admin.post(f"/v1/accounts/{account}/grants", json=body) for _ in range(100)]
    answers = await asyncio.gather(*asked)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 99}
    assert len({answer.json()["grantId"] for answer in answers}) == 1
    balance = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    assert (balance["remainingBalance"], balance["seq"]) == (5, 1)


async def test_two_payloads_at_once_with_one_id(api: RunningApi, account: str) -> None:
    operation_id = new_id()
    bodies = [{"operationId": operation_id, "type": "admin", "credits": 5 + number % 2} for number in range(20)]
    answers = await asyncio.gather(*(api.admin.post(f"/v1/accounts/{account}/grants", json=body) for body in bodies))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 9, 409: 10}


async def test_a_lost_answer_is_found_in_the_ledger(api: RunningApi, account: str) -> None:
    api.flows.loses_answers = True
    try:
        grant = await api.grant(account, 7)
    finally:
        api.flows.loses_answers = False
    assert grant["principal"] == 7


async def test_a_page_goes_on_where_the_last_one_ended(api: RunningApi, account: str) -> None:
    made = [(await api.grant(account, credits))["grantId"] for credits in range(1, 8)]
    seen: list[str] = []
    path, sizes = f"/v1/accounts/{account}/grants?limit=3", []
    cursor = ""
    while True:
        page = (await api.admin.get(path + cursor)).json()
        seen += [grant["grantId"] for grant in page["data"]]
        sizes.append(len(page["data"]))
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert (seen, sizes) == (made, [3, 3, 1])


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=x", "cursor=W10=", "cursor=%00"])
async def test_pages_that_are_none(api: RunningApi, account: str, query: str) -> None:
    answer = await api.admin.get(f"/v1/accounts/{account}/grants?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


async def test_a_cursor_of_another_list(api: RunningApi, account: str) -> None:
    for _ in range(2):
        await api.grant(account)
    cursor = (await api.admin.get(f"/v1/accounts/{account}/grants?limit=1")).json()["nextCursor"]
    answer = await api.admin.get(f"/v1/grants?stage=stuck&cursor={cursor}")
    assert answer.status_code == 422


async def _stick(api: RunningApi, operation_id: str) -> None:
    reason = "Stripe refused: no such price"
    await change_stage(api.engine, StageChange(operation_id, GrantStage.STUCK, reason=reason))


async def test_stuck_grants_are_listed_with_reason_and_link(api: RunningApi, account: str) -> None:
    first, second = await api.grant(account), await api.grant(account)
    for grant in (first, second):
        await _stick(api, grant["operationId"])
    listed = (await api.admin.get("/v1/grants?stage=stuck&limit=200")).json()["data"]
    mine = [grant for grant in listed if grant["accountId"] == account]
    assert [grant["grantId"] for grant in mine] == [first["grantId"], second["grantId"]]
    assert mine[0]["reason"] == "Stripe refused: no such price"
    link = f"{TEMPORAL_UI}/namespaces/default/workflows/grant%2F{first['operationId']}"
    assert mine[0]["temporalUiUrl"] == link


@pytest.mark.parametrize("query", ["", "?stage=", "?stage=confirmed", "?stage=lost"])
async def test_stages_that_are_not_listed(api: RunningApi, query: str) -> None:
    answer = await api.admin.get(f"/v1/grants{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "stage")


async def test_an_operator_retries_and_abandons(api: RunningApi, account: str) -> None:
    grant = await api.grant(account)
    operation_id = grant["operationId"]
    await _stick(api, operation_id)
    retried = await api.admin.post(f"/v1/grants/{operation_id}/retry")
    abandoned = await api.admin.post(f"/v1/grants/{operation_id}/abandon", json={"reason": "not worth it"})
    assert (retried.status_code, abandoned.status_code) == (202, 202)
    assert retried.json() == {"operationId": operation_id, "workflowId": f"grant/{operation_id}", "stage": "stuck"}
    order, by = api.flows.abandoned[-1]
    assert (order.operation_id, order.credits, by.actor, by.reason) == (operation_id, 10, "admin", "not worth it")
    assert api.flows.retried[-1][0] == order


@pytest.mark.parametrize("what", ["retry", "abandon"])
async def test_a_closed_mirror_takes_no_orders(api: RunningApi, account: str, what: str) -> None:
    grant = await api.grant(account)
    confirmed = StageChange(grant["operationId"], GrantStage.CONFIRMED, stripe_grant_id=f"credgr_{new_id()}")
    await change_stage(api.engine, confirmed)
    answer = await api.admin.post(f"/v1/grants/{grant['operationId']}/{what}", json={"reason": "late"})
    assert (answer.status_code, answer.json()["code"]) == (409, "stage-forbids")
    assert answer.json()["stage"] == "confirmed"


@pytest.mark.parametrize("what", ["retry", "abandon", "revoke"])
@pytest.mark.parametrize("operation_id", ["op-none", "%00", "%F0%9F%92%B8", "free-none"])
async def test_orders_for_no_grant(api: RunningApi, what: str, operation_id: str) -> None:
    answer = await api.admin.post(f"/v1/grants/{operation_id}/{what}", json={"reason": "try"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize("what", ["abandon", "revoke"])
async def test_orders_without_a_reason(api: RunningApi, account: str, what: str) -> None:
    grant = await api.grant(account)
    answer = await api.admin.post(f"/v1/grants/{grant['operationId']}/{what}", json={})
    assert answer.json()["errors"] == [{"field": "reason", "problem": "is required"}]


async def test_a_revocation_takes_back_what_is_unspent_once(api: RunningApi, account: str) -> None:
    grant = await api.grant(account, 40)
    path = f"/v1/grants/{grant['operationId']}/revoke"
    first = await api.admin.post(path, json={"reason": "a mistake"})
    before = await rows(api.database)
    again = await api.admin.post(path, json={"reason": "another"})
    assert first.json() == {
        "operationId": grant["operationId"],
        "grantId": grant["grantId"],
        "revoked": 40,
        "reason": "a mistake",
        "replayed": False,
    }
    assert again.json() == first.json() | {"replayed": True}
    assert await rows(api.database) == before
    balance = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    assert balance["remainingBalance"] == 0
