"""Every exception trignb raises.

::

    TrignbError
    ├── ResponseError            an error reply, Redis's text word for word
    │   ├── JavaScriptError      a library failed to load or to run; knows the user's own line
    │   └── JavaScriptUnavailable  limits of this process do not let V8 start
    ├── RdbError                 a file is no RDB file, or a damaged one
    ├── AofError                 an append-only file is damaged, or somebody else's
    ├── RepliesWithheld          what a round of a server did could not be kept on disk
    └── EngineClosed             the engine was closed
        └── SessionClosed        this client of it was (QUIT, CLIENT KILL)

Handlers raise `ResponseError` themselves: the engine knows no other kind of error reply.
"""

from __future__ import annotations

__all__ = [
    "AofError",
    "EngineClosed",
    "JavaScriptError",
    "JavaScriptUnavailable",
    "RdbError",
    "RepliesWithheld",
    "ResponseError",
    "SessionClosed",
    "TrignbError",
]


class TrignbError(Exception):
    """Base class of everything trignb raises on purpose."""


class ResponseError(TrignbError):
    """An error reply.

    ``str(error)`` is the line Redis sends, without the leading ``-``.

    Attributes
    ----------
    counted : bool
        Whether INFO knows of it already: it came to a client by way of a script.
    """

    counted = False

    @property
    def code(self) -> str:
        """First word of the line, for instance ``WRONGTYPE``; ``ERR`` where there is one word."""
        word, space, _ = str(self).partition(" ")
        return word if space else "ERR"


class JavaScriptError(ResponseError):
    """A library's own code failed while it was loaded or called.

    Attributes
    ----------
    library : str
        Name of the library, empty when it has none yet.
    line, column : int or None
        Position in the library's source, both counted from 1, the prologue being line 1.
    stack : str
        The stack as V8 gives it, the user's frames only.
    """

    def __init__(
        self,
        message: str,
        *,
        library: str = "",
        line: int | None = None,
        column: int | None = None,
        stack: str = "",
    ) -> None:
        super().__init__(message)
        self.library = library
        self.line = line
        self.column = column
        self.stack = stack


class JavaScriptUnavailable(ResponseError):
    """V8 would end this process: it lacks address space, memory for code, or a thread.

    The engine works on without libraries.
    """


class RdbError(TrignbError):
    """A file cannot be loaded: it is no RDB file, of a later version, or damaged."""


class AofError(TrignbError):
    """An append-only file cannot be loaded, or another engine writes it; nothing has changed."""


class RepliesWithheld(TrignbError):
    """What commands did could not be written to disk, so nobody may be told that it was done."""


class EngineClosed(TrignbError):
    """The engine was closed; it takes no more commands."""


class SessionClosed(EngineClosed):
    """The session was closed, by itself or by CLIENT KILL; the engine goes on."""
