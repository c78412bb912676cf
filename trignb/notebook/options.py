"""Options of magics: the words with dashes before the command itself.

Not argparse: it would split the command by the shell's rules, and take ``-1`` in
``LRANGE l 0 -1`` for an option. Here options end at the first word that is not one, ``--``
ends them explicitly, and what follows is left as it was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trignb.notebook.errors import UsageError, nearest
from trignb.notebook.text import readable
from trignb.notebook.tokenize import first_word

__all__ = ["Option", "Parsed", "flag", "number", "parse", "word"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: the name its value goes by, and what it takes.

    `takes` is None for a flag, whose value is `constant`; else the kind of the next word.
    `of` says what the word names, for completion (see `trignb.notebook.completing`).
    """

    dest: str
    takes: type | None = None
    constant: Any = True
    help: str = ""
    of: str = ""


@dataclass(slots=True)
class Parsed:
    """A magic's line, taken apart.

    Attributes
    ----------
    values : dict
        Options given, by `dest`.
    rest : str
        What follows the options.
    """

    values: dict[str, Any] = field(default_factory=dict)
    rest: str = ""

    def get(self, dest: str, default: Any = None) -> Any:
        """Return an option's value."""
        return self.values.get(dest, default)


def flag(dest: str, constant: Any = True, help: str = "") -> Option:
    """Return an option without a value."""
    return Option(dest, None, constant, help)


def word(dest: str, help: str = "", of: str = "") -> Option:
    """Return an option that takes the next word, the name of an `of`."""
    return Option(dest, str, True, help, of)


def number(dest: str, help: str = "") -> Option:
    """Return an option that takes an integer."""
    return Option(dest, int, True, help)


def parse(
    line: str, options: Mapping[str, Option], *, anywhere: bool = False
) -> Parsed:
    """Take the options off a line.

    Parameters
    ----------
    line : str
        What stands behind the magic's name.
    options : mapping of str to Option
        By spelling, dashes included.
    anywhere : bool
        Options may stand behind other words too; `rest` holds those words.

    Raises
    ------
    UsageError
        An option is unknown, or its value is missing or not a number.
    """
    parsed, at, others = Parsed(), 0, []
    while True:
        token, end = first_word(line, at)
        name = line[at:end].strip()
        if name == "--" and not anywhere:
            at = end
            break
        if name in options:
            at = _take(line, end, name, options[name], parsed)
        elif token is not None and name.startswith("-") and name != "-":
            raise _unknown(line, name, token.column, options)
        elif token is not None and anywhere:
            others.append(name)
            at = end
        else:
            break
    parsed.rest = " ".join(others) if anywhere else line[at:].strip()
    return parsed


def _take(line: str, at: int, name: str, option: Option, parsed: Parsed) -> int:
    """Note one option; return where the line goes on."""
    if option.takes is None:
        parsed.values[option.dest] = option.constant
        return at
    token, end = first_word(line, at)
    if token is None:
        raise UsageError(f"{name} needs a value")
    text = readable(token.value)
    if option.takes is int and not text.lstrip("+-").isdecimal():
        raise UsageError.at(f"{name} takes a number", line, token.column)
    parsed.values[option.dest] = option.takes(text)
    return end


_NEGATIVE: Final = "a command that begins with a dash stands behind --"


def _unknown(
    line: str, name: str, column: int, options: Mapping[str, Option]
) -> UsageError:
    near = nearest(name, options)
    hint = f"did you mean {near}?" if near else _NEGATIVE
    return UsageError.at(f"unknown option {name}", line, column, hint)
