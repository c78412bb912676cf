"""The one line below an error: what was probably meant.

A hint is made of names that exist. It never changes the server's text and is never part of
``str(error)``; where nothing fits there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from trignb.datatypes import TYPE_NAMES
from trignb.notebook.errors import suggestion
from trignb.notebook.text import readable

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.engine.session import Session

__all__ = ["hint"]

_CLI_WORDS: Final = {
    "help": "%tf help COMMAND tells of a command",
    "quit": "there is no connection to leave",
    "exit": "there is no connection to leave",
    "clear": "%tf reset starts over with an empty engine",
    "connect": "%tf engine NAME changes to another engine",
}


def hint(error: str, args: Sequence[bytes], engine: Engine, session: Session) -> str:
    """Return a suggestion for an error reply, or nothing."""
    for pattern, advise in _RULES:
        found = pattern.match(error)
        if found:
            return advise(found, args, engine, session)
    return ""


def _unknown_command(
    found: re.Match[str], _args: Sequence[bytes], engine: Engine, _session: Session
) -> str:
    name = found[1]
    if name.lower() in _CLI_WORDS:
        return _CLI_WORDS[name.lower()]
    names = [n.upper() for n, c in engine.core.table.by_name.items() if " " not in n]
    return suggestion(name, names)


def _unknown_subcommand(
    found: re.Match[str], args: Sequence[bytes], engine: Engine, _session: Session
) -> str:
    container = engine.core.table.find(args[0])
    if container is None or not container.subcommands:
        return ""
    names = {name.decode().upper() for name in container.subcommands if name}
    near = suggestion(found[1], names)
    return near.replace("mean ", f"mean {container.name.upper()} ", 1)


def _wrong_arity(
    found: re.Match[str], _args: Sequence[bytes], _engine: Engine, _session: Session
) -> str:
    return f"%tf help {found[1].replace('|', ' ').upper()} tells how it is written"


def _wrong_type(
    _found: re.Match[str], args: Sequence[bytes], engine: Engine, session: Session
) -> str:
    command = engine.core.table.find(args[0])
    at = command.facts.first_key if command is not None else 0
    if not 0 < at < len(args):
        return ""
    kind = TYPE_NAMES.get(type(session.db.data.get(args[at])))
    return f"{readable(args[at])} holds a {kind}" if kind else ""


def _unknown_library(
    found: re.Match[str], _args: Sequence[bytes], engine: Engine, _session: Session
) -> str:
    return suggestion(found[1], engine.library_registry.libraries)


def _unknown_function(
    found: re.Match[str], args: Sequence[bytes], engine: Engine, _session: Session
) -> str:
    name = readable(args[1]).partition(".")[0] if len(args) > 1 else ""
    library = engine.library_registry.libraries.get(name)
    if library is None:
        return ""
    if found[1] in library.keyspace_triggers:
        return f"{found[1]} is a keyspace trigger and runs by itself"
    near = suggestion(found[1], library.functions)
    if near:
        return near.replace("mean ", f"mean {name}.", 1)
    known = ", ".join(library.functions)
    return f"library {name} has {known}" if known else f"{name} has no functions"


def _no_prologue(
    _found: re.Match[str], _args: Sequence[bytes], _engine: Engine, _session: Session
) -> str:
    return "begin with #!js api_version=1.0 name=… or write %%tfunction NAME"


def _already_exists(
    _found: re.Match[str], _args: Sequence[bytes], _engine: Engine, _session: Session
) -> str:
    return "without --new, %%tfunction replaces it; TFUNCTION LOAD needs REPLACE"


def _listening(
    _found: re.Match[str], _args: Sequence[bytes], _engine: Engine, _session: Session
) -> str:
    return "%redis RESET ends the subscription"


_Advice = Callable[["re.Match[str]", Sequence[bytes], "Engine", "Session"], str]
_RULES: Final[tuple[tuple[re.Pattern[str], _Advice], ...]] = tuple(
    (re.compile(pattern), advise)
    for pattern, advise in [
        (r"ERR unknown command '([^']*)'", _unknown_command),
        (r"ERR unknown subcommand '([^']*)'", _unknown_subcommand),
        (r"ERR wrong number of arguments for '([^']*)'", _wrong_arity),
        (r"WRONGTYPE ", _wrong_type),
        (r"Unknown library (\S+)", _unknown_library),
        (r"Unknown function (\S+)", _unknown_function),
        (r".*Invalid or missing prologue", _no_prologue),
        (r"Library \S+ already exists", _already_exists),
        (r"ERR Can't execute .* allowed in this context", _listening),
    ]
)
