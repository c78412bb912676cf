"""The wheel is what people get: built, installed into a clean environment, used there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from interpreters import find_interpreters

ROOT = Path(__file__).parents[1]

# What needs neither a reference server nor a browser, and ends within minutes.
FAST = ("datatypes", "engine", "functions", "js", "lua", "notebook", "resp")

LIBRARY = """#!js api_version=1.0 name=lib
redis.registerKeySpaceTrigger("count", "user:", (client, data) => {
    client.call("incr", "changes");
});
"""

CELLS = [
    "%load_ext trignb",
    f"%%tfunction\n{LIBRARY}",
    "%%redis\nhset user:1 name tom\nget changes",
]


def run(*args: str | Path, **kwargs: object) -> str:
    """Run a command away from the checkout and return what it printed."""
    env = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    done = subprocess.run(
        [*map(str, args)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
        **kwargs,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, f"{args}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return str(done.stdout)


def build(folder: Path) -> Path:
    """Build the wheel from a copy of what the checkout has."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "trignb", source / "trignb", ignore=shutil.ignore_patterns("__pycache__")
    )
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    (wheel,) = folder.glob("trignb-*.whl")
    return wheel


def environment(folder: Path, python: Path, *requirements: str) -> Path:
    """Return the interpreter of a new environment that has these."""
    run(python, "-m", "venv", folder)
    inside = folder / "bin" / "python"
    pip = (inside, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "install", *requirements, cwd=folder)
    return inside


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("clean") / "environment"
    return environment(folder, Path(sys.executable), str(wheel))


@pytest.mark.timeout(400)
def test_library_runs_from_the_wheel(clean: Path, tmp_path: Path) -> None:
    (tmp_path / "lib.js").write_text(LIBRARY, "utf-8")
    program = """
        import sys
        from pathlib import Path

        import trignb

        engine = trignb.Engine()
        engine.load(Path("lib.js").read_text())
        engine.execute("HSET", "user:1", "name", "tom")
        print(engine.execute("GET", "changes").decode(), trignb.__file__)
    """
    printed = run(clean, "-c", textwrap.dedent(program), cwd=tmp_path)
    count, path = printed.split()
    assert count == "1"
    assert Path(path).is_relative_to(clean.parents[1])


@pytest.mark.timeout(400)
def test_console_script_runs_from_the_wheel(clean: Path, tmp_path: Path) -> None:
    (tmp_path / "lib.js").write_text(LIBRARY, "utf-8")
    script = clean.with_name("trignb")
    assert "count" in run(script, "check", "lib.js", cwd=tmp_path)


@pytest.mark.timeout(400)
def test_notebook_runs_from_the_wheel(clean: Path, tmp_path: Path) -> None:
    program = f"""
        import json, nbclient, nbformat

        book = nbformat.v4.new_notebook()
        book.cells = [nbformat.v4.new_code_cell(c) for c in {CELLS!r}]
        nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
        print(json.dumps([cell.outputs for cell in book.cells]))
    """
    printed = run(clean, "-c", textwrap.dedent(program), cwd=tmp_path)
    *_, last = json.loads(printed.splitlines()[-1])
    assert "(integer) 1" in json.dumps(last)
    assert not any(output["output_type"] == "error" for output in last)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_fast_tests_pass_on_the_wheel(
    version: str, wheel: Path, tmp_path: Path, long: bool
) -> None:
    if not long:
        pytest.skip("part of make test-long")
    python = find_interpreters().get(version)
    if python is None:
        pytest.skip(f"there is no CPython {version} on this machine")
    inside = environment(tmp_path / "environment", python, f"{wheel}[dev]")
    # The tests beside no package of ours: what they import is the wheel.
    shutil.copytree(
        ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "docs", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    folders = [f"tests/{name}" for name in FAST]
    pytest_ = inside.with_name("pytest")
    run(pytest_, "-q", "-p", "no:cacheprovider", *folders, cwd=tmp_path)
