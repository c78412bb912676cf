"""``import trignb`` stays quick: what is heavy is imported when it is first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "pandas",
    "numpy",
    "IPython",
    "ipywidgets",
    "py_mini_racer",
    "lupa",
    "redis",
    "ssl",
)

SCRIPT = """
import sys
import {module}
print(*[name for name in {heavy!r} if name in sys.modules])
"""


def heavy_after(module: str) -> str:
    """Return what importing a module brought into a fresh interpreter."""
    script = SCRIPT.format(module=module, heavy=HEAVY)
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


@pytest.mark.parametrize("module", ["trignb", "trignb.pytest_plugin", "trignb.cli"])
def test_import_brings_nothing_heavy(module: str) -> None:
    assert heavy_after(module) == ""


def test_the_check_can_see_something_heavy() -> None:
    assert heavy_after("redis") == "redis ssl"


def test_engine_without_libraries_starts_no_javascript() -> None:
    script = "import trignb; e = trignb.Engine(); e.execute('SET', 'k', 'v'); e.close()"
    check = "; import sys; print('py_mini_racer' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script + check],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "False"


def test_pytest_plugin_loads_no_engine() -> None:
    # pytest imports it in every run, also where no test wants an engine.
    script = "import sys, trignb.pytest_plugin; print('trignb.api' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["errors", "reply", "clock"])
def test_public_module_is_reached_as_an_attribute(name: str) -> None:
    script = f"import trignb; print(trignb.{name}.__name__)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == f"trignb.{name}"
