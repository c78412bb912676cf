"""How commands are written: one line a command, and what may stand at a place of it.

``signatures.tsv`` has a line for each command, in this notation: ``key`` in lower case stands
for a value, ``NX`` in upper case for itself, ``[…]`` may be left out, ``<…>`` is needed, ``|``
separates alternatives, ``(…)`` holds together, ``...`` repeats what stands before it, and
``#keys`` is a number with so many keys behind it. Neighbours in ``[…]`` come in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Final, NamedTuple, Protocol

__all__ = ["Expected", "Signature", "signature"]

_PARTS: Final = re.compile(r"\.\.\.|[\[\]<>()|]|#?[^\s\[\]<>()|.]+")
_LITERAL: Final = re.compile(r"[A-Z0-9=~$][A-Z0-9-]*")
# A line longer than this is data that somebody pasted.
_MOST_WORDS: Final = 300

Places = frozenset[int]


@dataclass(slots=True)
class Expected:
    """What may stand next.

    Attributes
    ----------
    literals : dict of str to None
        Words that stand for themselves, in the order of the signature.
    values : dict of str to None
        Names of values: ``key``, ``seconds`` …
    """

    literals: dict[str, None] = field(default_factory=dict)
    values: dict[str, None] = field(default_factory=dict)


class _Look:
    """The words of a command so far, and what is found to follow them."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = [word.upper() for word in words]
        self.end = len(words)
        self.given = frozenset(self.words)
        self.expected = Expected()


class _Node(Protocol):
    """A part of a signature."""

    def walk(self, starts: Places, look: _Look) -> Places:
        """Return where it may end when it begins at `starts`; note what is expected."""

    def heads(self) -> Iterable[str]:
        """Return the literals it may begin with."""


class _Literal(NamedTuple):
    text: str

    def walk(self, starts: Places, look: _Look) -> Places:
        if look.end in starts:
            look.expected.literals[self.text] = None
        return frozenset(
            s + 1 for s in starts if s < look.end and look.words[s] == self.text
        )

    def heads(self) -> Iterable[str]:
        return (self.text,)


class _Value(NamedTuple):
    name: str

    def walk(self, starts: Places, look: _Look) -> Places:
        if look.end in starts:
            look.expected.values[self.name] = None
        return frozenset(s + 1 for s in starts if s < look.end)

    def heads(self) -> Iterable[str]:
        return ()


class _Counted(NamedTuple):
    """A number, and so many keys."""

    name: str

    def walk(self, starts: Places, look: _Look) -> Places:
        ends = set()
        for start in starts:
            if start >= look.end:
                look.expected.values["numkeys"] = None
                continue
            number = look.words[start]
            end = start + 1 + (int(number) if number.isdecimal() else 0)
            if end > look.end:
                look.expected.values[self.name] = None
            else:
                ends.add(end)
        return frozenset(ends)

    def heads(self) -> Iterable[str]:
        return ()


class _Sequence(NamedTuple):
    parts: tuple[_Node, ...]

    def walk(self, starts: Places, look: _Look) -> Places:
        for part in self.parts:
            if not starts:
                break
            starts = part.walk(starts, look)
        return starts

    def heads(self) -> Iterable[str]:
        return self.parts[0].heads() if self.parts else ()


class _Choice(NamedTuple):
    parts: tuple[_Node, ...]

    def walk(self, starts: Places, look: _Look) -> Places:
        return frozenset().union(*(part.walk(starts, look) for part in self.parts))

    def heads(self) -> Iterable[str]:
        return [head for part in self.parts for head in part.heads()]


class _Repeated(NamedTuple):
    part: _Node

    def walk(self, starts: Places, look: _Look) -> Places:
        ends: Places = frozenset()
        while starts:
            starts = self.part.walk(starts, look) - ends
            ends |= starts
        return ends

    def heads(self) -> Iterable[str]:
        return self.part.heads()


class _Options(NamedTuple):
    """What may be left out, in any order, each once or, if it repeats, often."""

    parts: tuple[_Node, ...]

    def walk(self, starts: Places, look: _Look) -> Places:
        ends = starts
        while starts:
            found: Places = frozenset()
            for part in self.parts:
                # What was given is not offered again.
                used = not isinstance(part, _Repeated) and any(
                    head in look.given for head in part.heads()
                )
                found |= part.walk(starts - {look.end} if used else starts, look)
            starts = found - ends
            ends |= starts
        return ends

    def heads(self) -> Iterable[str]:
        return [head for part in self.parts for head in part.heads()]


class _Reader:
    """Reads a signature's notation."""

    def __init__(self, text: str) -> None:
        self.parts = _PARTS.findall(text)
        self.at = 0

    def _peek(self) -> str:
        return self.parts[self.at] if self.at < len(self.parts) else ""

    def choice(self) -> _Node:
        """Read alternatives up to what closes them."""
        found = [self.sequence()]
        while self._peek() == "|":
            self.at += 1
            found.append(self.sequence())
        return found[0] if len(found) == 1 else _Choice(tuple(found))

    def sequence(self) -> _Node:
        """Read parts up to a bar or what closes them."""
        found: list[_Node] = []
        while self._peek() not in ("", "|", "]", ">", ")"):
            part, is_option = self._part()
            if self._peek() == "...":
                self.at += 1
                part = _Repeated(part)
            last = found[-1] if found else None
            if is_option and isinstance(last, _Options):
                found[-1] = _Options((*last.parts, part))
            else:
                found.append(_Options((part,)) if is_option else part)
        return found[0] if len(found) == 1 else _Sequence(tuple(found))

    def _part(self) -> tuple[_Node, bool]:
        text = self._peek()
        self.at += 1
        if text in ("[", "<", "("):
            inner = self.choice()
            self.at += 1
            return inner, text == "["
        if text.startswith("#"):
            return _Counted(text[1:].removesuffix("s")), False
        if _LITERAL.fullmatch(text):
            return _Literal(text), False
        return _Value(text), False


@dataclass(frozen=True)
class Signature:
    """How one command is written.

    Attributes
    ----------
    name : str
        The command in upper case, with its subcommand.
    notation : str
        What follows the name, see the module's description.
    steps : str
        What its time grows with; ``1`` for nothing.
    """

    name: str
    notation: str
    steps: str

    @cached_property
    def _root(self) -> _Node:
        return _Reader(self.notation).choice()

    @property
    def text(self) -> str:
        """The line for people."""
        shown = self.notation.replace("#keys", "numkeys key...").replace("...", " …")
        return f"{self.name} {shown}".rstrip()

    def expected(self, words: Sequence[str]) -> Expected:
        """Return what may follow these words, which stand behind the command's name."""
        look = _Look(words)
        if look.end <= _MOST_WORDS:
            self._root.walk(frozenset((0,)), look)
        return look.expected


@cache
def _table() -> dict[str, Signature]:
    text = files("trignb.notebook").joinpath("signatures.tsv").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines()[1:])
    return {name: Signature(name, notation, steps) for name, notation, steps in rows}


def signature(name: str) -> Signature | None:
    """Return how a command is written, None for one that has no line."""
    return _table().get(name.upper())
