"""Reports on all accounts, over HTTP and by the client and command line. They have a database of their own."""

import csv
import io
from collections.abc import AsyncIterator

import pytest

from client.http import GrantflowClient
from client.reports import Verification, add_up
from tests.api.running import ADMIN_TOKEN, RunningApi, new_id, running_api
from tests.client.test_cli import run
from tests.conftest import MakeDatabase
from tests.store.support import session


@pytest.fixture
async def busy(make_database: MakeDatabase) -> AsyncIterator[RunningApi]:
    """An API with three accounts: 30 bought each, 5 to 7 spent, and one of them in debt before."""
    async with make_database() as database, running_api(database, embedded=True) as api:
        for number in range(3):
            account = await api.open_account()
            if not number:
                await _spend(api, account, 4)
            await api.grant(account, 30, type="purchase")
            await _spend(api, account, 5 + number)
        yield api


async def _spend(api: RunningApi, account: str, credits: int) -> None:
    body = {"operationId": new_id(), "credits": credits, "onInsufficient": "debt"}
    answer = await api.admin.post(f"/v1/accounts/{account}/consumptions", json=body)
    assert answer.status_code == 200, answer.text


async def test_the_books_verified_page_by_page(busy: RunningApi) -> None:
    answer = (await busy.admin.get("/v1/verification")).json()
    assert answer == {
        "accounts": 3,
        "entries": 9,
        "addsUp": True,
        "totals": [
            {
                "currency": "usd",
                "issued": 90,
                "spent": 22,
                "expired": 0,
                "revoked": 0,
                "reversed": 0,
                "live": 68,
                "held": 0,
                "due": 0,
                "debt": 0,
                "debtPaid": 4,
                "addsUp": True,
                "grantsByKind": {"granted": 90, "debt-paid": -4, "consumed": -18},
                "debtByKind": {"debt-incurred": -4, "debt-paid": 4},
            }
        ],
        "mismatches": [],
        "mismatchesLeftOut": 0,
        "nextCursor": None,
    }
    whole = Verification()
    async with GrantflowClient(busy.url, ADMIN_TOKEN) as client:
        async for page in client.verification_pages(limit=1):
            assert page.accounts == 1
            whole.take_in(page)
    assert (whole.accounts, whole.entries, whole.adds_up) == (3, 9, True)
    assert whole.totals["usd"]["issued"] == 90


async def test_verify_on_the_command_line(busy: RunningApi) -> None:
    right = await run(busy, "verify")
    assert right.code == 0
    assert "issued 90; spent + expired + revoked + reversed + live - owed = 90" in right.out
    assert ("everything adds up" in right.out, "3 accounts, 9 entries" in right.err) == (True, True)
    async with session(busy.database.superuser_url) as superuser:
        await superuser.execute("SET session_replication_role = replica")
        account = await superuser.fetchval("UPDATE accounts SET usage = usage + 1 WHERE usage = 7 RETURNING account_id")
        await superuser.execute("UPDATE grants SET balance = balance - 2 WHERE balance = 23")
    wrong = await run(busy, "verify")
    assert wrong.code == 1
    assert f"usage: account {account}: 8, and should be 7" in wrong.err
    assert "grant-balance" in wrong.err
    told = await run(busy, "verify", "--json")
    assert (told.code, told.json["addsUp"], told.json["inAll"]["live"]) == (1, False, 66)
    assert {each["check"] for each in told.json["mismatches"]} == {"usage", "grant-balance", "account-balance"}


async def test_deferred_revenue_in_pages_as_csv_and_on_the_command_line(busy: RunningApi) -> None:
    page = (await busy.admin.get("/v1/reports/deferred-revenue")).json()
    [line] = page["data"]
    assert (line["type"], line["grants"], line["credits"], line["cents"]) == ("purchase", 3, 68, 68)
    assert (line["currency"], line["priceCents"], line["priceCredits"], page["nextCursor"]) == ("usd", 1, 1, None)
    text = (await busy.admin.get("/v1/reports/deferred-revenue", headers={"Accept": "text/csv"})).text
    [row] = csv.DictReader(io.StringIO(text))
    assert row == {name: str(value) for name, value in line.items()}
    printed = await run(busy, "report", "deferred-revenue", "--csv")
    assert list(csv.DictReader(io.StringIO(printed.out))) == [row]
    assert (await run(busy, "report", "deferred-revenue", "--json")).json["data"] == [line]
    shown = await run(busy, "report", "deferred-revenue", "--at", page["at"])
    assert "usd: 68 cents deferred" in shown.out
    async with GrantflowClient(busy.url, ADMIN_TOKEN) as client:
        pages = [each async for each in client.deferred_revenue_pages(limit=1)]
        assert len({each.at for each in pages}) == 1
        assert [each.to_wire() for each in add_up(line for each in pages for line in each.data)] == [line]


@pytest.mark.parametrize("path", ["/v1/verification", "/v1/reports/deferred-revenue"])
@pytest.mark.parametrize("query", ["limit=0", "limit=201", "cursor=x", "cursor=WyJ2ZXJpZmljYXRpb24iLDFd"])
async def test_pages_that_are_none(api: RunningApi, path: str, query: str) -> None:
    answer = await api.admin.get(f"{path}?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, query.partition("=")[0])


async def test_instants_that_are_none(api: RunningApi) -> None:
    for query in ("at=2099-01-01T00:00:00Z", "at=now", "at=2099-01-01T00:00:00Z&format=csv"):
        answer = await api.admin.get(f"/v1/reports/deferred-revenue?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "at")
    for _ in range(2):
        await api.open_account()
    cursor = (await api.admin.get("/v1/reports/deferred-revenue?limit=1")).json()["nextCursor"]
    other = f"/v1/reports/deferred-revenue?cursor={cursor}&at=2026-01-01T00:00:00Z"
    assert (await api.admin.get(other)).status_code == 422
    assert (await run(api, "report", "deferred-revenue", "--csv", "--json")).code == 2
