"""The commands that start nothing, as the command line runs them."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from local.commands import LOCAL_COMMANDS, add_commands
from local.program import point_at_running_stack

_UNSET = dict.fromkeys(
    ("GRANTFLOW_DATABASE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_CLI_PATH", "STRIPE_SECRET_KEY", "STRIPE_API_BASE"), ""
)


@pytest.fixture
def app() -> typer.Typer:
    """A program with the local commands alone."""
    app = typer.Typer()
    add_commands(app)
    return app


@pytest.mark.parametrize("command", sorted(LOCAL_COMMANDS))
def test_every_command_explains_itself_with_an_example(app: typer.Typer, command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert (shown.exit_code, f"Example: grantflow {command}" in shown.output) == (0, True)
    assert "--json" in shown.output


def test_an_unknown_option_is_wrong_usage(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["up", "--fast"]).exit_code == 2
    assert CliRunner().invoke(app, ["up", "--port", "65536"]).exit_code == 2


def test_status_of_what_does_not_run_is_exit_code_3(app: typer.Typer, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["status", "--json", "--data-dir", str(tmp_path)])
    assert shown.exit_code == 3
    assert json.loads(shown.stdout) == {
        "running": False,
        "phase": "stopped",
        "dataDir": str(tmp_path),
        "supervisorPid": None,
        "parts": [],
    }


def test_reset_asks_first_and_deletes_nothing_that_is_not_its_own(app: typer.Typer, tmp_path: Path) -> None:
    mine = tmp_path / "thesis.txt"
    mine.write_text("years of work")
    assert CliRunner().invoke(app, ["reset", "--data-dir", str(tmp_path)]).exit_code == 1
    assert CliRunner().invoke(app, ["reset", "--yes", "--data-dir", str(tmp_path)]).exit_code == 2
    assert mine.read_text() == "years of work"


def test_doctor_finds_this_machine_able(app: typer.Typer, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["doctor", "--json", "--data-dir", str(tmp_path)], env=_UNSET)
    states = {check["name"]: check["state"] for check in json.loads(shown.stdout)["checks"]}
    assert (shown.exit_code, states["python"], states["postgres"], states["temporal"]) == (0, "ok", "ok", "ok")


def test_doctor_names_what_is_wrong_and_what_to_do(app: typer.Typer, tmp_path: Path) -> None:
    wrong = {**_UNSET, "TEMPORAL_CLI_PATH": "/nothing/here", "STRIPE_SECRET_KEY": "pk_1"}
    shown = CliRunner().invoke(app, ["doctor", "--json", "--data-dir", str(tmp_path)], env=wrong)
    missing = {check["name"]: check for check in json.loads(shown.stdout)["checks"] if check["state"] == "missing"}
    assert (shown.exit_code, set(missing)) == (1, {"TEMPORAL_CLI_PATH", "environment"})
    assert all(check["todo"] for check in missing.values())


def test_a_server_that_the_person_named_is_never_sent_the_local_token() -> None:
    environment = {"GRANTFLOW_API_URL": "https://elsewhere.example"}
    point_at_running_stack(["balance"], environment)
    assert environment == {"GRANTFLOW_API_URL": "https://elsewhere.example"}


def test_where_nothing_runs_the_client_is_told_nothing(tmp_path: Path) -> None:
    environment = {"GRANTFLOW_DATA_DIR": str(tmp_path)}
    point_at_running_stack(["balance"], environment)
    assert environment == {"GRANTFLOW_DATA_DIR": str(tmp_path)}
