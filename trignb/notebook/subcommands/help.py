"""``%tf help``: the subcommands, and what Redis's commands do."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import getdoc
from typing import TYPE_CHECKING

from trignb.engine.spec import FLAG_NAMES
from trignb.notebook.display import Note
from trignb.notebook.errors import UsageError, suggestion
from trignb.notebook.signatures import signature
from trignb.notebook.subcommands.registry import Call, overview, subcommand

if TYPE_CHECKING:
    from trignb.engine.spec import Command

__all__: list[str] = []


@subcommand("command", "command")
def help_(call: Call) -> Note:
    """``help [COMMAND | @GROUP]``: what a command does, since when, how it is written."""
    words = call.words
    if not words:
        return Note(overview())
    table = call.engine.core.table
    if words[0].startswith("@"):
        return _group(table.by_name, words[0][1:].lower())
    name = " ".join(words).lower()
    if name not in table.by_name:
        error = UsageError(f"there is no command {name.upper()}")
        error.hint = suggestion(name.upper(), [n.upper() for n in table.by_name])
        raise error
    return _about(name, table.by_name[name])


def _summary_line(command: Command) -> str:
    return (getdoc(command.handler) or "").partition("\n")[0]


def _group(by_name: Mapping[str, Command], group: str) -> Note:
    groups = sorted({command.facts.group for command in by_name.values()})
    if group not in groups:
        error = UsageError(f"there is no group @{group}")
        error.hint = f"there are {', '.join('@' + name for name in groups)}"
        raise error
    names = sorted(n for n, c in by_name.items() if c.facts.group == group)
    width = max(map(len, names))
    return Note(
        "\n".join(f"{n.upper():{width}}  {_summary_line(by_name[n])}" for n in names)
    )


def _about(name: str, command: Command) -> Note:
    facts, written = command.facts, signature(name)
    flags = [n for n, bit in FLAG_NAMES.items() if facts.flags & bit]
    lines = [
        f"{name.upper()}  {_summary_line(command)}".rstrip(),
        _usage(name, command),
        f"group: {facts.group}",
        f"since: {facts.since}",
    ]
    if written is not None:
        lines.append(f"complexity: {written.steps}")
    if facts.deprecated_since:
        lines.append(f"deprecated since: {facts.deprecated_since}")
    return Note("\n".join([*lines, f"flags: {', '.join(flags)}"] if flags else lines))


def _usage(name: str, command: Command) -> str:
    """Return the line that says how a command is written."""
    if command.subcommands:
        known = sorted({w.decode().upper() for w in command.subcommands if w})
        return f"subcommands: {', '.join(known)}"
    written = signature(name)
    if written is not None:
        return f"usage: {written.text}"
    words = abs(command.facts.arity) - 1 - name.count(" ")
    return f"arguments: {'at least ' if command.facts.arity < 0 else ''}{words}"
