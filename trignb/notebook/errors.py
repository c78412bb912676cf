"""What a magic raises, shown in a few lines instead of a traceback.

IPython asks an exception for `_render_traceback_` and shows what it returns. With
``short_errors = False`` ours answers that it has no such method, so the ordinary traceback
appears.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from trignb.errors import JavaScriptError, ResponseError, TrignbError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "JSError",
    "LateError",
    "RedisError",
    "ShortError",
    "UsageError",
    "nearest",
    "suggestion",
]


class ShortError(TrignbError):
    """An exception that says itself in its own words, then gives at most one hint.

    Attributes
    ----------
    hint : str
        A suggestion made of names that exist; never part of ``str(error)``.
    detail : tuple of str
        Lines below the message, moved in by `indent`: a source line, a caret, a chain
        of calls.
    short : bool
        False shows Python's traceback instead.
    """

    hint: str = ""
    detail: tuple[str, ...] = ()
    indent: int = 4
    short: bool = True

    @property
    def _render_traceback_(self) -> Callable[[], list[str]]:
        if not self.short:
            raise AttributeError("_render_traceback_")
        return self.lines

    def lines(self) -> list[str]:
        """Return what the cell shows."""
        shown = [f"{type(self).__name__}: {self}"]
        shown += [" " * self.indent + line for line in self.detail]
        if self.hint:
            shown.append(f"hint: {self.hint}")
        return shown


class UsageError(ShortError):
    """A magic was written in a way it does not understand."""

    @classmethod
    def at(cls, reason: str, text: str, column: int, hint: str = "") -> UsageError:
        """Return the error that points at a column (from 1) of a line of the cell."""
        error = cls(f"{reason} (column {column})")
        # Tabs stay tabs, so the caret stands right whatever their width.
        pad = "".join("\t" if char == "\t" else " " for char in text[: column - 1])
        error.detail = (text, pad + "^")
        error.hint = hint
        return error


class LateError(ShortError, TimeoutError):
    """A function did not answer in the time it was given."""


class RedisError(ShortError, ResponseError):
    """An error reply; ``str(error)`` is the server's text, unchanged."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class JSError(RedisError, JavaScriptError):
    """A library failed; says where in the cell."""

    indent = 2

    def __init__(
        self,
        message: str,
        *,
        library: str = "",
        line: int | None = None,
        column: int | None = None,
        stack: str = "",
        detail: Iterable[str] = (),
    ) -> None:
        JavaScriptError.__init__(
            self, message, library=library, line=line, column=column, stack=stack
        )
        self.detail = tuple(detail)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like `name`, upper or lower case alike."""
    folded = {candidate.lower(): candidate for candidate in known}
    found = get_close_matches(name.lower(), folded, n=1, cutoff=0.65)
    return folded[found[0]] if found else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean X?``, or nothing when no known name is close."""
    found = nearest(name, known)
    return f"did you mean {found}?" if found else ""
