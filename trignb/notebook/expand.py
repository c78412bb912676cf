"""Python values in commands: ``{{expr}}`` and ``{{*seq}}``.

Expansion happens after a line was split, so a value is never split or unquoted again: blanks,
quotes, line feeds and NULs in it are safe. One expression is one argument. A value that has no
one obvious text (None, True, a dict) is refused with what to write instead, since a silent
``str()`` would store nonsense.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from numbers import Integral
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from trignb.notebook.errors import UsageError, suggestion
from trignb.notebook.reply import Replies, Reply
from trignb.reply import format_double

if TYPE_CHECKING:
    from trignb.notebook.tokenize import CommandLine, Token

__all__ = ["encode_value", "expand"]

_KEEP_LITERAL: Final = "single quotes keep {{…}} as it is"


class _Piece(NamedTuple):
    """An expression found in a token: its text, its code and where it ends."""

    text: str
    code: CodeType
    end: int


def expand(command: CommandLine, namespace: Mapping[str, Any]) -> list[bytes]:
    """Return the arguments of a command, every ``{{…}}`` replaced by its value.

    Parameters
    ----------
    command : CommandLine
        A command as `trignb.notebook.tokenize` reads it.
    namespace : mapping
        The names expressions see: the notebook's.

    Raises
    ------
    UsageError
        An expression is wrong, fails, or its value cannot be an argument.
    """
    arguments: list[bytes] = []
    for token in command.tokens:
        if token.literal or b"{{" not in token.value:
            arguments.append(token.value)
        else:
            arguments.extend(_Expansion(command, token, namespace).arguments())
    if not arguments:
        raise UsageError("the command is empty after expansion")
    return arguments


def encode_value(value: Any) -> bytes:
    """Return the bytes a Python value is sent as.

    Raises
    ------
    TypeError
        The value has no one text; the message says what to write instead.
    """
    if isinstance(value, Reply):
        value = value.value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return str.encode(value, "utf-8", "surrogateescape")
    if isinstance(value, bool):
        raise TypeError("a bool has no one text: write int(x) or str(x)")
    if isinstance(value, Integral):
        return b"%d" % int(value)
    if isinstance(value, float):
        # NumPy's float64 is a float with a repr of its own.
        return format_double(float(value))
    # str() of NumPy's smaller floats is their shortest text; float() would widen them.
    if isinstance(value, (Decimal, np.floating)):
        return str(value).encode()
    raise TypeError(_refusal(value))


def _refusal(value: Any) -> str:
    """Say why a value is refused and what to write instead."""
    kind = type(value).__name__
    if value is None:
        return "None has no text: write '' for an empty value"
    if isinstance(value, Mapping):
        return f"a {kind} is many values: write {{{{*x}}}} or json.dumps(x)"
    if isinstance(value, dt.datetime):
        return f"a {kind} has many texts: write x.isoformat() or int(x.timestamp())"
    if isinstance(value, (dt.date, dt.time)):
        return f"a {kind} has many texts: write x.isoformat()"
    if isinstance(value, dt.timedelta):
        return f"a {kind} has many texts: write int(x.total_seconds())"
    if hasattr(value, "itertuples"):
        return f"a {kind} is many values: write {{{{*x.itertuples(index=False)}}}}"
    if isinstance(value, (list, tuple)):
        return f"a {kind} is many values: write {{{{*x}}}} or json.dumps(x)"
    if isinstance(value, Iterable):
        return f"a {kind} is many values: write {{{{*x}}}}"
    return f"a {kind} is not an argument: write str(x) if that is what you mean"


def _spread(value: Any) -> Iterator[bytes]:
    """Yield the arguments ``{{*value}}`` stands for; pairs are taken apart."""
    if isinstance(value, (Reply, Replies)):
        value = value.value
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"a {type(value).__name__} is one value: write {{{{x}}}}")
    if not isinstance(value, Iterable):
        raise TypeError(f"a {type(value).__name__} is one value: write {{{{x}}}}")
    if hasattr(value, "itertuples"):
        raise TypeError(_refusal(value))
    for item in value.items() if isinstance(value, Mapping) else value:
        if isinstance(item, tuple):
            yield from map(encode_value, item)
        else:
            yield encode_value(item)


class _Expansion:
    """The expansion of one token."""

    def __init__(
        self, command: CommandLine, token: Token, namespace: Mapping[str, Any]
    ) -> None:
        self.command = command
        self.token = token
        self.namespace = namespace
        self.text = token.value.decode("utf-8", "surrogateescape")

    def fault(self, reason: str, hint: str = "") -> UsageError:
        """Return an error that points at the token."""
        lines = self.command.text.split("\n")
        # A token behind a value of several lines stands in the last of them.
        return UsageError.at(reason, lines[-1], self.token.column, hint)

    def arguments(self) -> list[bytes]:
        """Return what the token becomes: one argument, or those of a ``{{*seq}}``."""
        if self.text.startswith("{{*") and (piece := self._piece(0)):
            if piece.end != len(self.text):
                raise self.fault(f"{{{{{piece.text}}}}} must stand alone")
            return self._converted(piece, _spread)
        return [b"".join(self._parts())]

    def _parts(self) -> Iterator[bytes]:
        at = 0
        while (found := self._next(at)) is not None:
            start, piece = found
            yield self._raw(at, start)
            yield from self._converted(piece, lambda value: [encode_value(value)])
            at = piece.end
        yield self._raw(at, len(self.text))

    def _raw(self, start: int, end: int) -> bytes:
        return self.text[start:end].encode("utf-8", "surrogateescape")

    def _next(self, at: int) -> tuple[int, _Piece] | None:
        start = self.text.find("{{", at)
        if start < 0:
            return None
        # Of `{{{name}}}` the outer braces are a hash tag's: a set can be no argument anyway.
        while self.text.startswith("{", start + 2):
            start += 1
        piece = self._piece(start)
        if piece is None:
            raise self.fault(
                "this {{ is never closed",
                "an expression with blanks stands in double quotes",
            )
        if piece.text.startswith("*"):
            raise self.fault(f"{{{{{piece.text}}}}} must stand alone")
        return start, piece

    def _piece(self, start: int) -> _Piece | None:
        """Return the expression that opens at `start`: the shortest that is Python."""
        failure: SyntaxError | ValueError | None = None
        first = end = self.text.find("}}", start + 2)
        while end >= 0:
            text = self.text[start + 2 : end].strip()
            try:
                code = compile(text.removeprefix("*").strip(), "{{…}}", "eval")
                return _Piece(text, code, end + 2)
            except (SyntaxError, ValueError) as error:
                failure = failure or error
            end = self.text.find("}}", end + 1)
        if failure is None:
            return None
        shown = self.text[start : first + 2]
        why = "nothing stands in it" if shown[2:-2].strip() == "" else "is not Python"
        raise self.fault(f"{shown}: {why}", _KEEP_LITERAL) from failure

    def _converted(self, piece: _Piece, convert: Any) -> list[bytes]:
        shown = f"{{{{{piece.text}}}}}"
        value = self._value(piece, shown)
        try:
            return list(convert(value))
        except TypeError as error:
            raise self.fault(f"{shown}: {error}") from error

    def _value(self, piece: _Piece, shown: str) -> Any:
        try:
            return eval(piece.code, dict(self.namespace))
        except NameError as error:
            near = suggestion(error.name or "", self.namespace)
            raise self.fault(f"{shown}: {error}", near or _KEEP_LITERAL) from error
        except Exception as error:
            reason = f"{shown}: {type(error).__name__}: {error}"
            raise self.fault(reason) from error
