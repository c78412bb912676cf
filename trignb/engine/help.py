"""The texts of ``CONFIG HELP`` and its like, made from the command table."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from trignb.reply import Status

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = ["help_lines", "summary"]


def summary(command: Command) -> str:
    """Return a command's one-line summary: the first line of its handler's docstring."""
    text = inspect.getdoc(command.handler)
    if text is None:
        return f"A container for {command.name.upper()} commands."
    return text.partition("\n")[0]


def help_lines(s: Session, container: bytes) -> list[Status]:
    """Return the reply of a container's HELP, laid out as Redis does."""
    name = container.decode()
    found = s.core.table[container].subcommands or {}
    lines = [f"{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for word, subcommand in found.items():
        if word.isupper() and word != b"HELP":
            arguments = " ..." if abs(subcommand.declared_arity) > 2 else ""
            lines += [word.decode() + arguments, f"    {summary(subcommand)}"]
    lines += ["HELP", "    Prints this help."]
    return [Status(line) for line in lines]
