"""The house's one direction: a module imports from its own package or from below."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[1] / "trignb"
MODULES = sorted(PACKAGE.rglob("*.py"))

# docs/architecture.md, "Layers"; the longest prefix that fits counts. What shares a
# number is one room.
LAYERS = {
    "trignb.errors": 0,
    "trignb.doubles": 0,
    "trignb.reply": 0,
    "trignb.clock": 0,
    "trignb.glob": 0,
    "trignb.datatypes": 1,
    "trignb.resp": 1,
    "trignb.js": 2,
    "trignb.engine": 3,
    "trignb.functions": 4,
    "trignb.lua": 4,
    "trignb.persistence": 4,
    "trignb.replication": 4,
    "trignb.server": 5,
    "trignb.api": 5,
    "trignb.causes": 5,
    "trignb.rehearsal": 5,
    "trignb.tables": 5,
    "trignb.views": 5,
    "trignb.client": 5,
    "trignb.cli": 5,
    "trignb.pytest_plugin": 5,
    "trignb.__main__": 5,
    "trignb.notebook": 6,
    "trignb": 6,
}

# Who alone may import what costs much or ties us to somebody.
OWNERS = {
    "pandas": ("trignb.notebook",),
    "matplotlib": ("trignb.notebook.charts",),
    "IPython": ("trignb.notebook",),
    "ipywidgets": ("trignb.notebook",),
    "nbclient": ("trignb.notebook",),
    "nbformat": ("trignb.notebook",),
    "py_mini_racer": ("trignb.js.starting",),
    "lupa": ("trignb.lua.runtime",),
    "redis": ("trignb.client",),
    "pytest": ("trignb.pytest_plugin",),
    "click": ("trignb.cli",),
}


def module_name(path: Path) -> str:
    """Return the dotted name of a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def home(module: str) -> str:
    """Return the entry of `LAYERS` a module belongs to."""
    return max(
        (name for name in LAYERS if (module + ".").startswith(name + ".")), key=len
    )


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield (imported name, whether it is imported lazily or for types only)."""
    tree = ast.parse(path.read_text("utf-8"))
    later = set()
    for node in ast.walk(tree):
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if is_function or is_type_checking(node):
            later.update(id(child) for child in ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in later) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            yield from (
                (resolve(str(node.module), alias.name), id(node) in later)
                for alias in node.names
            )


def is_type_checking(node: ast.AST) -> bool:
    """Whether a node is ``if TYPE_CHECKING:``."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def resolve(module: str, name: str) -> str:
    """Return ``module.name`` where that is a module of ours, else the module."""
    path = PACKAGE.parent.joinpath(*module.split("."), name)
    is_module = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
    return f"{module}.{name}" if is_module else module


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_imports_from_its_own_package_or_from_below(path: Path) -> None:
    here = home(module_name(path))
    for name, is_later in imports(path):
        if name != "trignb" and not name.startswith("trignb."):
            continue
        there = home(name)
        # The facade hands out notebook's DataFrames and the client: lazily, by name.
        if LAYERS[here] >= 5 and is_later:
            continue
        assert LAYERS[there] <= LAYERS[here], f"{name} lies above {module_name(path)}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_heavy_dependency_is_imported_by_its_owner_only(path: Path) -> None:
    here = module_name(path)
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if is_type_checking(node)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        else:
            continue
        for name in names:
            owners = OWNERS.get(name.partition(".")[0])
            assert owners is None or here.startswith(owners), f"{here}: {name}"


def test_javascript_knows_nothing_of_keys() -> None:
    for path in PACKAGE.joinpath("js").glob("*.py"):
        for name, _ in imports(path):
            assert not name.startswith(("trignb.engine", "trignb.datatypes")), path
