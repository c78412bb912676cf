"""Why a run failed: what clients read, what statistics keep, what Python sees."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from trignb.errors import JavaScriptError
from trignb.js.runtime import JsError

__all__ = ["ErrorRecord", "Failure", "advise", "error_line", "load_error_line"]

INTERRUPTED: Final = "Err Execution was interrupted"

_CONTROL: Final = str.maketrans("\r\n\0", "   ")


_BUNDLE: Final = (
    "a library is one script without import and export: bundle it, for instance with "
    "npx esbuild library.js --bundle --format=esm"
)
_ADVICE: Final = (
    (
        re.compile("Cannot use import statement outside|Cannot use 'import.meta'"),
        _BUNDLE,
    ),
    (re.compile("ReferenceError: (require|module|exports) is not defined"), _BUNDLE),
    (
        re.compile("Unexpected token 'export'"),
        "a library is one script and exports nothing: what it offers it registers",
    ),
)
_TWICE: Final = (
    "the prologue stands twice: a bundler's banner is for sources that have none"
)


def advise(error: JavaScriptError, code: str) -> JavaScriptError:
    """Add a note to the error of a load where one knows how to go on; return it."""
    text = str(error)
    for pattern, note in _ADVICE:
        if pattern.search(text):
            error.add_note(note)
            return error
    lines = ["", *code.split("\n")]
    line = error.line or 0
    if 1 < line < len(lines) and lines[line].startswith("#!"):
        error.add_note(_TWICE)
    return error


def error_line(text: str) -> str:
    """Return an error text as it fits into one line of the protocol."""
    return text.translate(_CONTROL)


def load_error_line(text: str) -> str:
    """Return the error text of a load, which the original ends at a NUL."""
    return error_line(text.partition("\0")[0])


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed run.

    ``short`` and ``verbose`` are the two forms of ``error-verbosity``; ``line`` and
    ``column`` the innermost position in the library, from 1.
    """

    short: str
    verbose: str
    line: int | None = None
    column: int | None = None
    stack: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Return what there is to know of an exception."""
        if isinstance(error, JsError):
            return cls(
                error.message, error.verbose, error.line, error.column, error.trace
            )
        if isinstance(error, KeyboardInterrupt):
            return cls(INTERRUPTED, INTERRUPTED)
        text = str(error) or type(error).__name__
        return cls(text, text)

    def text(self, verbosity: int) -> str:
        """Return the form that ``error-verbosity`` asks for."""
        return self.verbose if verbosity > 1 else self.short

    def to_error(self, library: str, message: str) -> JavaScriptError:
        """Return the exception for the caller, with the position in the library."""
        return JavaScriptError(
            error_line(message),
            library=library,
            line=self.line,
            column=self.column,
            stack=self.stack,
        )


class ErrorRecord(NamedTuple):
    """One entry of the registry's ring of errors.

    ``item`` is the trigger's or function's name, empty while a library is loaded; ``kind``
    is ``load``, ``function``, ``keyspace_trigger`` or ``stream_trigger``. Of triggers,
    ``event`` and ``key`` say what fired them; a stream trigger's event is the record's id.
    ``thread`` is the one on which it failed.
    """

    time_ns: int
    library: str
    kind: str
    item: str
    message: str
    line: int | None
    column: int | None
    stack: str
    event: str = ""
    key: bytes = b""
    thread: int = 0
