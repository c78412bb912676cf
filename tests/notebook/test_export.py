"""Notebooks that leave Jupyter: exported to HTML, and run again with other parameters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert.exporters import HTMLExporter

from trignb.notebook.demo import kernel_manager

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
CELLS = (
    "%load_ext trignb\n%tf clock set 2024-01-01T00:00:00Z",
    "name = 'Ann'",
    "%%redis\nHSET user:1 name {{name}} mark <b>",
    "%redis HGETALL user:1",
    "%tf notifications",
)


def outputs_in_html(path: Path) -> list[str]:
    notebook: Any = nbformat.read(path, as_version=4)
    return [
        output.data["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "text/html" in output.get("data", {})
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_fetch_nothing(path: Path) -> None:
    for html in outputs_in_html(path):
        assert not re.search(r"<script|<link|<iframe|(?:src|href)=|url\(", html), html


def run(name: str) -> Any:
    """Run the notebook with another value in its cell of parameters, as papermill does."""
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    cells.insert(2, nbformat.v4.new_code_cell(f"name = {name!r}"))
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, km=kernel_manager(), timeout=60)
    with client.setup_kernel(cleanup_kc=True):
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
    return notebook


def test_other_parameters_and_a_page_with_static_tables() -> None:
    notebook = run("Zoe <img>")
    reply = notebook.cells[4].outputs[0].data
    assert '2) "Zoe <img>"' in reply["text/plain"]
    assert "<td>Zoe &lt;img&gt;</td>" in reply["text/html"]
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert "<td>Zoe &lt;img&gt;</td>" in page
    assert "<img>" not in page.partition("<body")[2]
    assert page.count("<table") >= 2
