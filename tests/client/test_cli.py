"""The command line: what it prints for people and for programs, and what its exit codes say."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from client.cli import app
from ledger.mirroring import change_stage
from local.ports import free_port
from messages.grants import GrantStage, StageChange
from tests.api.flows import DECLINED
from tests.api.running import ADMIN_TOKEN, RunningApi, new_id


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, for programs."""
        return json.loads(self.out)


async def run(api: RunningApi | None, *arguments: str, **environment: str | None) -> Ran:
    """Runs a command as a process would, with the API's address and the admin token in its environment."""
    told: dict[str, str | None] = {"NO_COLOR": "1", "COLUMNS": "200", "GRANTFLOW_ADMIN_TOKEN": ADMIN_TOKEN}
    told["GRANTFLOW_API_URL"] = None if api is None else api.url
    # In a thread, because a command has a loop of its own.
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=told | environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


async def test_the_way_of_an_account(api: RunningApi) -> None:
    made = (await run(api, "account", "create", "Ada", "--email", "ada@example.com", "--json")).json
    account_id = made["accountId"]
    assert (await run(api, "account", "show", account_id, "--json")).json == made
    granted = await run(api, "grant", account_id, "250", "--type", "purchase", "--json")
    assert granted.json["principal"] == 250
    assert f"operation id: {granted.json['operationId']}" in granted.err
    assert (await run(api, "balance", account_id, "--json")).json["balanceBreakdown"]["purchase"] == 250
    listed = (await run(api, "grants", "list", account_id, "--json")).json
    assert [grant["type"] for grant in listed["data"]] == ["free", "purchase"]
    shown = await run(api, "grants", "show", granted.json["operationId"], "--json")
    assert shown.json == granted.json


async def test_what_people_see(api: RunningApi) -> None:
    created = await run(api, "account", "create", "Ada [bold]", "--free-credits", "1200")
    assert "Ada [bold]" in created.out
    assert "\x1b[" not in created.out
    account_id = next(line.split()[-1] for line in created.out.splitlines() if line.startswith("account "))
    balance = await run(api, "balance", account_id)
    assert "to spend" in balance.out
    assert "1,200" in balance.out
    operation_id = new_id()
    first = await run(api, "grant", account_id, "5", "--operation-id", operation_id)
    again = await run(api, "grant", account_id, "5", "--operation-id", operation_id)
    assert (first.code, again.code) == (0, 0)
    assert "operation id: " not in first.err
    assert "nothing was granted now" in again.err
    assert "5 of 5 left" in again.out
    page = await run(api, "grants", "list", account_id, "--limit", "1")
    assert "more: --cursor" in page.err
    card = await run(api, "account", "payment-method", account_id, "pm_card_visa")
    assert "visa …4242" in card.out


async def test_what_operators_see_and_do(api: RunningApi, account: str) -> None:
    operation_id = (await api.grant(account, 9))["operationId"]
    await change_stage(api.engine, StageChange(operation_id, GrantStage.STUCK, reason="no such price"))
    stuck = (await run(api, "grants", "stuck", "--limit", "200", "--json")).json["data"]
    assert operation_id in {grant["operationId"] for grant in stuck}
    assert "no such price" in (await run(api, "grants", "stuck", "--limit", "200")).out
    assert (await run(api, "grants", "retry", operation_id)).code == 0
    abandoned = await run(api, "grants", "abandon", operation_id, "--reason", "enough", "--json")
    assert abandoned.json["stage"] == "stuck"
    revoked = await run(api, "grants", "revoke", operation_id, "--reason", "a mistake")
    assert "9" in revoked.out
    again = await run(api, "grants", "revoke", operation_id, "--reason", "a mistake")
    assert (again.code, "nothing was taken now" in again.err) == (0, True)


async def test_a_token_of_an_account_works_as_well(api: RunningApi, account: str) -> None:
    token = (await run(api, "account", "token", account)).out.strip()
    assert (await run(api, "balance", account, "--token", token)).code == 0
    refused = await run(api, "grant", account, "5", "--token", token)
    assert (refused.code, "admin" in refused.err) == (1, True)


async def test_watching(api: RunningApi, account: str) -> None:
    token = await api.token_of(account)
    watching = asyncio.create_task(run(api, "watch", "--count", "2", "--json", "--token", token))
    while not watching.done():
        await api.grant(account, 1)
        await asyncio.sleep(0.05)
    lines = [json.loads(line) for line in (await watching).out.splitlines()]
    assert len(lines) == 2
    assert lines[1]["prevSeq"] == lines[0]["seq"]
    words = await run(api, "watch", "--count", "1", "--token", token)
    assert "credits to spend" in words.out


async def test_refused_is_one(api: RunningApi, account: str) -> None:
    for arguments, words in (
        (("grant", account, "0"), "whole number from 1"),
        (("balance", "nobody"), "no account"),
        (("grants", "show", "op-none"), "no grant"),
        (("account", "payment-method", account, DECLINED), "declined"),
        (("balance", account, "--token", "wrong"), "Authorization"),
        (("watch", "--token", "gf_unknown"), "token is missing"),
    ):
        ran = await run(api, *arguments)
        assert ran.code == 1, arguments
        assert ran.out == ""
        assert words in ran.err, ran.err


async def test_wrong_usage_is_two(api: RunningApi, account: str) -> None:
    for arguments in (
        ("grant", account),
        ("grant", account, "5.0"),
        ("grant", account, "many"),
        ("grant", account, "5", "--type", "gift"),
        ("grant", account, "5", "--type", "free", "--expires-at", "tomorrow"),
        ("grant", account, "5", "--type", "free", "--expires-at", "2099-01-01T00:00:00"),
        ("grants", "abandon", "x"),
        ("grants", "list", account, "--limit", "201"),
        ("nothing",),
        ("watch",),
        ("balance", account, "--api-url", "ftp://nowhere"),
        ("balance", account, "--api-url", "http://[::nowhere"),
    ):
        assert (await run(api, *arguments)).code == 2, arguments


async def test_out_of_reach_is_three(api: RunningApi, account: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    ran = await run(api, "balance", account, "--api-url", nowhere)
    assert (ran.code, "does not answer" in ran.err) == (3, True)
    ran = await run(api, "watch", "--token", "gf_any", "--api-url", nowhere)
    assert (ran.code, "has not answered" in ran.err) == (3, True)
    api.flows.down = True
    try:
        ran = await run(api, "grant", account, "5")
    finally:
        api.flows.down = False
    assert (ran.code, "same operation id" in ran.err) == (3, True)


def _commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    nested = getattr(group, "commands", None)
    if nested is None:
        return [path]
    return [found for name, command in nested.items() for found in _commands(command, (*path, name))]


@pytest.mark.parametrize("path", _commands(typer.main.get_command(app)), ids=" ".join)
async def test_every_command_has_an_example_and_json(path: tuple[str, ...]) -> None:
    ran = await run(None, *path, "--help")
    assert ran.code == 0
    assert f"Example: grantflow {' '.join(path)}" in ran.out
    assert "--json" in ran.out


async def test_spending(api: RunningApi, account: str) -> None:
    grant = await api.grant(account, 10)
    operation_id = new_id()
    spent = await run(api, "consume", account, "4", "--operation-id", operation_id)
    assert spent.code == 0
    assert f"4 by {grant['operationId']} (admin)" in spent.out
    again = await run(api, "consume", account, "4", "--operation-id", operation_id, "--json")
    assert (again.json["replayed"], again.json["remainingBalance"]) == (True, 6)
    assert (await run(api, "consume", account, "7")).code == 1
    assert (await run(api, "consume", account, "7", "--debt", "--json")).json["debt"] == 1
