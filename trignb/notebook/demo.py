"""``trignb demo``: the first tutorial, run in a kernel and told in the terminal.

The notebook is executed cell by cell in a kernel of this interpreter. What a cell prints is
compared with what is stored in the notebook; one difference and the demo fails.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any, Final

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax
from rich.text import Text

__all__ = ["DEMO_NOTEBOOK", "find_notebook", "kernel_manager", "run_demo"]

DEMO_NOTEBOOK: Final = "01-keyspace-triggers.ipynb"

# What holds the trignb that runs: the kernel is to import the same.
_ROOT: Final = str(Path(__file__).resolve().parents[2])
_CELL_TIMEOUT_S: Final = 60
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
_LANGUAGES: Final = {"%%tfunction": "javascript", "%%redis": "text"}


class _ThisInterpreter(KernelSpecManager):
    """Finds one kernel: ipykernel in the interpreter that runs the demo."""

    def get_kernel_spec(self, _kernel_name: str) -> KernelSpec:
        """Return the kernel, whatever kernels are installed under this name."""
        command = [sys.executable, "-m", "ipykernel_launcher"]
        paths = [_ROOT, os.environ.get("PYTHONPATH", "")]
        # Only errors: ipykernel's warnings would stand in the middle of the transcript.
        return KernelSpec(
            argv=[*command, "--log-level=ERROR", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
            env={"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )


def kernel_manager(*, asynchronous: bool = True) -> Any:
    """Return a manager that starts a kernel of this interpreter."""
    kind = AsyncKernelManager if asynchronous else KernelManager
    return kind(kernel_spec_manager=_ThisInterpreter())


def find_notebook(path: str | Path | None = None) -> Path:
    """Return the demo's notebook: the given one, or that of this checkout.

    Raises
    ------
    FileNotFoundError
        There is none, as in an installation without the tutorials.
    """
    tried = [
        Path(path) if path is not None else Path(_ROOT) / "notebooks" / DEMO_NOTEBOOK,
        Path.cwd() / "notebooks" / DEMO_NOTEBOOK,
    ]
    for candidate in tried[: 1 if path is not None else 2]:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"no notebook at {tried[0]}")


def run_demo(path: str | Path | None = None, console: Console | None = None) -> int:
    """Run the tutorial notebook and print it as it goes.

    Parameters
    ----------
    path : str or Path, optional
        Another notebook than the tutorial of this checkout.
    console : Console, optional
        Where to print; the terminal when absent.

    Returns
    -------
    int
        Exit status: 0 if every cell did what the notebook says, else 1.
    """
    console = console or Console(highlight=False)
    try:
        found = find_notebook(path)
    except FileNotFoundError as error:
        console.print(Text(f"{error}: run the demo from a checkout", style="bold red"))
        return 1
    return _Telling(found, console).run()


class _Telling:
    """One run of one notebook."""

    def __init__(self, path: Path, console: Console) -> None:
        self.console = console
        read: Any = nbformat.read  # untyped upstream
        self.notebook: Any = read(path, as_version=4)
        self.client = NotebookClient(
            self.notebook,
            km=kernel_manager(),
            timeout=_CELL_TIMEOUT_S,
            resources={"metadata": {"path": str(path.parent)}},
        )
        self.ran = 0
        self.different: list[int] = []

    def run(self) -> int:
        """Tell every cell; return the exit status."""
        with self.client.setup_kernel(cleanup_kc=True):
            for position, cell in enumerate(self.notebook.cells):
                if cell.cell_type == "markdown":
                    self.console.print(Markdown(cell.source))
                    self.console.print()
                elif cell.cell_type == "code" and cell.source.strip():
                    self._run_cell(cell, position)
        return self._verdict()

    def _run_cell(self, cell: Any, position: int) -> None:
        expected = list(_texts(cell.outputs))
        self.ran += 1
        self.console.print(Text(f"In [{self.ran}]:", style="green"))
        self.console.print(_source(cell.source))
        try:
            self.client.execute_cell(cell, position)
        except CellExecutionError:
            # The error stands among the outputs, and is a difference unless expected.
            self.console.print(Text("this cell was not expected to fail", style="red"))
            self.different.append(self.ran)
        shown = list(_texts(cell.outputs))
        for text in shown:
            self.console.print(Text(text))
        self.console.print()
        if shown != expected:
            self._explain(expected, shown)

    def _explain(self, expected: list[str], shown: list[str]) -> None:
        if self.ran not in self.different:
            self.different.append(self.ran)
        lines = unified_diff(
            "\n".join(expected).splitlines(),
            "\n".join(shown).splitlines(),
            "as the notebook says",
            "as it came out",
            lineterm="",
        )
        self.console.print(Text("\n".join(lines), style="red"))

    def _verdict(self) -> int:
        if not self.different:
            told = f"{self.ran} cells, every one did what the notebook says"
            self.console.print(Text(told, style="bold green"))
            return 0
        cells = ", ".join(map(str, sorted(self.different)))
        told = f"not what the notebook says: cell {cells} of {self.ran}"
        self.console.print(Text(told, style="bold red"))
        return 1


def _source(source: str) -> Syntax:
    magic = source.split(maxsplit=1)[0]
    language = _LANGUAGES.get(magic, "python")
    return Syntax(source, language, background_color="default", word_wrap=True)


def _texts(outputs: list[Any]) -> Iterator[str]:
    """Yield what outputs say in plain text, which is what a terminal can show."""
    for output in outputs:
        if output.output_type == "stream":
            yield output.text.rstrip("\n")
        elif output.output_type == "error":
            yield _ANSI.sub("", "\n".join(output.traceback))
        else:
            yield output.data.get("text/plain", "")
