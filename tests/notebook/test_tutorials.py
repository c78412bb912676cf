"""What the tutorials promise beside their outputs, which nbval compares."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from trignb.notebook.demo import kernel_manager

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# The tour that `make demo` tells has no exercises; all others do.
LESSONS = NOTEBOOKS[1:]

# Paths and addresses of the machine that wrote the outputs.
LOCAL = re.compile(r"/(?:home|root|tmp|work|Users|venv)/|\bat 0x[0-9a-f]{6,}")


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def tags(cell: Any) -> set[str]:
    return set(cell.metadata.get("tags", ()))


def each(paths: list[Path]) -> Any:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def test_there_are_tutorials() -> None:
    assert len(NOTEBOOKS) > 1


@each(NOTEBOOKS)
def test_nothing_but_the_kernel_is_noted(path: Path) -> None:
    notebook = read(path)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    ids = [f"cell-{number:02}" for number in range(len(notebook.cells))]
    assert [cell.id for cell in notebook.cells] == ids
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "jupyter"}


@each(NOTEBOOKS)
def test_ran_once_from_top_to_bottom(path: Path) -> None:
    cells = code_cells(path)
    # A cell to be filled in has nothing to run but its comment, and counts all the same.
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@each(NOTEBOOKS)
def test_fails_only_where_it_means_to(path: Path) -> None:
    for cell in code_cells(path):
        kinds = {output.output_type for output in cell.outputs}
        assert ("error" in kinds) == ("raises-exception" in tags(cell)), cell.source


@each(NOTEBOOKS)
def test_says_nothing_of_the_machine(path: Path) -> None:
    for cell in code_cells(path):
        assert not LOCAL.search(str(cell.outputs)), cell.source


@each(NOTEBOOKS)
def test_begins_with_a_title_and_a_held_clock(path: Path) -> None:
    notebook = read(path)
    assert re.match(r"# \S", notebook.cells[0].source)
    assert sum(bool(re.match(r"# ", c.source)) for c in notebook.cells) >= 1
    first = [cell.source for cell in code_cells(path)][:2]
    assert "%load_ext trignb" in first[0]
    assert "clock" in "\n".join(first)


@each(LESSONS)
def test_asks_a_question_and_gives_a_rule(path: Path) -> None:
    texts = [c.source for c in read(path).cells if c.cell_type == "markdown"]
    assert "**The question:**" in texts[0]
    assert any("**The rule.**" in text for text in texts)


@each(LESSONS)
def test_exercises_have_folded_solutions_and_a_check(path: Path) -> None:
    cells = code_cells(path)
    solutions = [i for i, cell in enumerate(cells) if "solution" in tags(cell)]
    assert len(solutions) >= 2
    for i in solutions:
        assert cells[i].metadata.jupyter == {"source_hidden": True}
        scaffold, check = cells[i - 1], cells[i + 1]
        lines = scaffold.source.strip().splitlines()
        assert lines
        assert all(line.startswith("#") for line in lines)
        assert "assert " in check.source


@each(LESSONS)
def test_says_what_it_says_in_a_screen_or_two(path: Path) -> None:
    cells = read(path).cells
    assert len(cells) <= 45
    longest = max(len(c.source) for c in cells if c.cell_type == "markdown")
    assert longest < 1800


# Other values for the notebooks that have a cell of parameters, as papermill would inject them.
PARAMETERS = {
    "12-exploring": "n_orders, seed = 4_000, 3",
    "13-testing": "seeds, writes = range(90, 93), 10",
}


def has_parameters(path: Path) -> bool:
    return any("parameters" in tags(cell) for cell in code_cells(path))


def test_every_parameter_is_tried() -> None:
    assert set(PARAMETERS) == {p.stem for p in NOTEBOOKS if has_parameters(p)}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", PARAMETERS)
def test_checks_hold_for_other_parameters(name: str) -> None:
    notebook = read(ROOT / "notebooks" / f"{name}.ipynb")
    (at,) = (i for i, cell in enumerate(notebook.cells) if "parameters" in tags(cell))
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(PARAMETERS[name]))
    client = NotebookClient(notebook, km=kernel_manager(), timeout=100)
    client.resources = {"metadata": {"path": str(ROOT / "notebooks")}}
    with client.setup_kernel(cleanup_kc=True):
        for position, cell in enumerate(notebook.cells):
            client.execute_cell(cell, position)
