r"""Splitting command lines as redis-cli splits them.

Between blanks stand words. A double quote opens a part in which ``\n \r \t \b \a`` and
``\xHH`` are escapes and any other backslashed character is itself; a single quote opens a
part in which only ``\'`` is one. A closing quote ends the word, so a blank or the end of
the line must follow. redis-cli answers a fault with ``Invalid argument(s)``; we say which
and where.

Three quotes in a row are a fault in redis-cli. Here they open a value that runs, as it
stands, over as many lines as it needs, up to the same three quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from trignb.notebook.errors import UsageError

__all__ = ["CommandLine", "Token", "first_word", "read_cell", "read_line", "split"]

# Of blanks C's isspace knows, \v and \f separate words but do not end one.
_BLANKS: Final = re.compile(r"[ \t\r\v\f]*")
_PLAIN: Final = re.compile(r"[^ \t\r\n\"']+")
_IN_DOUBLE: Final = re.compile(r'[^"\\\n]+')
_IN_SINGLE: Final = re.compile(r"[^'\\\n]+")
_HEX: Final = re.compile(r"[0-9a-fA-F]{2}")
_ESCAPES: Final = {"n": b"\n", "r": b"\r", "t": b"\t", "b": b"\b", "a": b"\a"}
_COUNT: Final = re.compile(rb"[ \t\n\v\f\r]*[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class Token:
    """One argument of a command.

    Attributes
    ----------
    value : bytes
        The argument, quotes and escapes resolved.
    column : int
        Where it starts in its line, from 1.
    literal : bool
        Whether single quotes keep ``{{…}}`` in it as it is.
    """

    value: bytes
    column: int = 1
    literal: bool = False


@dataclass(frozen=True, slots=True)
class CommandLine:
    """One command of a cell.

    Attributes
    ----------
    tokens : tuple of Token
        The command's name and arguments, the repeat count taken off.
    text : str
        The command as it was written, several lines long if a value is.
    line : int
        Line of the cell's body on which it starts, from 1.
    repeat : int
        How often to run it.
    """

    tokens: tuple[Token, ...]
    text: str
    line: int = 1
    repeat: int = 1


def split(text: str) -> list[Token]:
    """Return the words of one command line.

    Raises
    ------
    UsageError
        A quote is not closed, or something follows a closing quote.
    """
    scanner = _Scanner(text)
    tokens = scanner.command()
    if scanner.at < len(text):
        raise scanner.fault("a command ends with its line", scanner.at)
    return tokens


def first_word(text: str, at: int = 0) -> tuple[Token | None, int]:
    """Return the first word behind position `at` and where it ends."""
    scanner = _Scanner(text)
    scanner.at = at
    return scanner.word(), scanner.at


def read_line(text: str) -> CommandLine | None:
    """Return the command in a line, None when there is none."""
    return _command(split(text), text.strip(), 1)


def read_cell(text: str) -> list[CommandLine]:
    """Return the commands of a cell, one a line.

    Blank lines and lines that begin with ``#`` or ``//`` say nothing. The whole cell is
    read before anything of it is run, so a fault in its last line changes no data.
    """
    scanner = _Scanner(text)
    commands = []
    while scanner.at < len(text):
        if not scanner.skip_comment():
            start, line = scanner.at, scanner.line
            found = _command(scanner.command(), text[start : scanner.at].strip(), line)
            if found is not None:
                commands.append(found)
        scanner.next_line()
    return commands


def _command(tokens: list[Token], text: str, line: int) -> CommandLine | None:
    """Take a leading repeat count off, as redis-cli does when a word follows it."""
    if not tokens:
        return None
    count = tokens[0]
    if len(tokens) == 1 or not _COUNT.fullmatch(count.value):
        return CommandLine(tuple(tokens), text, line)
    if int(count.value) < 1:
        raise UsageError.at("a repeat count must be 1 or more", text, count.column)
    return CommandLine(tuple(tokens[1:]), text, line, int(count.value))


class _Scanner:
    """Reads commands off a text; `at` is the position, `line` counts from 1."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1

    # -- lines

    def skip_comment(self) -> bool:
        """Pass a line that is a comment."""
        blanks = _BLANKS.match(self.text, self.at)
        start = blanks.end() if blanks else self.at
        if not self.text.startswith(("#", "//"), start):
            return False
        end = self.text.find("\n", start)
        self.at = len(self.text) if end < 0 else end
        return True

    def next_line(self) -> None:
        """Step over the line feed that ended a command."""
        self.at += 1
        self.line += 1

    def fault(self, reason: str, at: int, hint: str = "") -> UsageError:
        """Return an error that points at position `at`."""
        start = self.text.rfind("\n", 0, at) + 1
        end = self.text.find("\n", at)
        line = self.text[start : len(self.text) if end < 0 else end]
        if "\n" in self.text:
            reason = f"line {self.text.count(chr(10), 0, at) + 1}: {reason}"
        return UsageError.at(reason, line, at - start + 1, hint)

    # -- words

    def command(self) -> list[Token]:
        """Read words up to the end of the line."""
        tokens: list[Token] = []
        while (token := self.word()) is not None:
            tokens.append(token)
        return tokens

    def word(self) -> Token | None:
        """Read the next word of the line, None at its end."""
        self.at = self._after(_BLANKS, self.at)
        if self.at >= len(self.text) or self.text[self.at] == "\n":
            return None
        return self._word()

    def _after(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.match(self.text, at)
        return found.end() if found else at

    def _word(self) -> Token:
        start = self.at
        column = start - self.text.rfind("\n", 0, start)
        if self.text.startswith(('"""', "'''"), start):
            value = self._block(self.text[start : start + 3])
            return Token(value, column, literal=self.text[start] == "'")
        self.at = self._after(_PLAIN, start)
        value = _encode(self.text[start : self.at])
        quote = self.text[self.at : self.at + 1]
        if quote == '"':
            value += self._double()
        elif quote == "'":
            value += self._single()
        return Token(value, column, literal=quote == "'")

    def _block(self, quotes: str) -> bytes:
        """Read a value between three quotes, as it stands."""
        start = self.at + 3
        end = self.text.find(quotes, start)
        if end < 0:
            raise self.fault("these three quotes are never closed", self.at)
        value = self.text[start:end]
        self.line += value.count("\n")
        self.at = end + 3
        self._expect_end()
        return _encode(value)

    def _double(self) -> bytes:
        opened = self.at
        parts = []
        self.at += 1
        while (char := self.text[self.at : self.at + 1]) != '"':
            if char == "\\":
                parts.append(self._escape())
            elif char in ("", "\n"):
                raise self.fault("this quote is never closed", opened)
            else:
                parts.append(self._run(_IN_DOUBLE))
        self.at += 1
        self._expect_end()
        return b"".join(parts)

    def _escape(self) -> bytes:
        """Read a backslash and what it stands for."""
        char = self.text[self.at + 1 : self.at + 2]
        if char == "x" and _HEX.match(self.text, self.at + 2):
            self.at += 4
            return bytes([int(self.text[self.at - 2 : self.at], 16)])
        if char == "\n":
            char = ""
        self.at += 1 + len(char)
        return _ESCAPES.get(char, _encode(char))

    def _single(self) -> bytes:
        opened = self.at
        parts = []
        self.at += 1
        while (char := self.text[self.at : self.at + 1]) != "'":
            if char in ("", "\n"):
                raise self.fault(
                    "this quote is never closed",
                    opened,
                    "an apostrophe belongs between double quotes",
                )
            if char != "\\":
                parts.append(self._run(_IN_SINGLE))
                continue
            escaped = self.text.startswith("'", self.at + 1)
            parts.append(b"'" if escaped else b"\\")
            self.at += 2 if escaped else 1
        self.at += 1
        self._expect_end()
        return b"".join(parts)

    def _run(self, pattern: re.Pattern[str]) -> bytes:
        start = self.at
        self.at = self._after(pattern, start)
        return _encode(self.text[start : self.at])

    def _expect_end(self) -> None:
        """Refuse what follows a closing quote, which ends its word."""
        following = self.text[self.at : self.at + 1]
        if not following or following in " \t\n\v\f\r":
            return
        start = self.text.rfind("\n", 0, self.at) + 1
        braces = "{{" in self.text[start : self.at]
        raise self.fault(
            "a closing quote must be followed by a space",
            self.at,
            "put the whole word in double quotes: \"{{d['name']}}\"" if braces else "",
        )


def _encode(text: str) -> bytes:
    """Return UTF-8; half a surrogate pair, which a notebook may hold, passes through."""
    return text.encode("utf-8", "surrogatepass")
