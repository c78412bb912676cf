"""The names people may rely on, and that they are documented."""

from __future__ import annotations

import importlib.metadata
import inspect
import tomllib
from pathlib import Path

import pytest

import trignb
import trignb.errors

ROOT = Path(__file__).parents[1]

PUBLIC = {
    "AofError",
    "BigNumber",
    "Clock",
    "Engine",
    "EngineClosed",
    "JavaScriptError",
    "JavaScriptUnavailable",
    "RdbError",
    "ResponseError",
    "Session",
    "Snapshot",
    "Status",
    "TrignbError",
    "Verbatim",
    "__version__",
}

ENGINE = {
    "call",
    "client",
    "clock",
    "close",
    "commands",
    "dry_run",
    "errors",
    "execute",
    "explain",
    "from_rdb",
    "functions",
    "hash_frame",
    "hset_frame",
    "keys_frame",
    "latencies",
    "libraries",
    "load",
    "logs",
    "notifications",
    "plot",
    "replica",
    "replication_log",
    "reset",
    "restore",
    "save",
    "session",
    "snapshot",
    "stream_frame",
    "stream_triggers",
    "trace",
    "triggers",
    "xadd_frame",
    "zadd_frame",
    "zset_frame",
}


def test_public_names_are_the_documented_ones() -> None:
    assert set(trignb.__all__) == PUBLIC
    assert all(hasattr(trignb, name) for name in PUBLIC)


def test_every_name_has_a_home() -> None:
    assert set(trignb._HOMES) == PUBLIC - {"__version__"}
    assert set(dir(trignb)) >= PUBLIC


def test_names_are_in_order() -> None:
    assert list(trignb.__all__) == sorted(trignb.__all__)


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_public_class_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(trignb, name))


def test_engine_has_the_documented_members(engine: trignb.Engine) -> None:
    members = {name for name in dir(engine) if not name.startswith("_")}
    assert members >= ENGINE


@pytest.mark.parametrize("name", sorted(ENGINE - {"clock"}))
def test_engine_method_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(trignb.Engine, name))


@pytest.mark.parametrize("name", sorted(ENGINE))
def test_readme_or_architecture_names_the_member(name: str) -> None:
    pages = [ROOT / "README.md", ROOT / "docs" / "architecture.md"]
    assert any(f"{name}" in page.read_text("utf-8") for page in pages)


def test_every_error_descends_from_one_class() -> None:
    for name in trignb.errors.__all__:
        assert issubclass(getattr(trignb.errors, name), trignb.TrignbError)


def test_version_stands_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "trignb/__init__.py"
    assert importlib.metadata.version("trignb") == trignb.__version__


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(
        AttributeError, match="module 'trignb' has no attribute 'engin'"
    ):
        trignb.engin  # noqa: B018


def test_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{trignb.__version__}]" in changelog
