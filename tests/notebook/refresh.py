"""Run notebooks and write them back with their outputs: ``make notebooks``.

What is written is as bare as nbval needs it, so that a diff shows what changed and nothing
else: no times, no versions, cells numbered in their order.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from trignb.notebook.demo import kernel_manager

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


def tidy(notebook: Any) -> None:
    """Leave only what a reader or nbval looks at."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        kept = {k: v for k, v in cell.metadata.items() if k in {"tags", "jupyter"}}
        cell.metadata = nbformat.from_dict(kept)
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})


def run(path: Path) -> None:
    """Run one notebook from top to bottom and write it back.

    Raises
    ------
    CellExecutionError
        When a cell without the tag ``raises-exception`` fails; nothing is written then.
    """
    notebook: Any = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook,
        km=kernel_manager(),
        timeout=120,
        record_timing=False,
        resources=place,
    )
    client.execute()
    tidy(notebook)
    nbformat.write(notebook, path)


def main(names: list[str]) -> None:
    """Run the notebooks whose names begin with one of these, or all."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not names or path.name.startswith(tuple(names)):
            sys.stdout.write(f"{path.name}\n")
            run(path)


if __name__ == "__main__":
    main(sys.argv[1:])
