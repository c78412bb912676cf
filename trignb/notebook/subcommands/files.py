"""``%tf export`` and ``%tf import``: libraries as ``.js`` files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trignb.engine.files import replacing
from trignb.notebook.display import Note, library_line
from trignb.notebook.errors import UsageError
from trignb.notebook.options import flag
from trignb.notebook.subcommands.registry import Call, subcommand
from trignb.notebook.subcommands.tables import no_library
from trignb.notebook.workbench import Source

if TYPE_CHECKING:
    from trignb.functions.library import Library

__all__: list[str] = []


@subcommand("library", "path", force=flag("force", help="replace a file that is there"))
def export(call: Call) -> Note:
    """``export LIBRARY PATH [--force]``: write a library's code to a file."""
    library, path = _library(call), _path(call, 1)
    if path.is_dir():
        path /= f"{library.name}.js"
    if path.exists() and not call.get("force"):
        raise UsageError(f"{path} exists; --force replaces it")
    try:
        with replacing(str(path)) as file:
            file.write(library.code.encode())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    lines = len(library.code.splitlines())
    return Note(f"OK  library {library.name}: {lines} lines in {path}")


def _library(call: Call) -> Library:
    name = call.word()
    if name is None:
        raise UsageError("%tf export takes a library and a path")
    libraries = call.engine.library_registry.libraries
    if name not in libraries:
        raise no_library(name, libraries)
    return libraries[name]


def _path(call: Call, number: int) -> Path:
    text = call.word(number)
    if text is None:
        raise UsageError("a path is missing")
    return Path(text).expanduser()


@subcommand("path", new=flag("new", help="refuse to replace a library of its name"))
def import_(call: Call) -> Note:
    """``import PATH [--new]``: load a library from a file, in place of one of its name."""
    path, bench = _path(call, 0), call.bench
    try:
        code = path.read_bytes().decode()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8") from None
    source = Source(code, is_cell=False)
    library = call.magics.load_library(bench, source, replace=not call.get("new"))
    return Note(library_line(library))
