"""A tutorial in JupyterLab, from a click on its name to its last output."""

from __future__ import annotations

import shutil

from playwright.sync_api import Browser, expect

from browser.conftest import ROOT, Book, Lab

NAME = "01-keyspace-triggers.ipynb"


def test_tutorial_runs_and_shows_what_it_says(lab: Lab, chromium: Browser) -> None:
    shutil.copy(ROOT / "notebooks" / NAME, lab.notebooks / NAME)
    stored = lab.read(NAME)
    book = Book(lab, chromium, NAME)
    book.command("notebook:clear-all-cell-outputs")
    book.run_all()
    book.command("docmanager:save")
    ran = lab.read(NAME)
    assert [outputs(cell) for cell in ran.cells] == [
        outputs(cell) for cell in stored.cells
    ]
    # The last table that a cell shows, as people see it.
    tables = [
        i
        for i, cell in enumerate(stored.cells)
        if any(
            "text/html" in output.get("data", {}) for output in cell.get("outputs", ())
        )
    ]
    expect(book.output(tables[-1]).locator("table").first).to_be_visible()
    book.picture("tutorial")
    book.check()
    book.close()


def outputs(cell: dict) -> list[str]:
    """Return the texts below a cell."""
    return [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.get("outputs", ())
    ]
