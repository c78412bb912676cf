"""The inline form of a command: words, quoted where they have to be."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["split_inline"]

# What stands between words, and what ends one: vertical tabs and form feeds do not.
_SPACE: Final = rb" \t\n\r\0\v\f"
_END: Final = rb" \t\n\r\0"
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}

# A closing quote ends its word, and a blank or the end of the line must follow it.
_PLAIN: Final = rb"""[^"'""" + _END + rb"]"
_QUOTED: Final = (
    rb"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')(?=[""" + _SPACE + rb"]|\Z)"
)
_WORD: Final = re.compile(
    rb"[%b]*(?P<word>%b*%b|%b+)" % (_SPACE, _PLAIN, _QUOTED, _PLAIN), re.DOTALL
)
_UNUSUAL: Final = (b'"', b"'", b"\v", b"\f")
_PIECE: Final = re.compile(
    rb"""(?P<plain>[^"']+)|"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'""",
    re.DOTALL,
)
_DOUBLE_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ALL_SPACE: Final = re.compile(rb"[" + _SPACE + rb"]*")


def split_inline(line: bytes) -> list[bytes] | None:
    r"""Return the words of a line, or None when its quotes do not fit.

    Double quotes know escapes (``\n``, ``\x0a``), single quotes only ``\'``. A closing
    quote ends its word, so a blank or the end of the line must follow.
    """
    if not any(byte in line for byte in _UNUSUAL):
        return _split_plain(line)
    words: list[bytes] = []
    at = 0
    while _ALL_SPACE.fullmatch(line, at) is None:
        found = _WORD.match(line, at)
        if found is None:
            return None
        words.append(_unquote(found["word"]))
        at = found.end()
        if at < len(line) and line[at : at + 1] in (b'"', b"'"):
            return None
    return words


def _split_plain(line: bytes) -> list[bytes]:
    return line.replace(b"\0", b" ").split()


def _unquote(word: bytes) -> bytes:
    pieces = []
    for found in _PIECE.finditer(word):
        if found["plain"] is not None:
            pieces.append(found["plain"])
        elif found["double"] is not None:
            pieces.append(_DOUBLE_ESCAPE.sub(_unescape, found["double"]))
        else:
            pieces.append(found["single"].replace(b"\\'", b"'"))
    return b"".join(pieces)


def _unescape(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if len(code) == 3:
        return bytes([int(code[1:], 16)])
    return _ESCAPES.get(code, code)
