"""From what V8 prints to where it happened in the library."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trignb.js.prelude_text import PRELUDE_NAME
from trignb.js.runtime import JsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Source"]

_HEAD: Final = re.compile(r"\A(.*?):(\d+): ", re.DOTALL)
_CARETS: Final = re.compile(r"[ \t]*\^+")
_NAME: Final = re.compile(r"\A(?:Uncaught )?([A-Za-z_$][\w$]*Error)\b")
_PARENTHESIS: Final = re.compile("[()]")
# What mini-racer prints of an exception that does not become a text.
_NO_TEXT: Final = "<string conversion failed>"
_DEEPEST: Final = 1000
_DIRECTIVE: Final = re.compile(
    r"""\A(?:\s|//[^\n]*(?:\n|\Z)|/\*.*?\*/|;)*(?:'use strict'|"use strict")""",
    re.DOTALL,
)


def _frames(stack: str) -> str:
    # What comes before them is a message of our own making.
    return stack[stack.find("\n    at ") + 1 :]


class Source:
    """The text of a library, as V8 gets it and as positions refer to it.

    The text is evaluated as it is: ``#!`` is legal only as the very first characters, so
    nothing may be put before it.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.file = f"{name}.js"
        self._frame = re.compile(rf"\b{re.escape(self.file)}:(\d+):(\d+)\)?$", re.M)

    @property
    def script(self) -> str:
        """What is evaluated."""
        return f"{self.text}\n//# sourceURL={self.file}"

    @property
    def is_too_deep(self) -> bool:
        """Whether so many parentheses are open somewhere that V8 would abort.

        It compiles a regular expression by recursion. Those in strings count as well: nobody has a
        thousand more of them open than closed.
        """
        if self.text.count("(") <= _DEEPEST:
            return False
        depth = 0
        for found in _PARENTHESIS.finditer(self.text):
            depth = depth + 1 if found[0] == "(" else max(depth - 1, 0)
            if depth > _DEEPEST:
                return True
        return False

    def check(self) -> tuple[str, int]:
        """Return a script that fails after it was parsed and before it does anything.

        A script that declares a name which cannot be declared fails when its
        declarations are made: its syntax has been checked to the end by then, and none of
        them has been made. The line of the prologue gives the room for it; without one
        the first line moves by the columns returned.
        """
        first, newline, rest = self.text.partition("\n")
        if not first.startswith("#!"):
            newline, rest = "", self.text
        strict = '"use strict";' if _DIRECTIVE.match(rest) else ""
        prefix = f"{strict}let undefined;"
        shift = 0 if newline else len(prefix)
        return f"{prefix}{newline}{rest}\n//# sourceURL={self.file}", shift

    # Errors -----------------------------------------------------------------------------

    def thrown(self, parts: Sequence[bytes]) -> JsError:
        """Return the error for what the prelude says of an exception."""
        name, message, stack, trace = (part.decode() for part in parts)
        stack = self.without_prelude(stack)
        trace = self.without_prelude(_frames(trace)) or stack
        line, column = self.position(trace)
        return JsError(
            message, name=name, stack=stack, trace=trace, line=line, column=column
        )

    @staticmethod
    def is_ours(printed: str) -> bool:
        """Return whether V8 saw the exception thrown in the prelude."""
        return printed.startswith(PRELUDE_NAME)

    def without_prelude(self, stack: str) -> str:
        """Return a stack without our own frames."""
        return "\n".join(line for line in stack.split("\n") if PRELUDE_NAME not in line)

    def position(self, stack: str) -> tuple[int | None, int | None]:
        """Return the innermost position of a stack that is in the library."""
        found = self._frame.search(stack)
        return (int(found[1]), int(found[2])) if found else (None, None)

    def evaluated(self, printed: str, *, syntax: bool, shift: int = 0) -> JsError:
        """Return the error for what V8 prints when a script failed.

        It prints ``file:line: message``, the line, carets below it, a blank line, the
        stack. The message may have lines of its own, so the source line is looked for.
        """
        head = _HEAD.match(printed)
        if head is None:
            return JsError(printed.rstrip("\n"), syntax=syntax)
        line = int(head[2])
        message, column, stack = self._split(printed[head.end() :], line)
        lines = self.text.split("\n")
        if line > len(lines):  # where the text ends, V8 sees our comment
            line, column = len(lines), len(lines[-1]) + 1
        if column is not None and line == 1:
            column = max(1, column - shift)
        stack = self.without_prelude(stack).rstrip("\n")
        if not syntax:
            inner_line, inner_column = self.position(stack)
            line, column = inner_line or line, inner_column or column
        if message == _NO_TEXT:
            message = ""
        name = _NAME.match(message)
        return JsError(
            message,
            name=name[1] if name else "",
            stack="" if syntax else stack,
            trace=stack or f"    at {self.file}:{line}:{column or 1}",
            line=line,
            column=column,
            syntax=syntax,
        )

    def _split(self, printed: str, line: int) -> tuple[str, int | None, str]:
        lines = printed.split("\n")
        source = (self.script.split("\n")[line - 1 :] or [""])[0]
        for i in range(1, len(lines) - 1):
            if _CARETS.fullmatch(lines[i + 1]) and (
                lines[i] == source or line == 1 or i == len(lines) - 2
            ):
                column = lines[i + 1].index("^") + 1
                stack = "\n".join(lines[i + 2 :]).strip("\n")
                return "\n".join(lines[:i]), column, stack
        return printed.split("\n", 1)[0], None, ""
