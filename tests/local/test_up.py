"""`grantflow up` and what belongs to it, on the whole real stack."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.folders import project_dir
from local.ports import free_port
from local.process_ids import ProcessId
from tests.local.helpers import soon

_KEYS = {
    *("apiUrl", "wsUrl", "webUrl", "temporalAddress", "temporalUiUrl", "temporalNamespace", "databaseUrl", "stripeUrl"),
    *("stripeWebhookSecret", "adminToken", "dataDir", "pids"),
}
_PARTS = {"api", "worker", "temporal", "stripe", "postgres"}
_OURS = ("GRANTFLOW_", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "STRIPE_", "API_KEY_")


class Program:
    """The command line on one data folder, in an environment that chooses nothing."""

    def __init__(self, data_dir: Path) -> None:
        """Name the data folder."""
        self.data_dir = data_dir

    def __call__(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        chosen_elsewhere = {name for name in os.environ if name.startswith(_OURS) and name != "GRANTFLOW_CACHE_DIR"}
        environment = {name: value for name, value in os.environ.items() if name not in chosen_elsewhere}
        return subprocess.run(
            [sys.executable, "-m", "local.program", *arguments, "--data-dir", str(self.data_dir)],
            env={**environment, **variables},
            cwd=project_dir(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """Run a command that must succeed, and give its JSON."""
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def parts(self) -> dict[str, Any]:
        """Give the parts as `status` shows them, whether all are up or not."""
        done = self("status", "--json")
        return {part["name"]: part for part in json.loads(done.stdout)["parts"]}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The command line on a fresh data folder."""
    return Program(tmp_path / "data")


@pytest.fixture
def stack(program: Program) -> Iterator[Program]:
    """The same, and nothing that it started is left behind."""
    yield program
    program("stop")
    program("reset", "--yes")


async def test_a_stack_lives_through_kills_keeps_its_data_and_ends_without_a_trace(stack: Program) -> None:
    port = free_port()
    first = stack.json("up", "--detach", "--port", str(port))

    assert set(first) >= _KEYS
    assert first["apiUrl"] == f"http://127.0.0.1:{port}"
    assert set(first["pids"]) == _PARTS
    assert len(ids(first)) == len(_PARTS)
    assert stack.json("up", "--detach") == first
    account = new_account(first)

    for part in ("worker", "postgres"):
        os.kill(first["pids"][part], signal.SIGKILL)
    await soon(lambda: all(part["state"] == "running" for part in stack.parts().values()))
    parts = stack.parts()
    assert {name: part["restarts"] for name, part in parts.items() if part["restarts"]} == {"worker": 1, "postgres": 1}
    assert (parts["worker"]["lastExit"], parts["api"]["pid"]) == (-signal.SIGKILL, first["pids"]["api"])

    running = ids(stack.json("up", "--detach"))
    os.kill(first["supervisorPid"], signal.SIGKILL)
    await soon(lambda: not any(process.is_running() for process in running))
    assert stack("status").returncode == 3

    second = stack.json("up", "--detach")
    assert {key: second[key] for key in _KEYS - {"pids"}} == {key: first[key] for key in _KEYS - {"pids"}}
    assert find_account(second, account) == account

    running = ids(second)
    assert sorted(stack.json("stop")["stopped"]) == sorted(_PARTS)
    assert [process for process in running if process.is_running()] == []
    assert stack("stop").stdout.strip() == "nothing was running"


def test_a_port_that_is_taken_is_refused_in_one_line(program: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = program("up", "--port", str(port))
    assert (done.returncode, done.stderr.strip().splitlines()[-1]) == (
        1,
        f"port {port} is in use by another program",
    )


def test_a_wrong_variable_is_wrong_usage_in_one_line(program: Program) -> None:
    done = program("up", GRANTFLOW_PORT="http")
    assert (done.returncode, done.stderr.strip()) == (2, "GRANTFLOW_PORT: must be a number from 1 to 65535")


def ids(address: dict[str, Any]) -> list[ProcessId]:
    """Identify the processes of a stack that runs now."""
    return [process for pid in address["pids"].values() if (process := ProcessId.of(pid))]


def new_account(address: dict[str, Any]) -> dict[str, Any]:
    """Sign a user up."""
    return _lasting(_ask(address, 201, "POST", "/v1/accounts", {"kind": "user", "name": "Ada"}))


def find_account(address: dict[str, Any], account: dict[str, Any]) -> dict[str, Any]:
    """Look an account up."""
    return _lasting(_ask(address, 200, "GET", f"/v1/accounts/{account['accountId']}", None))


def _lasting(account: dict[str, Any]) -> dict[str, Any]:
    return {key: account[key] for key in ("accountId", "kind", "name", "nextQuotaReset", "referralCode")}


def _ask(address: dict[str, Any], status: int, method: str, path: str, body: dict[str, str] | None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {address['adminToken']}"}
    answer = httpx.request(method, address["apiUrl"] + path, json=body, headers=headers, trust_env=False)
    assert answer.status_code == status, answer.text
    fields: dict[str, Any] = answer.json()
    return fields
