"""``%tf call``: functions of libraries, their keys counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trignb.notebook.errors import UsageError
from trignb.notebook.expand import expand
from trignb.notebook.subcommands.registry import Call, subcommand
from trignb.notebook.text import readable
from trignb.notebook.tokenize import CommandLine, read_line

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.notebook.tokenize import Token

__all__: list[str] = []


@subcommand("function", reads_line=True)
def call(call: Call) -> Any:
    """``call LIBRARY.FUNCTION [KEY …] [-- ARG …]``: TFCALL with the keys counted."""
    command = read_line(call.rest)
    if command is None:
        raise UsageError("%tf call needs LIBRARY.FUNCTION")
    # Expansion comes later: a spread sequence may give any number of keys.
    values = [token.value for token in command.tokens]
    end = values.index(b"--") if b"--" in values else len(values)
    name, *keys = _expanded(call, command.tokens[:end])
    args = _expanded(call, command.tokens[end + 1 :])
    bench = call.magics.workbench.bench()
    verb = b"TFCALLASYNC" if _is_async(bench.engine, readable(name)) else b"TFCALL"
    count = str(len(keys)).encode()
    return call.magics.run_one(bench, [verb, name, count, *keys, *args])


def _is_async(engine: Engine, name: str) -> bool:
    """Whether a function was registered by ``registerAsyncFunction``."""
    library, _, function = name.partition(".")
    loaded = engine.library_registry.libraries.get(library)
    found = loaded.functions.get(function) if loaded is not None else None
    return found is not None and found.is_async


def _expanded(call: Call, tokens: Sequence[Token]) -> list[bytes]:
    if call.magics.expand == "off" or not tokens:
        return [token.value for token in tokens]
    return expand(CommandLine(tuple(tokens), call.rest), call.names)
