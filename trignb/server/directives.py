"""Directives: a redis.conf and the command line, line by line, and what they come to.

`read_directives` only splits; `settle` knows the parameters: which directive takes several words, which may be
repeated, and what to say of a name nobody knows.
"""

from __future__ import annotations

import difflib
import glob
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from trignb.engine.stats import REDIS_VERSION
from trignb.errors import ResponseError
from trignb.resp.inline import split_inline

if TYPE_CHECKING:
    from trignb.engine.parameters import Parameter

__all__ = [
    "Directive",
    "DirectiveError",
    "Settings",
    "did_you_mean",
    "read_directives",
    "settle",
]

COMMAND_LINE: Final = "the command line"
_TEXT: Final = ("utf-8", "surrogateescape")
_BAD: Final = "Bad directive or wrong number of arguments"

# Parameters whose value is several words.
_SEVERAL_WORDS: Final = frozenset(
    {
        *("bind", "save", "client-output-buffer-limit", "oom-score-adj-values"),
        *("latency-tracking-info-percentiles", "shutdown-on-sigint"),
        *("shutdown-on-sigterm", "replicaof"),
    }
)
# Those whose lines add up: one for each save point, one for each class of clients.
_ADDING_UP: Final = frozenset({"save", "client-output-buffer-limit"})
# CONFIG SET refuses TLS without certificates; here they may come on a later line.
_CHECKED_LATER: Final = frozenset({"tls-port"})
_HIGHEST_PORT: Final = 65535
# What the command line knows beside them.
_OPTIONS: Final = ("load", "config", "gears-config", "help")
# An include may include; a file that includes itself is told so.
_DEEPEST_INCLUDE: Final = 16


class DirectiveError(Exception):
    """A directive cannot be read, or not be followed.

    Parameters
    ----------
    text : str
        What is wrong, and where.
    line : int
        Its number as Redis counts lines, 0 when it is about no line.
    shown : str
        The line as it was read.
    reason : str
        What Redis says of such a line.
    """

    def __init__(
        self, text: str, line: int = 0, shown: str = "", reason: str = ""
    ) -> None:
        super().__init__(text)
        self.line = line
        self.shown = shown
        self.reason = reason

    @property
    def report(self) -> str:
        """The lines that redis-server ends with; empty when the error is one of ours."""
        if not self.reason:
            return ""
        where = ""
        if self.line:
            where = (
                f"Reading the configuration file, at line {self.line}\n"
                f">>> '{self.shown}'\n"
            )
        head = f"\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***\n"
        return f"{head}{where}{self.reason}\n"


class Directive(NamedTuple):
    """One line: its name in lower case, its words, where it stands, and its text."""

    name: str
    values: tuple[str, ...]
    origin: str
    line: int = 0
    text: str = ""

    @property
    def is_typed(self) -> bool:
        """Whether somebody typed it just now."""
        return self.origin == COMMAND_LINE

    def error(self, reason: str) -> DirectiveError:
        """Return what is wrong with this line, and which line it is."""
        words = " ".join([self.name, *map(_shown, self.values)])
        text = f"{self.origin}: '{words}': {reason}"
        return DirectiveError(text, self.line, self.text, reason)

    def ill_formed(self) -> DirectiveError:
        """Return the error for a wrong number of words where Redis says no more than that."""
        error = self.error("wrong number of arguments")
        error.reason = _BAD
        return error

    def unknown(self, text: str) -> DirectiveError:
        """Return the error for a name nobody knows, with a text of ours."""
        return DirectiveError(text, self.line, self.text, _BAD)


@dataclass
class Settings:
    """What the directives come to.

    Attributes
    ----------
    values : dict of str
        Parameters as CONFIG SET would take them, by canonical name.
    defaults : dict of int
        Values that take the place of defaults, in range or not: a module's arguments.
    origins : dict of Directive
        The last directive of each parameter.
    users : list of Directive
        Lines ``user NAME rule …``.
    renames : list of Directive
        Lines ``rename-command OLD NEW``.
    warnings : list of str
        What was left out, and why.
    """

    values: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, int] = field(default_factory=dict)
    origins: dict[str, Directive] = field(default_factory=dict)
    users: list[Directive] = field(default_factory=list)
    renames: list[Directive] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_directives(
    args: Iterable[str], path: Path | None, more: bytes | None = None
) -> list[Directive]:
    """Return the lines of a file, then those of the command line.

    Parameters
    ----------
    args : iterable of str
        The command line: ``--name value ...``, as redis-server takes it.
    path : Path or None
        The file.
    more : bytes, optional
        What is read as if it stood at the end of the file (standard input).

    Raises
    ------
    DirectiveError
        For a line whose quotes do not fit, or an argument that belongs to no directive.
    OSError
        When a file cannot be read.
    """
    content = b"" if path is None else _content(path)
    lines = [] if path is None else list(_lines_of(content, str(path), 1, 0))
    first = content.count(b"\n") + 1
    if more is not None:
        lines += _lines_of(more, "standard input", first, 0)
        first += more.count(b"\n")
    return [*lines, *_typed(args, first + 1)]


def _content(path: Path) -> bytes:
    # A folder is an empty file to redis-server.
    return b"" if path.is_dir() else path.read_bytes()


def _lines_of(content: bytes, name: str, first: int, depth: int) -> Iterator[Directive]:
    if depth > _DEEPEST_INCLUDE:
        raise DirectiveError(f"{name}: files include each other without end")
    for number, line in enumerate(content.split(b"\n"), first):
        stripped = line.strip(b" \t\r\n")
        if not stripped or stripped.startswith(b"#"):
            continue
        origin = f"{name}, line {number}"
        directive = _directive(stripped.decode(*_TEXT), origin, number)
        if directive is None:
            continue
        if directive.name == "include":
            yield from _included(directive, depth)
        else:
            yield directive


def _directive(text: str, origin: str, number: int) -> Directive | None:
    """Return what a line says, None when it says nothing."""
    words = split_inline(text.encode(*_TEXT))
    if words is None:
        reason = "Unbalanced quotes in configuration line"
        raise DirectiveError(f"{origin}: {reason}", number, text, reason)
    if not words:
        return None
    name, *values = (word.decode(*_TEXT) for word in words)
    return Directive(name.lower(), tuple(values), origin, number, text)


def _included(directive: Directive, depth: int) -> Iterator[Directive]:
    """Return the lines of the files that an include names; a pattern may name none."""
    if len(directive.values) != 1:
        raise directive.error("wrong number of arguments")
    name = directive.values[0]
    names = sorted(glob.glob(name)) if glob.has_magic(name) else [name]
    for each in names:
        yield from _lines_of(_content(Path(each)), each, 1, depth + 1)


def _typed(args: Iterable[str], first: int) -> Iterator[Directive]:
    """Return the directives of the command line, the first with that number.

    An argument right behind an option is its value whatever it looks like; only ``--save``
    may go without one.
    """
    lines: list[list[str]] = []
    is_fresh = False
    for arg in args:
        is_option = arg.startswith("--")
        if is_option and (not is_fresh or lines[-1][0] == "--save"):
            if lines and is_fresh:
                lines[-1].append("")
            lines.append([arg])
            # With its value in the same argument it waits for none.
            is_fresh = len(arg.split()) == 1
        elif not lines:
            text = f"{arg!r} belongs to no directive"
            raise DirectiveError(text, first, _quoted(arg), _BAD)
        else:
            lines[-1].append(arg)
            is_fresh = False
    if is_fresh and lines[-1] == ["--save"]:
        lines[-1].append("")
    for number, (option, *values) in enumerate(lines, first):
        # The option may be a line of its own, and is split as one.
        text = " ".join([option[2:], *map(_quoted, values)])
        directive = _directive(text, COMMAND_LINE, number)
        if directive is not None:
            yield directive


def _quoted(value: str) -> str:
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b"}
    named |= {'"': '\\"', "\\": "\\\\"}
    shown = "".join(
        named.get(c) or (c if " " <= c <= "~" else _escaped(c)) for c in value
    )
    return f'"{shown}"'


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode(*_TEXT))


def settle(
    directives: Iterable[Directive], parameters: Mapping[str, Parameter]
) -> Settings:
    """Return what directives come to, the later one winning.

    Raises
    ------
    DirectiveError
        For a wrong number of words, or an unknown name that was typed. One in a file is
        left out with a warning: the file may be another server's.
    """
    found = Settings()
    for directive in directives:
        parameter = parameters.get(directive.name)
        if directive.name == "user":
            found.users.append(directive)
        elif directive.name == "rename-command":
            found.renames.append(directive)
        elif directive.name == "loadmodule":
            if not directive.values:
                raise directive.ill_formed()
            module = " ".join(directive.values[:1])
            found.warnings.append(
                f"{directive.origin}: module {module!r} is not loaded: triggers and "
                "functions are built in, there is no room for compiled modules"
            )
        elif parameter is None:
            _leave_out(found, directive, parameters)
        else:
            _take(found, directive, parameter)
    return found


def _leave_out(
    found: Settings, directive: Directive, parameters: Mapping[str, Parameter]
) -> None:
    known = [name for name, each in parameters.items() if not each.hidden]
    if directive.is_typed:
        known += _OPTIONS
    hint = did_you_mean(directive.name, known)
    if directive.is_typed:
        raise directive.unknown(f"no such option: --{directive.name}{hint}")
    found.warnings.append(
        f"{directive.origin}: unknown directive {directive.name!r} is ignored{hint}"
    )


def _check(directive: Directive, parameter: Parameter, text: str) -> None:
    """Raise the error for a value that cannot be, while later lines are not looked at."""
    if parameter.name == "replicaof" and directive.values:
        if len(directive.values) != 2:
            raise directive.error("wrong number of arguments")
        port = directive.values[1]
        if not (port.isdecimal() and int(port) <= _HIGHEST_PORT):
            raise directive.error("Invalid master port")
    if parameter.name in _CHECKED_LATER:
        return
    try:
        parameter.parse(text, parameter.default)
    except ResponseError as error:
        raise directive.error(str(error)) from None


def _take(found: Settings, directive: Directive, parameter: Parameter) -> None:
    name = parameter.name
    if name not in _SEVERAL_WORDS and len(directive.values) != 1:
        raise directive.error("wrong number of arguments")
    text = " ".join(directive.values)
    _check(directive, parameter, text)
    # An empty one takes back those before it.
    if name in _ADDING_UP and found.values.get(name) and text:
        text = f"{found.values[name]} {text}"
    found.values[name] = text
    found.origins[name] = directive


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a hint to names like this one, empty when there are none."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _shown(value: str) -> str:
    return f'"{value}"' if not value or " " in value else value
