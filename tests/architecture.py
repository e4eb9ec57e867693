"""Reads the tree for tests/test_architecture.py: which files there are, and what stands in them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SERVER = ("messages", "workflows", "activities", "ledger", "gateways", "api")
PACKAGES = (*SERVER, "client", "local", "stripe_sandbox", "migrations", "bench")
MODULES = ("settings.py", "worker.py")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def files(*folders: str) -> list[Path]:
    """The Python files under these folders of the tree, without Alembic's migrations."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if "versions" not in path.relative_to(ROOT).parts)


def our_files() -> list[Path]:
    """All Python files that are not tests."""
    return [*files(*PACKAGES), *(ROOT / module for module in MODULES)]


@cache
def tree_of(path: Path) -> ast.Module:
    """The file, parsed."""
    return ast.parse(path.read_text())


def place(path: Path, node: ast.AST) -> str:
    """Where a node stands, for a person."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def imports(path: Path) -> Iterator[tuple[ast.AST, str, str]]:
    """What the file imports: the module, and the name from it (empty where it imports the module itself)."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node, each.name, "") for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((node, node.module, each.name) for each in node.names)


def imported_names(path: Path) -> dict[str, str]:
    """The names that imports bind in the file, each with the module that it comes from."""
    names: dict[str, str] = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {(each.asname or each.name).split(".")[0]: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return names


def called_name(call: ast.Call) -> str:
    """The last part of what is called: ``c`` for ``a.b.c()``."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


@cache
def functions(path: Path) -> list[FunctionNode]:
    """Every function of the file, outer ones before those inside them."""
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, FunctionNode)]


def without_docstring(path: Path) -> Iterator[ast.AST]:
    """Public modules, classes, functions and methods that say nothing of themselves.

    A method may leave it to the class that its class extends; a stub of a protocol is its own description.
    """
    tree = tree_of(path)
    if ast.get_docstring(tree) is None and path.name != "__init__.py":
        yield tree
    for node in tree.body:
        if isinstance(node, FunctionNode) and not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _class_without(node)


def _class_without(node: ast.ClassDef) -> Iterator[ast.AST]:
    if ast.get_docstring(node) is None:
        yield node
    if node.bases:
        return
    for method in node.body:
        if isinstance(method, FunctionNode) and not method.name.startswith("_") and ast.get_docstring(method) is None:
            yield method


def floats(path: Path) -> Iterator[ast.AST]:
    """Float literals, the name ``float`` and true division."""
    for node in ast.walk(tree_of(path)):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        named = isinstance(node, ast.Name) and node.id == "float"
        divided = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        if literal or named or divided:
            yield node
