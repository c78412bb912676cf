"""What is said in several places is the same in all of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONDA: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))

# Names that conda-forge spells in another way.
CONDA_NAMES = {"redis-py": "redis", "jupyter_client": "jupyter-client"}
# Modules that are not called as their distribution is.
DISTRIBUTIONS = {
    "IPython": "ipython",
    "jupyter_client": "jupyter-client",
    "py_mini_racer": "mini-racer",
}


def split(requirement: str) -> tuple[str, str]:
    """Return name and version bounds of ``name>=1``."""
    match = re.fullmatch(
        r"([A-Za-z0-9_.-]+)(?:\[\w+\])?(.*)", requirement.replace(" ", "")
    )
    assert match, requirement
    return match[1].lower(), match[2]


def pip_requirements(*extras: str) -> dict[str, str]:
    """Return pyproject's dependencies with those of some extras."""
    project = PROJECT["project"]
    lines = [*project["dependencies"]]
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return dict(map(split, lines))


def conda_requirements() -> dict[str, str]:
    """Return environment.yml's packages, pip's included, under pip's names."""
    entries = [entry for entry in CONDA["dependencies"] if isinstance(entry, str)]
    (pip,) = (entry for entry in CONDA["dependencies"] if isinstance(entry, dict))
    entries += [entry for entry in pip["pip"] if not entry.startswith("-e")]
    pairs = map(split, entries)
    return {CONDA_NAMES.get(name, name): bounds for name, bounds in pairs}


def test_conda_environment_has_every_dependency_with_the_same_bounds() -> None:
    conda = conda_requirements()
    for name, bounds in pip_requirements().items():
        assert conda.get(name) == bounds, name


def test_conda_environment_has_nothing_that_pyproject_does_not_know() -> None:
    known = pip_requirements("dev", "docs", "plots", "server")
    extra = set(conda_requirements()) - {"python", "pip"}
    assert extra <= set(known)
    for name in extra:
        assert conda_requirements()[name] == known[name], name


def test_conda_environment_names_the_same_python() -> None:
    assert conda_requirements()["python"] == PROJECT["project"]["requires-python"]


def test_conda_environment_installs_the_checkout() -> None:
    (pip,) = (entry for entry in CONDA["dependencies"] if isinstance(entry, dict))
    assert "-e ." in pip["pip"]


def imported_modules() -> set[str]:
    """Return the top-level names of everything the package imports."""
    names = set()
    for path in (ROOT / "trignb").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names


def test_everything_imported_is_declared() -> None:
    foreign = imported_modules() - set(sys.stdlib_module_names) - {"trignb"}
    # The pytest plugin is loaded by pytest itself.
    used = {DISTRIBUTIONS.get(name, name) for name in foreign} - {"pytest"}
    assert used <= set(pip_requirements("plots"))


def test_everything_declared_is_imported() -> None:
    used = {DISTRIBUTIONS.get(name, name) for name in imported_modules()}
    # Used through Jupyter, which finds them by themselves.
    assert set(pip_requirements()) - used == {"ipykernel"}


@pytest.mark.parametrize("extra", ["dev", "docs", "plots", "server"])
def test_every_dependency_has_a_lower_bound(extra: str) -> None:
    for name, bounds in pip_requirements(extra).items():
        assert bounds.startswith(">="), name


def test_v8_is_held_to_the_version_it_was_written_for() -> None:
    assert pip_requirements()["mini-racer"] == ">=0.14,<0.15"


def test_ci_runs_what_developers_run() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "make test" in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.parametrize(
    "target", ["demo", "test", "lint", "bench", "lab", "notebooks", "docs", "wheel"]
)
def test_make_target_sets_up_its_own_environment(target: str, tmp_path: Path) -> None:
    # A dry run in an empty directory: what make would do in a fresh clone.
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"))
    result = subprocess.run(
        ["make", "--dry-run", target],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "-m venv .venv" in result.stdout
    assert "pip install" in result.stdout


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_runs_what_developers_run(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"]
    commands = [
        step["run"] for job in jobs.values() for step in job["steps"] if "run" in step
    ]
    assert commands
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command in commands:
        if ".ci/run" not in command:
            target = re.search(r"make (\S+)$", command)
            assert target, command
            assert f"\n{target[1]}: $(STAMP)" in makefile


def test_workflows_try_every_python_that_is_promised() -> None:
    jobs = yaml.safe_load(WORKFLOWS[-1].read_text("utf-8"))["jobs"]
    versions = jobs["test"]["strategy"]["matrix"]["python"]
    prefix = "Programming Language :: Python :: "
    promised = [c.removeprefix(prefix) for c in PROJECT["project"]["classifiers"]]
    assert versions == [v for v in promised if re.fullmatch(r"3\.\d+", v)]


def test_pre_commit_hooks_lint_and_check_types() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    hooks = {
        hook["id"] for repo in yaml.safe_load(text)["repos"] for hook in repo["hooks"]
    }
    assert {"ruff", "mypy"} <= hooks


@pytest.mark.parametrize(
    "pattern", ["js/prelude/*.js", "js/typings/*.d.ts", "engine/*.tsv", "py.typed"]
)
def test_package_data_lies_inside_the_package(pattern: str) -> None:
    assert list((ROOT / "trignb").glob(pattern)), pattern
