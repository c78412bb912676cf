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
# What the command line knows beside them.
_OPTIONS: Final = ("load", "config", "gears-config", "help")
# An include may include; a file that includes itself is told so.
_DEEPEST_INCLUDE: Final = 16


class DirectiveError(Exception):
    """A directive cannot be read, or not be followed."""


class Directive(NamedTuple):
    """One line: its name in lower case, its words, and where it stands."""

    name: str
    values: tuple[str, ...]
    origin: str

    @property
    def is_typed(self) -> bool:
        """Whether somebody typed it just now."""
        return self.origin == COMMAND_LINE

    def error(self, reason: str) -> DirectiveError:
        """Return what is wrong with this line, and which line it is."""
        words = " ".join([self.name, *map(_shown, self.values)])
        return DirectiveError(f"{self.origin}: '{words}': {reason}")


@dataclass
class Settings:
    """What the directives come to.

    Attributes
    ----------
    values : dict of str
        Parameters as CONFIG SET would take them, by canonical name.
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
    origins: dict[str, Directive] = field(default_factory=dict)
    users: list[Directive] = field(default_factory=list)
    renames: list[Directive] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_directives(args: Iterable[str], path: Path | None) -> list[Directive]:
    """Return the lines of a file, then those of the command line.

    Raises
    ------
    DirectiveError
        For a line whose quotes do not fit, or an argument that belongs to no directive.
    OSError
        When a file cannot be read.
    """
    lines = [] if path is None else list(_lines_of(path, 0))
    return [*lines, *_typed(args)]


def _lines_of(path: Path, depth: int) -> Iterator[Directive]:
    if depth > _DEEPEST_INCLUDE:
        raise DirectiveError(f"{path}: files include each other without end")
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith(b"#"):
            continue
        words = split_inline(stripped)
        origin = f"{path}, line {number}"
        if not words:
            raise DirectiveError(f"{origin}: Unbalanced quotes in configuration line")
        name, *values = (word.decode("utf-8", "surrogateescape") for word in words)
        directive = Directive(name.lower(), tuple(values), origin)
        if directive.name == "include":
            yield from _included(directive, depth)
        else:
            yield directive


def _included(directive: Directive, depth: int) -> Iterator[Directive]:
    """Return the lines of the files that an include names; a pattern may name none."""
    if len(directive.values) != 1:
        raise directive.error("wrong number of arguments")
    name = directive.values[0]
    names = sorted(glob.glob(name)) if glob.has_magic(name) else [name]
    for each in names:
        yield from _lines_of(Path(each), depth + 1)


def _typed(args: Iterable[str]) -> Iterator[Directive]:
    name, values = "", list[str]()
    for arg in args:
        if arg.startswith("--") and len(arg) > 2:
            if name:
                yield Directive(name, tuple(values), COMMAND_LINE)
            name, values = arg[2:].lower(), []
        elif not name:
            raise DirectiveError(f"{arg!r} belongs to no directive")
        else:
            values.append(arg)
    if name:
        yield Directive(name, tuple(values), COMMAND_LINE)


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
            module = " ".join(directive.values[:1])
            found.warnings.append(
                f"{directive.origin}: module {module!r} is not loaded: triggers and "
                "functions are built in, there is no room for compiled modules"
            )
        elif parameter is None:
            _leave_out(found, directive, parameters)
        else:
            _take(found, directive, parameter.name)
    return found


def _leave_out(
    found: Settings, directive: Directive, parameters: Mapping[str, Parameter]
) -> None:
    known = [name for name, each in parameters.items() if not each.hidden]
    if directive.is_typed:
        known += _OPTIONS
    hint = did_you_mean(directive.name, known)
    if directive.is_typed:
        raise DirectiveError(f"no such option: --{directive.name}{hint}")
    found.warnings.append(
        f"{directive.origin}: unknown directive {directive.name!r} is ignored{hint}"
    )


def _take(found: Settings, directive: Directive, name: str) -> None:
    if name not in _SEVERAL_WORDS and len(directive.values) != 1:
        raise directive.error("wrong number of arguments")
    text = " ".join(directive.values)
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
