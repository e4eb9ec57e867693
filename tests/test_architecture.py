"""What import-linter can't see, and that each of its contracts really bites."""

import ast
import asyncio
import inspect
import re
import shutil
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path

import pytest

import worker
from messages.steps import Steps
from tests.architecture import (
    MODULES,
    PACKAGES,
    ROOT,
    called_name,
    files,
    floats,
    functions,
    imported_names,
    imports,
    our_files,
    place,
    tree_of,
    without_docstring,
)

MAX_LINES = 400
TRANSACTIONS = {"with_serializable_transaction", "with_snapshot", "with_transaction"}
VENDORS = ("gateways", "stripe", "temporalio", "httpx")

# Where seconds are counted, and no money is.
COUNTS_SECONDS = {ROOT / "ledger" / name for name in ("changes.py", "repeating.py", "transaction.py", "turns.py")}


def test_the_worker_is_wiring_only() -> None:
    """It decides nothing: no branch, no loop but over signals, no class, nothing caught."""
    decisions = (ast.ClassDef, ast.Try, ast.While, ast.If, ast.ListComp, ast.DictComp, ast.Match)
    found = [node for node in ast.walk(tree_of(ROOT / "worker.py")) if isinstance(node, decisions)]
    assert [ast.unparse(node).splitlines()[0] for node in found] == ["if __name__ == '__main__':"]


def declared_activities() -> set[str]:
    """The activities that the families of steps declare."""
    for path in files("messages"):
        import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return {
        name
        for family in Steps.__subclasses__()
        for name, method in vars(family).items()
        if inspect.isfunction(method) and hasattr(method, "__temporal_activity_definition")
    }


def test_every_activity_is_registered() -> None:
    (listed,) = (
        keyword.value
        for node in ast.walk(tree_of(ROOT / "worker.py"))
        if isinstance(node, ast.Call) and called_name(node) == "Worker"
        for keyword in node.keywords
        if keyword.arg == "activities"
    )
    assert isinstance(listed, ast.List)
    registered = [each.attr for each in listed.elts if isinstance(each, ast.Attribute)]
    assert sorted(registered) == sorted(declared_activities())


def test_activities_are_methods_of_a_family_of_steps() -> None:
    decorated = [
        place(path, node)
        for path in files("activities")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any("activity.defn" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    assert decorated == []


def workflow_classes() -> dict[str, type]:
    """Every workflow of ours, by its name on the wire."""
    found: dict[str, type] = {}
    for path in files("workflows"):
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for _, each in inspect.getmembers(module, inspect.isclass):
            definition = getattr(each, "__temporal_workflow_definition", None)
            if definition is not None and each.__module__ == module.__name__:
                found[definition.name] = each
    return found


def test_every_workflow_is_registered() -> None:
    assert set(worker.WORKFLOWS) == set(workflow_classes().values())


@pytest.mark.parametrize("name", sorted(workflow_classes()))
def test_every_workflow_has_a_stored_history(name: str) -> None:
    assert list((ROOT / "tests" / "histories" / name).glob("*.json"))


def _work_of(path: Path, call: ast.Call) -> ast.AST:
    """What is handed to the transaction: a lambda, or the function of that name nearest to the call."""
    given = call.args[1]
    if not isinstance(given, ast.Name):
        return given
    around = [node for node in functions(path) if any(each is call for each in ast.walk(node))]
    near = [node for outer in reversed(around) for node in ast.walk(outer) if node in functions(path)]
    return next(node for node in [*near, *functions(path)] if getattr(node, "name", "") == given.id)


def test_no_vendor_is_called_inside_a_transaction() -> None:
    """Only the ledger opens transactions, and what it does in one knows no vendor (it may import none, besides)."""
    calls = []
    for path in our_files():
        names = imported_names(path)
        for node in ast.walk(tree_of(path)):
            if not (isinstance(node, ast.Call) and called_name(node) in TRANSACTIONS):
                continue
            if path.parent != ROOT / "ledger":
                calls.append(f"{place(path, node)}: a transaction outside the ledger")
                continue
            work = _work_of(path, node)
            used = {each.id for each in ast.walk(work) if isinstance(each, ast.Name)}
            calls += [f"{place(path, node)}: {name}" for name in used if names.get(name, "").startswith(VENDORS)]
    assert calls == []


def test_nothing_but_the_transaction_module_opens_a_transaction() -> None:
    opened = [
        place(path, node)
        for path in [*files("ledger", "activities", "api", "gateways", "workflows"), ROOT / "worker.py"]
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in {"begin", "begin_nested", "commit", "rollback"}
        if {"engine", "tx", "connection"} & set(re.findall(r"[a-z]+", ast.unparse(node.value)))
    ]
    assert [where.split(":")[0] for where in opened] == ["ledger/transaction.py"]


def test_no_money_is_a_float() -> None:
    found = [
        place(path, node) for path in files("ledger", "messages") if path not in COUNTS_SECONDS for node in floats(path)
    ]
    assert found == []


def test_everything_public_says_what_it_is() -> None:
    assert [place(path, node) for path in our_files() for node in without_docstring(path)] == []


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in [*our_files(), *files("tests")]}
    assert {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_nothing_is_left_for_later_and_no_test_is_left_out() -> None:
    left = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    avoided = re.compile(
        r"mark\.(sk"
        + r"ip|xf"
        + r"ail)|pytest\.(sk"
        + r"ip|xf"
        + r"ail|importor)|unittest\.mo"
        + r"ck|monkey"
        + r"patch"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in [*our_files(), *files("tests")]
        for match in (*left.finditer(path.read_text()), *avoided.finditer(path.read_text()))
    ]
    assert found == []


def test_the_environment_is_read_in_the_settings() -> None:
    """And by the local stack, which makes the environment of the others."""
    readers = [
        place(path, node)
        for path in our_files()
        if path != ROOT / "settings.py" and not path.is_relative_to(ROOT / "local")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    assert readers == []


def test_settings_are_loaded_by_composition_roots_alone() -> None:
    roots = {"worker.py", "api/__main__.py", "migrations/env.py"}
    loaders = {
        str(path.relative_to(ROOT)) for path in our_files() for _, module, _ in imports(path) if module == "settings"
    }
    assert loaders == roots


def test_temporals_client_stays_in_its_gateway() -> None:
    users = {
        path.relative_to(ROOT).parts[0]
        for path in our_files()
        for _, module, name in imports(path)
        if f"{module}.{name}".startswith("temporalio.client")
    }
    assert users == {"gateways", "worker.py"}


def test_the_api_and_the_activities_know_of_the_database_its_engine_alone() -> None:
    known = {
        (module, name)
        for path in [*files("api", "activities"), ROOT / "worker.py"]
        for _, module, name in imports(path)
        if module.startswith("sqlalchemy")
    }
    assert known == {("sqlalchemy.ext.asyncio", "AsyncEngine")}
    listeners = {path.name for path in files("api") for _, module, _ in imports(path) if module.startswith("asyncpg")}
    assert listeners == {"listening.py"}


def test_the_api_contains_no_sql() -> None:
    sql = re.compile(r"\b(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b")
    found = [
        place(path, node)
        for path in files("api", "activities", "workflows")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and sql.search(node.value)
    ]
    assert found == []


# One import for each contract that breaks it, and no other.
BREAKS = {
    "server-layers": ("gateways/violation.py", "import ledger.rules.limits"),
    "users-side": ("client/violation.py", "import local.errors"),
    "server-by-its-api": ("client/violation.py", "import messages.names"),
    "deterministic-workflows": ("workflows/violation.py", "import random"),
    "pure-rules": ("ledger/rules/violation.py", "import time"),
    "store-never-commits": ("ledger/store/violation.py", "import ledger.turns"),
    "stripe-in-its-gateway": ("activities/violation.py", "import stripe"),
    "temporal-in-its-places": ("api/violation.py", "import temporalio"),
    "api-without-sql": ("api/violation.py", "import ledger.store.tables"),
    "stand-in-alone": ("stripe_sandbox/violation.py", "import sqlalchemy"),
    "environment-in-one-place": ("gateways/violation.py", "import settings"),
    "bench-measures": ("local/violation.py", "import bench.accounts"),
}


def contracts() -> dict[str, str]:
    """The import contracts' names, by their ids."""
    parsed = ConfigParser()
    parsed.read(ROOT / ".importlinter")
    prefix = "importlinter:contract:"
    return {
        section.removeprefix(prefix): parsed[section]["name"]
        for section in parsed.sections()
        if section.startswith(prefix)
    }


def _copy_of_the_tree(target: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    for module in (*MODULES, ".importlinter"):
        shutil.copy(ROOT / module, target / module)
    return target


async def _broken_contracts(tree: Path) -> set[str]:
    linter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"),
        *("--no-cache", "--no-logo"),
        cwd=tree,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PYTHONPATH": str(tree), "COLUMNS": "300", "PATH": "/usr/bin:/bin"},
    )
    output, _ = await linter.communicate()
    return set(_verdicts(output.decode(), "BROKEN"))


def _verdicts(output: str, verdict: str) -> Iterator[str]:
    assert "Contracts:" in output, output
    for line in output.splitlines():
        if line.endswith(f" {verdict}"):
            yield line.removesuffix(f" {verdict}").strip()


async def test_the_tree_keeps_its_contracts(tmp_path: Path) -> None:
    assert await _broken_contracts(_copy_of_the_tree(tmp_path)) == set()


@pytest.mark.parametrize("contract", sorted(contracts()))
async def test_a_contract_breaks_when_it_is_violated(contract: str, tmp_path: Path) -> None:
    tree = _copy_of_the_tree(tmp_path)
    where, violation = BREAKS[contract]
    (tree / where).write_text(f'"""Not allowed."""\n\n{violation}  # noqa: F401\n')
    assert await _broken_contracts(tree) == {contracts()[contract]}
