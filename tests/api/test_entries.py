"""The history over HTTP: pages in both orders, filters, CSV, and what is refused."""

import asyncio
import base64
import csv
import io
import json
from datetime import datetime
from typing import Any

import pytest

from ledger import history
from ledger.consuming import ConsumeOrder
from tests.api.running import RunningApi, new_id
from tests.store.support import DAY_SECONDS

FIELDS = {"entryId", "at", "kind", "operationId", "grantId", "credits", "balanceAfter"}
MORE_FIELDS = {"grantType", "seq", "actor", "recordedAt"}


async def _spend(api: RunningApi, account: str, credits: int, **fields: Any) -> str:
    body = {"operationId": new_id(), "credits": credits, **fields}
    answer = await api.admin.post(f"/v1/accounts/{account}/consumptions", json=body)
    assert answer.status_code == 200, answer.text
    return str(body["operationId"])


async def _entries(api: RunningApi, account: str, query: str = "") -> list[dict[str, Any]]:
    """All entries, page by page."""
    seen: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await api.admin.get(f"/v1/accounts/{account}/entries?{query}{cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        seen += page["data"]
        if page["nextCursor"] is None:
            return seen
        cursor = f"&cursor={page['nextCursor']}"


async def test_an_entry_has_these_fields(api: RunningApi, account: str) -> None:
    granted = await api.grant(account, 10)
    spent = await _spend(api, account, 14, onInsufficient="debt")
    first, second, third = await _entries(api, account)
    assert set(first) == FIELDS | MORE_FIELDS
    assert [each["kind"] for each in (first, second, third)] == ["granted", "consumed", "debt-incurred"]
    assert (first["operationId"], first["grantId"]) == (granted["operationId"], granted["grantId"])
    assert (first["credits"], first["balanceAfter"], first["grantType"]) == (10, 10, "admin")
    assert first["at"] == granted["createdAt"]
    assert (second["operationId"], second["credits"], second["balanceAfter"]) == (spent, -10, 0)
    assert (third["grantId"], third["grantType"], third["credits"], third["balanceAfter"]) == (None, None, -4, -4)
    assert (first["seq"], second["seq"], third["seq"]) == (1, 2, 2)
    assert isinstance(first["entryId"], str)


async def test_pages_go_on_where_the_last_one_ended_in_both_orders(api: RunningApi, account: str) -> None:
    await api.grant(account, 100)
    for credits in range(1, 7):
        await _spend(api, account, credits)
    whole = await _entries(api, account, "limit=200")
    assert [each["credits"] for each in whole] == [100, -1, -2, -3, -4, -5, -6]
    assert await _entries(api, account, "limit=3") == whole
    assert await _entries(api, account, "limit=3&order=newest") == whole[::-1]
    assert await _entries(api, account, "limit=7") == whole


async def test_what_is_booked_between_two_pages_comes_once(api: RunningApi, account: str) -> None:
    await api.grant(account, 100)
    await _spend(api, account, 1)
    for order, later in (("oldest", [-1, -2]), ("newest", [-1, 100])):
        path = f"/v1/accounts/{account}/entries?order={order}&limit=1"
        first = (await api.admin.get(path)).json()
        await _spend(api, account, 2)
        second = (await api.admin.get(f"{path}&cursor={first['nextCursor']}")).json()
        third = (await api.admin.get(f"{path}&cursor={second['nextCursor']}")).json()
        assert [page["data"][0]["credits"] for page in (second, third)] == later


async def test_filters(api: RunningApi, account: str) -> None:
    granted = await api.grant(account, 100)
    await _spend(api, account, 1)
    moved = (await api.admin.post("/v1/test-clock", json={"advanceSeconds": DAY_SECONDS})).json()["now"]
    await _spend(api, account, 2)
    whole = await _entries(api, account)
    assert await _entries(api, account, f"from={moved}") == whole[2:]
    assert await _entries(api, account, f"to={moved}&order=newest") == whole[1::-1]
    assert await _entries(api, account, f"from={granted['createdAt']}&to={granted['createdAt']}") == []
    assert await _entries(api, account, f"to={whole[1]['at']}") == whole[:1], "before, not at"
    assert await _entries(api, account, "kind=consumed") == whole[1:]
    assert await _entries(api, account, "kind=consumed&kind=granted&limit=2") == whole
    assert await _entries(api, account, "kind=expired") == []


async def test_an_expiry_counts_from_its_instant(api: RunningApi, account: str) -> None:
    granted = await api.grant(account, 10, type="free")
    await api.admin.post("/v1/test-clock", json={"advanceSeconds": 40 * DAY_SECONDS})
    await api.grant(account, 5)
    [_, expired, _] = await _entries(api, account)
    assert (expired["kind"], expired["credits"], expired["at"]) == ("expired", -10, granted["expiresAt"])
    recorded = datetime.fromisoformat(expired["recordedAt"])
    assert recorded < datetime.fromisoformat(expired["at"]), "the wall's clock was not moved"


def _table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("asked", [{"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}], ids=str)
async def test_csv_has_the_whole_history(api: RunningApi, account: str, asked: dict[str, Any]) -> None:
    await api.grant(account, 10)
    await _spend(api, account, 14, onInsufficient="debt")
    answer = await api.admin.get(f"/v1/accounts/{account}/entries", **asked)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert f"entries-{account}.csv" in answer.headers["content-disposition"]
    assert answer.text.count("\r\n") == 4
    whole = await _entries(api, account)
    strings = [{name: "" if value is None else str(value) for name, value in each.items()} for each in whole]
    assert _table(answer.text) == strings


async def test_csv_is_read_in_pages(api: RunningApi, account: str) -> None:
    await api.grant(account, 10**6)
    count = history.ROWS_AT_ONCE + 2
    await asyncio.gather(
        *(api.parts.consumption.consume(ConsumeOrder(account, f"{account}-{each}", 1)) for each in range(count))
    )
    answer = await api.admin.get(f"/v1/accounts/{account}/entries?format=csv&kind=consumed")
    seqs = [int(row["seq"]) for row in _table(answer.text)]
    assert seqs == list(range(2, count + 2))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", '"quoted",comma', "plain"])
async def test_csv_runs_nothing_in_a_spreadsheet(api: RunningApi, account: str, name: str) -> None:
    operation_id = f"{name}{new_id()}"
    await api.grant(account, 10)
    await _spend(api, account, 1, operationId=operation_id)
    text = (await api.admin.get(f"/v1/accounts/{account}/entries?format=csv&kind=consumed")).text
    [row] = _table(text)
    assert row["operationId"] == (f"'{operation_id}" if name[0] in "=+-@" else operation_id)
    assert row["credits"] == "-1", "a number of ours is none of a client's formulas"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv"),
        ("text/csv;q=0.9, application/json;q=0.1", "text/csv"),
        ("application/json, text/csv", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
    ],
)
async def test_what_accept_means(api: RunningApi, account: str, accept: str, kind: str) -> None:
    answer = await api.admin.get(f"/v1/accounts/{account}/entries", headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == kind
    as_json = await api.admin.get(f"/v1/accounts/{account}/entries?format=json", headers={"Accept": accept})
    assert as_json.headers["content-type"] == "application/json"


def _cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(["entries-oldest", *parts]).encode()).decode()


BAD_QUERIES = [
    *("limit=0", "limit=201", "cursor=x", "order=up", "format=xml", "kind=gift"),
    *("from=yesterday", "from=2026-01-01", "to=2026-01-01T00:00:00", "to=%00"),
    *(f"cursor={_cursor(*parts)}" for parts in (("1",), (), (True,), (1, 1), (-1,), (2**63,), (1.0,))),
]


@pytest.mark.parametrize("query", BAD_QUERIES)
async def test_queries_that_are_none(api: RunningApi, account: str, query: str) -> None:
    answer = await api.admin.get(f"/v1/accounts/{account}/entries?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


async def test_a_cursor_of_the_other_order_is_none(api: RunningApi, account: str) -> None:
    for _ in range(2):
        await api.grant(account)
    path = f"/v1/accounts/{account}/entries"
    cursor = (await api.admin.get(f"{path}?limit=1")).json()["nextCursor"]
    assert (await api.admin.get(f"{path}?order=newest&cursor={cursor}")).status_code == 422


@pytest.mark.parametrize("query", ["", "?format=csv", "?kind=granted"])
@pytest.mark.parametrize("account_id", ["nobody", "01890000-0000-7000-8000-000000000000"])
async def test_the_history_of_nobody(api: RunningApi, account_id: str, query: str) -> None:
    answer = await api.admin.get(f"/v1/accounts/{account_id}/entries{query}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-account")


async def test_an_account_without_entries(api: RunningApi, account: str) -> None:
    assert await _entries(api, account) == []
    text = (await api.admin.get(f"/v1/accounts/{account}/entries?format=csv")).text
    assert text.startswith("entryId,at,kind,")
    assert _table(text) == []
