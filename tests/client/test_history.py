"""The history, by the Python client and on the command line."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from client.errors import Refused, Unreachable
from client.http import GrantflowClient
from tests.api.running import ADMIN_TOKEN, RunningApi, new_id
from tests.client.bad_line import BadLine, Fault
from tests.client.test_cli import run


async def test_the_journal_in_pages(admin: GrantflowClient, account: str) -> None:
    granted = (await admin.grant(account, operation_id=new_id(), type="admin", credits=9)).grant
    for credits in (1, 2):
        await admin.consume(account, operation_id=new_id(), credits=credits)
    whole = [entry async for entry in admin.all_entries(account)]
    assert [(each.kind, each.credits, each.balance_after) for each in whole] == [
        ("granted", 9, 9),
        ("consumed", -1, 8),
        ("consumed", -2, 6),
    ]
    assert (whole[0].at, whole[0].grant_id, whole[0].grant_type) == (granted.created_at, granted.grant_id, "admin")
    latest = await admin.entries(account, newest_first=True, limit=2)
    assert latest.data == whole[:0:-1]
    assert (await admin.entries(account, newest_first=True, limit=2, cursor=latest.next_cursor)).data == whole[:1]
    later = granted.created_at + timedelta(microseconds=1)
    assert [each async for each in admin.all_entries(account, since=later, kinds=["granted", "consumed"])] == whole[1:]
    assert [each async for each in admin.all_entries(account, until=later, newest_first=True)] == whole[:1]


async def test_the_journal_as_csv(api: RunningApi, admin: GrantflowClient, account: str) -> None:
    await admin.grant(account, operation_id="=cmd-" + new_id(), type="admin", credits=9)
    lines = [line async for line in admin.entries_csv(account)]
    [row] = csv.DictReader(lines)
    assert (row["kind"], row["credits"]) == ("granted", "9")
    assert row["operationId"].startswith("'=cmd-")
    assert [line async for line in admin.entries_csv(account, until=datetime(2020, 1, 1, tzinfo=UTC))] == lines[:1]
    with pytest.raises(Refused) as refused:
        await anext(admin.entries_csv("nobody"))
    assert (refused.value.code, refused.value.status) == ("unknown-account", 404)


async def test_csv_that_is_cut_off_is_no_answer(line: BadLine, account: str) -> None:
    line.faults.append(Fault.ANSWER_LOST)
    async with GrantflowClient(line.url, ADMIN_TOKEN) as client:
        with pytest.raises(Unreachable):
            assert [each async for each in client.entries_csv(account)] == []


async def test_history_on_the_command_line(api: RunningApi, account: str) -> None:
    await api.grant(account, 1000)
    await run(api, "consume", account, "4")
    shown = await run(api, "history", account)
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert "+1,000" in lines[2]
    assert ("consumed" in lines[1], "-4" in lines[1], "996" in lines[1]) == (True, True, True)
    page = await run(api, "history", account, "--limit", "1", "--json")
    assert [entry["credits"] for entry in page.json["data"]] == [-4]
    more = await run(api, "history", account, "--limit", "1", "--cursor", page.json["nextCursor"], "--json")
    assert [entry["kind"] for entry in more.json["data"]] == ["granted"]
    first = await run(api, "history", account, "--limit", "1", "--oldest-first")
    assert ("granted" in first.out, "more: --cursor" in first.err) == (True, True)
    filtered = await run(api, "history", account, "--kind", "granted", "--from", "2020-01-01T00:00:00Z", "--json")
    assert len(filtered.json["data"]) == 1
    assert "no entries" in (await run(api, "history", account, "--to", "2020-01-01T00:00:00Z")).out
    table = list(csv.DictReader(io.StringIO((await run(api, "history", account, "--csv")).out)))
    assert [row["credits"] for row in table] == ["1000", "-4"]


async def test_histories_that_are_refused(api: RunningApi, account: str) -> None:
    assert (await run(api, "history", "nobody")).code == 1
    assert (await run(api, "history", "nobody", "--csv")).code == 1
    assert (await run(api, "history", account, "--kind", "gift")).code == 1
    assert (await run(api, "history", account, "--csv", "--json")).code == 2
    assert (await run(api, "history", account, "--from", "yesterday")).code == 2


async def test_a_balance_explained(api: RunningApi, admin: GrantflowClient, account: str) -> None:
    await api.grant(account, 1000)
    before = await admin.explain(account)
    await admin.consume(account, operation_id=new_id(), credits=4)
    now, then = await admin.explain(account), await admin.explain(account, at=before.at, limit=1)
    assert (now.net_balance, now.usage, then.net_balance, then.usage) == (996, 4, 1000, 0)
    assert then == before
    shown = await run(api, "explain", account)
    assert shown.code == 0
    for words in ("996", "consumed", "-4", "granted +1,000, consumed -4", "grants with something left: 1"):
        assert words in shown.out, words
    told = await run(api, "explain", account, "--at", before.at.isoformat(), "--json")
    assert told.json == before.to_wire()
    assert (await run(api, "explain", account, "--at", "2099-01-01T00:00:00Z")).code == 1
    assert (await run(api, "explain", account, "--at", "now")).code == 2
