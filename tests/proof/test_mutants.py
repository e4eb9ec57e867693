"""The machine catches every known-bad ledger, and finds nothing in ours."""

from pathlib import Path

import pytest

from tests.conftest import MakeDatabase
from tests.proof.hunting import Budget, Hunt, hunt_all
from tests.proof.mutants import CORE, MUTANTS, Change, copy_ledger

OURS = "ours"


@pytest.fixture(scope="module")
async def hunts(make_plain_database: MakeDatabase) -> dict[str, Hunt]:
    """Ours and the core of the mutants; `make soak` hunts all of them."""
    ledgers = {OURS: (), **{name: MUTANTS[name] for name in CORE}}
    return {name: hunt async for name, hunt in hunt_all(ledgers, make_plain_database, Budget())}


@pytest.mark.timeout(600)  # the first of them waits for all hunts
@pytest.mark.parametrize("name", CORE)
def test_a_known_bad_ledger_is_caught(hunts: dict[str, Hunt], name: str) -> None:
    assert hunts[name].is_caught, f"{name} was not caught:\n{hunts[name].said}"


@pytest.mark.timeout(600)
def test_nothing_is_found_in_ours(hunts: dict[str, Hunt]) -> None:
    assert hunts[OURS].exit_code == 0, hunts[OURS].said
    assert hunts[OURS].told.total() > 1000


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_can_be_made(name: str, tmp_path: Path) -> None:
    copy_ledger(tmp_path, MUTANTS[name])


def test_a_mutant_that_the_source_has_outgrown_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="adapt the mutant"):
        copy_ledger(tmp_path, (Change("rules/debt.py", "no such words", ""),))
