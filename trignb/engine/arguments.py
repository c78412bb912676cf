"""What COMMAND DOCS tells of arguments: names, types, words and ages, as observed on Redis 7.2.4.

``arguments.tsv`` has a line per command: its name, its complexity as far as it is a formula, and its arguments,
a word for each: name, type and marks, with ``/`` between. A group's members follow in parentheses of their own::

    key/k/#0 value/s condition/o/>2.6.12/? ( nx/t/@NX xx/t/@XX )

Types are the first letters of `_TYPES`. Marks: ``=`` what is displayed, ``#`` which of the key specifications,
``@`` the word in front, ``>`` since when, ``!`` deprecated since when; ``?`` optional, ``*`` several,
``+`` several with the word each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from trignb.reply import SetReply, Status

__all__ = ["Syntax", "syntax_of"]

_TYPES: Final = {
    "k": b"key",
    "s": b"string",
    "i": b"integer",
    "d": b"double",
    "p": b"pattern",
    "u": b"unix-time",
    "t": b"pure-token",
    "o": b"oneof",
    "b": b"block",
}
_GROUPS: Final = (b"oneof", b"block")
_FLAGS: Final = {"?": "optional", "*": "multiple", "+": "multiple_token"}
_TEXTS: Final = {"@": b"token", ">": b"since", "!": b"deprecated_since"}

Argument = dict[bytes, Any]


class Syntax(NamedTuple):
    """A command's complexity, empty where it is no formula, and its arguments."""

    complexity: bytes
    arguments: list[Argument]


_NONE: Final = Syntax(b"", [])


def syntax_of(name: str) -> Syntax:
    """Return what is known of a command, ``set`` or ``client|kill``."""
    line = _lines().get(name.replace("|", " "))
    if line is None:
        return _NONE
    complexity, arguments = line
    return Syntax(complexity.encode(), _parse(iter(arguments.split())))


@cache
def _lines() -> dict[str, tuple[str, str]]:
    text = files("trignb.engine").joinpath("arguments.tsv").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return {name: (complexity, arguments) for name, complexity, arguments in rows}


def _parse(words: Iterator[str]) -> list[Argument]:
    """Return arguments up to the end, or the parenthesis that closes the group."""
    found: list[Argument] = []
    for word in words:
        if word == ")":
            break
        if word == "(":
            found[-1][b"arguments"] = _parse(words)
        else:
            found.append(_argument(word))
    return found


def _argument(word: str) -> Argument:
    name, kind, *marks = word.split("/")
    argument: Argument = {b"name": name.encode(), b"type": _TYPES[kind]}
    if argument[b"type"] not in _GROUPS:
        argument[b"display_text"] = argument[b"name"]
    flags = []
    for mark in marks:
        sign, text = mark[0], mark[1:]
        if mark in _FLAGS:
            flags.append(Status(_FLAGS[mark]))
        elif sign == "=":
            argument[b"display_text"] = text.encode()
        elif sign == "#":
            argument[b"key_spec_index"] = int(text)
        else:
            argument[_TEXTS[sign]] = text.encode()
    if flags:
        argument[b"flags"] = SetReply(flags)
    return argument
