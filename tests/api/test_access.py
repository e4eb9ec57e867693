"""Who may do what: every route against nobody, the account itself, another account, and the admin."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.running import RunningApi, new_id

OPEN = {"/healthz", "/readyz", "/metrics", "/", "/errors", "/openapi.json", "/webhooks/stripe"}


@dataclass(frozen=True)
class Rule:
    """What each of the four hears of a route; ``{account}`` and ``{operation}`` are the owner's."""

    method: str
    path: str
    owner: int
    other: int
    admin: int
    body: dict[str, Any] | None = None


def _grant() -> dict[str, Any]:
    return {"operationId": new_id(), "type": "admin", "credits": 5}


def _hold() -> dict[str, Any]:
    return {"operationId": new_id(), "credits": 5, "ttlSeconds": 60}


RULES = [
    Rule("POST", "/v1/accounts", 403, 403, 201, {"kind": "user", "name": "Ada"}),
    Rule("GET", "/v1/accounts/{account}", 200, 403, 200),
    Rule("POST", "/v1/accounts/{account}/tokens", 403, 403, 201),
    Rule("PUT", "/v1/accounts/{account}/payment-method", 200, 403, 200, {"paymentMethodId": "pm_card_visa"}),
    Rule("POST", "/v1/accounts/{account}/grants", 403, 403, 201, _grant()),
    Rule("GET", "/v1/accounts/{account}/grants", 200, 403, 200),
    Rule("GET", "/v1/accounts/{account}/balance", 200, 403, 200),
    Rule("GET", "/v1/accounts/{account}/entries", 200, 403, 200),
    Rule("GET", "/v1/accounts/{account}/notices", 200, 403, 200),
    Rule("GET", "/v1/accounts/{account}/explain", 200, 403, 200),
    Rule("POST", "/v1/accounts/{account}/consumptions", 200, 403, 200, {"operationId": new_id(), "credits": 5}),
    Rule("GET", "/v1/accounts/{account}/auto-topup", 200, 403, 200),
    Rule("PUT", "/v1/accounts/{account}/auto-topup", 200, 403, 200, {"enabled": False, "threshold": 5, "target": 9}),
    # The admin's repeat of the account's purchase finds it.
    Rule("POST", "/v1/accounts/{account}/purchases", 201, 403, 200, {"operationId": new_id(), "credits": 500}),
    Rule("GET", "/v1/accounts/{account}/purchases", 200, 403, 200),
    Rule("GET", "/v1/accounts/{account}/purchase-options", 200, 403, 200),
    # What was granted was not bought.
    Rule("GET", "/v1/purchases/{operation}", 404, 404, 404),
    # The admin's repeat of the account's hold is another hold: it would obey another token.
    Rule("POST", "/v1/accounts/{account}/holds", 201, 403, 409, _hold()),
    Rule("POST", "/v1/holds/{operation}/extend", 404, 404, 404, {"ttlSeconds": 60}),
    Rule("POST", "/v1/holds/{operation}/settle", 404, 404, 404, {"credits": 5}),
    Rule("POST", "/v1/holds/{operation}/release", 404, 404, 404),
    Rule("GET", "/v1/grants/{operation}", 200, 404, 200),
    Rule("GET", "/v1/grants?stage=stuck", 403, 403, 200),
    Rule("POST", "/v1/grants/{operation}/retry", 403, 403, 202, {"reason": "try"}),
    Rule("POST", "/v1/grants/{operation}/abandon", 403, 403, 202, {"reason": "enough"}),
    Rule("POST", "/v1/grants/{operation}/revoke", 403, 403, 200, {"reason": "mistake"}),
    Rule("POST", "/v1/tickets", 201, 201, 403),
    Rule("GET", "/v1/verification", 403, 403, 200),
    Rule("GET", "/v1/reports/deferred-revenue", 403, 403, 200),
    Rule("POST", "/v1/test-clock", 403, 403, 200, {"advanceSeconds": 1}),
    Rule("GET", "/v1/webhook-events?state=quarantined", 403, 403, 200),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.method} {rule.path}")
async def test_who_may_do_what(api: RunningApi, rule: Rule) -> None:
    account, other = await api.open_account(), await api.open_account()
    granted = await api.grant(account)
    path = rule.path.format(account=account, operation=granted["operationId"])
    tokens = {"nobody": None, "owner": await api.token_of(account), "other": await api.token_of(other)}
    heard = {}
    for who, token in tokens.items():
        async with api.client(token) as client:
            heard[who] = (await client.request(rule.method, path, json=rule.body)).status_code
    heard["admin"] = (await api.admin.request(rule.method, path, json=rule.body)).status_code
    assert heard == {"nobody": 401, "owner": rule.owner, "other": rule.other, "admin": rule.admin}


async def test_every_route_has_a_rule(api: RunningApi) -> None:
    described = (await api.admin.get("/openapi.json")).json()["paths"]
    routes = {(method.upper(), path) for path, methods in described.items() for method in methods}
    ruled = {(rule.method, rule.path.partition("?")[0]) for rule in RULES}
    names = {"{account}": "{account_id}", "{operation}": "{operation_id}"}
    for short, long in names.items():
        ruled = {(method, path.replace(short, long)) for method, path in ruled}
    assert {route for route in routes if route[1] not in OPEN} == ruled


async def test_another_account_hears_the_same_whether_it_exists_or_not(api: RunningApi, account: str) -> None:
    someone, nobody = await api.open_account(), "01890000-0000-7000-8000-000000000000"
    async with api.client(await api.token_of(account)) as holder:
        answers = [await holder.get(f"/v1/accounts/{each}/balance") for each in (someone, nobody, "nonsense")]
    problems = [{k: v for k, v in answer.json().items() if k != "requestId"} for answer in answers]
    assert answers[0].status_code == 403
    assert problems[0] == problems[1] == problems[2]


async def test_anothers_grant_is_as_unknown_as_none(api: RunningApi, account: str) -> None:
    granted = await api.grant(await api.open_account())
    async with api.client(await api.token_of(account)) as holder:
        theirs = await holder.get(f"/v1/grants/{granted['operationId']}")
        none = await holder.get("/v1/grants/op-none")
    assert (theirs.status_code, none.status_code) == (404, 404)
    hidden = theirs.text.replace(granted["operationId"], "op-none").replace(theirs.json()["requestId"], "")
    assert hidden == none.text.replace(none.json()["requestId"], "")
