"""What the parts of Grantflow's own stack are told."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from local.environment import read_environment
from local.parts import Part
from local.stack import Stack
from local.state import DataDir


def stack_of(folder: Path, own: Mapping[str, str]) -> Stack:
    data_dir = DataDir(folder)
    data_dir.make()
    return Stack(data_dir, read_environment(own), data_dir.keep(None), own)


def told(stack: Stack, name: str) -> Mapping[str, str]:
    (part,) = (step for step in stack.steps() if isinstance(step, Part) and step.name == name)
    return part.command().environment


@pytest.mark.parametrize("name", ["worker", "api"])
def test_the_parts_hear_of_the_embedded_stack_and_of_nothing_meant_for_another(tmp_path: Path, name: str) -> None:
    own = {"HOME": "/home/ada", "TEMPORAL_API_KEY": "of the cloud", "TEMPORAL_TLS": "1", "NO_PROXY": "inner.example"}
    stack = stack_of(tmp_path, own)
    environment = told(stack, name)
    assert environment["HOME"] == "/home/ada"
    assert (environment["TEMPORAL_API_KEY"], environment["TEMPORAL_TLS"]) == ("", "")
    assert environment["NO_PROXY"] == "inner.example,127.0.0.1,localhost"
    assert environment["GRANTFLOW_DATABASE_URL"].startswith("postgresql://grantflow_app:")
    assert "grantflow_owner" not in " ".join(environment.values())
    assert (environment["GRANTFLOW_EMBEDDED"], len(environment["API_KEY_ENCRYPTION_SECRET"].encode())) == ("1", 32)


def test_what_is_elsewhere_is_neither_started_nor_made_up(tmp_path: Path) -> None:
    own = {
        "GRANTFLOW_DATABASE_URL": "postgresql://app@db/grantflow",
        "GRANTFLOW_MIGRATIONS_DATABASE_URL": "postgresql://owner@db/grantflow",
        "TEMPORAL_ADDRESS": "cloud.example:7233",
        "TEMPORAL_API_KEY": "of the cloud",
        "STRIPE_SECRET_KEY": "sk_test_1",
        "STRIPE_WEBHOOK_SECRET": "whsec_1",
    }
    stack = stack_of(tmp_path, own)
    assert [step.name for step in stack.steps()] == ["migrations", "worker", "api"]
    environment = told(stack, "api")
    assert (environment["GRANTFLOW_DATABASE_URL"], environment["TEMPORAL_API_KEY"]) == (
        "postgresql://app@db/grantflow",
        "of the cloud",
    )
    assert (environment["GRANTFLOW_EMBEDDED"], environment["STRIPE_API_BASE"]) == ("", "")
    assert "owner" not in " ".join(environment.values())
    address = stack.address()
    assert (address.temporal_address, address.stripe_url) == ("cloud.example:7233", "https://api.stripe.com")


def test_secrets_and_ports_are_kept_and_written_for_the_owner_alone(tmp_path: Path) -> None:
    first = stack_of(tmp_path / "data", {})
    second = stack_of(tmp_path / "data", {})
    assert first.kept == second.kept
    assert first.address() == second.address()
    for name in ("stack.json", "postgres.json"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o077 == 0


def test_a_port_that_somebody_has_taken_is_replaced(tmp_path: Path) -> None:
    first = DataDir(tmp_path).keep(None)
    again = DataDir(tmp_path).keep(first.ports.api)
    assert again.ports == first.ports
    other = DataDir(tmp_path).keep(first.ports.stripe)
    assert (other.ports.api, other.ports.stripe == first.ports.stripe) == (first.ports.stripe, False)
