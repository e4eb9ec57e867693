"""What a problem looks like, also where the framework or a fault makes it."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.catalogue import CATALOGUE
from api.problems import problem_of
from gateways.temporal.flows import FlowRefused
from ledger.rules.errors import LedgerError
from messages.failures import Failure
from tests.api.running import ADMIN_TOKEN, RunningApi, new_id
from tests.store.support import session

JSON = {"Content-Type": "application/json"}
ERRORS_MD = Path(__file__).resolve().parent.parent.parent / "docs" / "errors.md"


def _check(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"].endswith(f"/errors#{code}")
    assert problem["title"]
    assert problem["detail"]
    assert problem["requestId"] == answer.headers["x-request-id"]
    return problem


async def test_the_request_id_is_the_callers_own(api: RunningApi) -> None:
    answer = await api.admin.get("/v1/accounts/nobody", headers={"X-Request-Id": "mine-1"})
    assert _check(answer, 404, "unknown-account")["requestId"] == "mine-1"


@pytest.mark.parametrize("wanted", ["", "has space", "x" * 129])
async def test_a_request_id_that_is_unfit_is_replaced(api: RunningApi, wanted: str) -> None:
    answer = await api.admin.get("/healthz", headers={"X-Request-Id": wanted})
    assert answer.headers["x-request-id"].startswith("req_")


async def test_paths_and_methods_that_are_none(api: RunningApi) -> None:
    _check(await api.admin.get("/v1/nothing"), 404, "not-found")
    _check(await api.admin.get("/nothing"), 404, "not-found")
    answer = await api.admin.delete("/v1/accounts")
    _check(answer, 405, "method-not-allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize("body", ["", "{", "nonsense", "[1,", '{"credits": 1' + "0" * 5000 + "}", "[" * 60_000])
async def test_bodies_that_are_no_json(api: RunningApi, account: str, body: str) -> None:
    answer = await api.admin.post(f"/v1/accounts/{account}/grants", content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    _check(answer, answer.status_code, "malformed-body" if answer.status_code == 400 else "invalid-request")


@pytest.mark.parametrize("body", ["[]", '"text"', "5", "null", "true"])
async def test_bodies_that_are_no_object(api: RunningApi, account: str, body: str) -> None:
    answer = await api.admin.post(f"/v1/accounts/{account}/grants", content=body, headers=JSON)
    problem = _check(answer, 422, "invalid-request")
    assert problem["errors"][0]["field"] == "body"


async def test_bodies_of_another_content_type(api: RunningApi, account: str) -> None:
    answer = await api.admin.post(
        f"/v1/accounts/{account}/grants", content="credits=5", headers={"Content-Type": "text/plain"}
    )
    assert "application/json" in _check(answer, 422, "invalid-request")["detail"]


async def test_a_body_that_is_announced_too_large(api: RunningApi) -> None:
    answer = await api.admin.post("/v1/accounts", content=b" " * 65_537, headers=JSON)
    assert _check(answer, 413, "too-large")["limit"] == 65_536


async def test_a_body_that_turns_out_too_large(api: RunningApi) -> None:
    async def endless() -> Any:
        for _ in range(70):
            yield b" " * 1024

    answer = await api.admin.post("/v1/accounts", content=endless(), headers=JSON)
    _check(answer, 413, "too-large")


async def test_a_body_of_the_largest_size_is_read(api: RunningApi) -> None:
    start = b'{"kind": "user", "name": "Ada"'
    body = start + b" " * (65_536 - len(start) - 1) + b"}"
    assert (await api.admin.post("/v1/accounts", content=body, headers=JSON)).status_code == 201


async def test_an_outage_says_that_the_outcome_is_unknown(api: RunningApi, account: str) -> None:
    api.flows.down = True
    try:
        body = {"operationId": new_id(), "type": "admin", "credits": 5}
        answer = await api.admin.post(f"/v1/accounts/{account}/grants", json=body)
    finally:
        api.flows.down = False
    problem = _check(answer, 503, "service-unavailable")
    assert problem["retryable"] is True
    assert "unknown" in problem["detail"]
    assert "same operation id" in problem["detail"]
    assert answer.headers["retry-after"] == "1"
    # The advice is good: the same request is answered when Temporal is back.
    assert (await api.admin.post(f"/v1/accounts/{account}/grants", json=body)).status_code == 201


async def test_a_fault_of_ours_says_nothing_of_our_insides(
    api: RunningApi, account: str, caplog: pytest.LogCaptureFixture
) -> None:
    # A stored payment method that nobody could have written makes the account unreadable.
    async with session(api.database.owner_url) as owner:
        await owner.execute(
            "UPDATE account_profiles SET default_payment_method = '{\"odd\": 1}' WHERE account_id = $1", account
        )
    answer = await api.admin.get(f"/v1/accounts/{account}", headers={"X-Request-Id": "r-10"})
    problem = _check(answer, 500, "internal")
    assert "odd" not in answer.text
    assert problem["requestId"] == "r-10"
    assert any("r-10" in record.getMessage() and record.exc_info for record in caplog.records)


async def test_nobody_is_let_in_before_the_body_is_read(api: RunningApi) -> None:
    async with api.client(None) as nobody:
        answer = await nobody.post("/v1/accounts", content="{", headers=JSON)
    _check(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", f"Basic {ADMIN_TOKEN}", ADMIN_TOKEN, f"Bearer {ADMIN_TOKEN}x", "Bearer gf_unknown"],
)
async def test_tokens_that_are_none(api: RunningApi, authorization: str) -> None:
    async with api.client(None) as nobody:
        answer = await nobody.get("/v1/accounts/x", headers={"Authorization": authorization})
        _check(answer, 401, "unauthenticated")


async def test_tokens_beyond_ascii(api: RunningApi) -> None:
    async with api.client(None) as nobody:
        answer = await nobody.get("/v1/accounts/x", headers=[(b"Authorization", "Bearer tökén".encode())])
    _check(answer, 401, "unauthenticated")


def test_every_refusal_of_the_ledger_has_a_status() -> None:
    refusals = LedgerError.__subclasses__()
    assert refusals
    assert {refusal.code for refusal in refusals} <= set(CATALOGUE)


def test_every_failure_of_a_workflow_has_a_problem() -> None:
    details = {"code": "x", "message": "y", "status": 1, "detail": "z", "operation_id": "op-1"}
    for failure in Failure:
        problem = problem_of(FlowRefused(failure, "No.", details))
        assert problem is not None
        body = json.loads(bytes(problem.response(request_id="r", public_url="").body))
        assert (body["status"], body["code"], body["requestId"]) == (problem.status, problem.code, "r")
        assert problem.status != 500


async def test_every_error_is_explained_where_its_type_leads(api: RunningApi) -> None:
    async with api.client(None) as anybody:
        page = (await anybody.get("/errors")).text
    written = ERRORS_MD.read_text(encoding="utf-8")
    for code, kind in CATALOGUE.items():
        assert f'id="{code}"' in page
        assert f"| `{code}` | {kind.status} | {kind.title}. {kind.mend} |" in written
