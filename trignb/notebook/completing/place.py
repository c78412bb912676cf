"""Where in a cell the cursor stands: which magic, which words before it, which word it is in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trignb.notebook.errors import UsageError
from trignb.notebook.text import quote, readable
from trignb.notebook.tokenize import first_word

__all__ = ["COMMAND", "LIBRARY", "OPTIONS", "Place", "Word", "find_place", "read_words"]

# What stands before the cursor: a command of a cell, a line of JavaScript, or a magic's line.
COMMAND: Final = "command"
LIBRARY: Final = "library"
OPTIONS: Final = "options"

_CELL_MAGIC: Final = re.compile(r"%%(redis|tfunction)(?=\s|$)")
# `%redis …`, also behind `x = `; IPython knows no other places.
_LINE_MAGIC: Final = re.compile(r"\s*(?:[\w.\[\]'\", ]+=\s*)?%(redis_load|redis|tf)\s")
_BLOCK: Final = re.compile(r"(?:^|\s)(\"\"\"|''')")
_NEEDS_QUOTES: Final = re.compile(r"[ \"'\\]")
_BLANKS: Final = re.compile(r"[ \t\r\v\f]*")
_OPEN_EXPRESSION: Final = re.compile(r"\{\{\*?(?P<code>(?:(?!\}\}).)*)$", re.DOTALL)
_NAME: Final = re.compile(r"[^\W\d][\w.]*$|$")


@dataclass(frozen=True, slots=True)
class Word:
    """The word at the cursor, as far as it is written.

    Attributes
    ----------
    raw : str
        As it stands there, quotes included.
    value : str
        What it means.
    """

    raw: str
    value: str

    @property
    def quote(self) -> str:
        """The quote it begins with, if any."""
        return self.raw[:1] if self.raw[:1] in ("'", '"') else ""

    def spelled(self, name: bytes) -> str | None:
        """Return a name as it has to be written here, None where these quotes cannot."""
        text = readable(name)
        plain = text.isprintable() and text.encode() == name
        if self.quote == "'" or (not self.quote and "{{" in text):
            fits = plain and not text.endswith("\\") and "\\'" not in text
            return "'" + text.replace("'", "\\'") + "'" if fits else None
        if not plain or "{{" in text:
            return quote(name)
        if self.quote or not text or _NEEDS_QUOTES.search(text):
            return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return text


@dataclass(frozen=True, slots=True)
class Place:
    """Where the cursor stands.

    Attributes
    ----------
    magic : str
        ``%redis``, ``%%redis``, ``%%tfunction``, ``%tf`` or ``%redis_load``.
    part : str
        `COMMAND`, `LIBRARY` or `OPTIONS`, which is the line of the magic itself.
    words : list of str
        Those before the one at the cursor.
    word : Word
        The one at the cursor, empty between words.
    expression : str or None
        The end of the Python name that is being written in ``{{…``.
    """

    magic: str
    part: str
    words: Sequence[str]
    word: Word
    expression: str | None = None


def find_place(text: str, line: int, column: int) -> Place | None:
    """Return where a cursor stands, None outside our magics.

    Parameters
    ----------
    text : str
        The whole cell.
    line, column : int
        Both from 0.
    """
    lines = text.split("\n")
    first = next((i for i, found in enumerate(lines) if found.strip()), 0)
    head = _CELL_MAGIC.match(lines[first])
    before = lines[line][:column]
    if head is None:
        found = _LINE_MAGIC.match(before)
        return found and _in_line(f"%{found[1]}", before[found.end() :])
    magic = f"%%{head[1]}"
    if line <= first:
        return None if column <= head.end() else _in_line(magic, before[head.end() :])
    if magic == "%%tfunction":
        return Place(magic, LIBRARY, (), _plain(before))
    return _in_body(magic, [*lines[first + 1 : line], before])


def _plain(before: str) -> Word:
    found = _NAME.search(before)
    name = found[0] if found else ""
    return Word(name, name)


def _in_line(magic: str, text: str) -> Place:
    words, word = read_words(text)
    return Place(magic, OPTIONS, words, word, _expression(word))


def _in_body(magic: str, lines: Sequence[str]) -> Place | None:
    block = _open_block(lines[:-1])
    text = lines[-1]
    if block is not None:
        # Inside a value of several lines only Python has anything to say.
        inside = Word(text, text)
        name = _expression(inside) if block == '"""' else None
        return Place(magic, LIBRARY, (), Word("", ""), name)
    if text.lstrip().startswith(("#", "//")):
        return Place(magic, LIBRARY, (), Word("", ""))
    words, word = read_words(text)
    return Place(magic, COMMAND, words, word, _expression(word))


def _open_block(lines: Sequence[str]) -> str | None:
    """Return the three quotes that are open at the end of these lines."""
    block: str | None = None
    for line in lines:
        if block is not None:
            if block in line:
                block = None
        elif not line.lstrip().startswith(("#", "//")):
            opened = _BLOCK.search(line)
            if opened and opened[1] not in line[opened.end() :]:
                block = opened[1]
    return block


def read_words(text: str) -> tuple[list[str], Word]:
    """Return the words of a line, and the one at its end that is being written."""
    words: list[str] = []
    at = 0
    while True:
        blanks = _BLANKS.match(text, at)
        at = blanks.end() if blanks else at
        if at >= len(text):
            return words, Word("", "")
        try:
            token, end = first_word(text, at)
        except UsageError:
            return words, _unfinished(text[at:])
        if token is None or end >= len(text):
            return words, _unfinished(text[at:])
        words.append(readable(token.value))
        at = end


def _unfinished(raw: str) -> Word:
    for closing in ("", '"', "'"):
        try:
            token, end = first_word(raw + closing)
        except UsageError:
            continue
        if token is not None and end == len(raw) + len(closing):
            return Word(raw, readable(token.value))
    return Word(raw, raw)


def _expression(word: Word) -> str | None:
    """Return the name at the end of an expression that is open, None without one."""
    if word.quote == "'":
        return None
    opened = _OPEN_EXPRESSION.search(word.raw)
    if opened is None:
        return None
    found = _NAME.search(opened["code"])
    return found[0] if found else ""
