"""Libraries in cells: their header, and where in the cell an error happened.

V8 counts lines from the library's first, the prologue. In a cell that line is the second,
below the magic; or, when the magic names the library and writes the prologue itself, it
takes the magic's own place. `Source.offset` is the difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from trignb.notebook.errors import JSError, UsageError
from trignb.notebook.workbench import LIBRARY_NAME, Bench, Source

if TYPE_CHECKING:
    from trignb.errors import JavaScriptError
    from trignb.functions.failures import ErrorRecord

__all__ = ["code_frame", "js_error", "last_error_line", "library_source"]

_FRAME: Final = re.compile(
    r"\s*at (?:async )?(?:(?P<name>.+?) \()?[^()]*?:(\d+):(\d+)\)?"
)


class _Frame(NamedTuple):
    """One call: the function's name, a line and a column of the library."""

    function: str
    line: int
    column: int


def library_source(cell: str, name: str) -> Source:
    """Return the library in a cell, with a prologue when `name` gives it one.

    Raises
    ------
    UsageError
        The cell's own header names another library.
    """
    body = cell.lstrip("\n")
    blank = len(cell) - len(body)
    if not body.startswith("#!"):
        if not name:
            return Source(cell, 1)
        return Source(f"#!js api_version=1.0 name={name}\n{cell}", 0)
    named = LIBRARY_NAME.match(body)
    if name and named and named[1] != name:
        raise UsageError(
            f"the magic names library {name}, the cell's header {named[1]}"
        )
    return Source(body, 1 + blank)


def js_error(
    error: JavaScriptError, bench: Bench, source: Source | None = None
) -> JSError:
    """Return a library's error as a cell shows it.

    Parameters
    ----------
    error : JavaScriptError
        What the engine raised.
    bench : Bench
        Whose libraries are meant.
    source : Source, optional
        The cell or file at work, when the error comes from loading it; without a cell the position is
        told as one of the library, since this cell is another.
    """
    code = source or bench.source(error.library)
    shown = JSError(
        str(error),
        library=error.library,
        line=error.line,
        column=error.column,
        stack=error.stack,
        detail=code_frame(
            error, code, in_this_cell=source is not None and source.is_cell
        ),
    )
    shown.hint = "; ".join(getattr(error, "__notes__", ()))
    return shown


def code_frame(
    error: JavaScriptError | ErrorRecord,
    source: Source | None,
    *,
    in_this_cell: bool = False,
) -> Iterator[str]:
    """Yield where a library failed: position, source line and caret, who called.

    Lines are those of the library; of the cell, when the library stands in the one at work.
    """
    if error.line is None:
        return
    line, column = _within(source, error.line, error.column or 1)
    frames = list(_frames(error.stack)) or [_Frame("", line, column)]
    offset = source.offset if source and in_this_cell else 0
    place = "cell line" if in_this_cell else "line"
    inside = f", in {frames[0].function}" if frames[0].function else ""
    library = _library(error.library, source, None if in_this_cell else line)
    yield f"{place} {line + offset}, column {column}{inside}{library}"
    if source is not None:
        yield from _excerpt(source, line, column, offset)
    for frame in frames[1:]:
        yield f"called from {place} {frame.line + offset}"


def _library(name: str, source: Source | None, line: int | None) -> str:
    """Say which library it is and, when its cell counts otherwise, which line there."""
    if not name:
        return ""
    if source is None or line is None or not source.offset:
        return f" (library {name})"
    return f" (library {name}, line {line + source.offset} of its cell)"


def _within(source: Source | None, line: int, column: int) -> tuple[int, int]:
    """Return the position, or the end of the code when it lies behind that.

    Of code that ends too early, V8 says that the trouble is behind its last line.
    """
    if source is None or source.line(line):
        return line, column
    lines = source.code.rstrip().split("\n")
    return min((line, column), (len(lines), len(lines[-1]) + 1))


def _frames(stack: str) -> Iterator[_Frame]:
    for line in re.split(r"[\n|]", stack):
        found = _FRAME.fullmatch(line)
        if found:
            name = found["name"] or ""
            yield _Frame(
                "" if name.endswith("<anonymous>") else name,
                int(found[2]),
                int(found[3]),
            )


def _excerpt(source: Source, line: int, column: int, offset: int) -> Iterator[str]:
    """Yield the source line and a caret below it."""
    number = str(line + offset)
    yield f"{number} | {source.line(line)}"
    text = source.line(line)[: column - 1]
    pad = "".join("\t" if char == "\t" else " " for char in text)
    yield f"{' ' * len(number)} | {pad}^"


def last_error_line(stack: str) -> int | None:
    """Return the line of the innermost frame in a stack."""
    return next((frame.line for frame in _frames(stack)), None)
