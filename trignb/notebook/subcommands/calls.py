"""``%tf call``: functions of libraries, their keys counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.blocking import Waiter
from trignb.engine.dispatch import make_run
from trignb.functions.awaiting import outcome, sleep_within
from trignb.notebook.errors import LateError, UsageError
from trignb.notebook.expand import expand
from trignb.notebook.options import flag, parse, word
from trignb.notebook.progress import waiting
from trignb.notebook.subcommands.registry import Call, subcommand
from trignb.notebook.text import readable
from trignb.notebook.tokenize import CommandLine, read_line

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.notebook.tokenize import Token
    from trignb.notebook.workbench import Bench
    from trignb.reply import Reply

__all__: list[str] = []

# How often somebody who waits is told so.
_SLICE_S: Final = 0.2


@subcommand(
    "function",
    reads_line=True,
    sync=flag("is_async", False, "TFCALL, whatever the function is"),
    timeout=word("timeout", "seconds to wait for an async function"),
    **{"async": flag("is_async", True, "TFCALLASYNC, whatever the function is")},
)
def call(call: Call) -> Any:
    """``call [--async | --sync] [--timeout S] LIBRARY.FUNCTION [KEY …] [-- ARG …]``: TFCALL with the keys counted."""
    call.options = parse(call.rest, call.known)
    command = read_line(call.options.rest)
    if command is None:
        raise UsageError("%tf call needs LIBRARY.FUNCTION")
    # Expansion comes later: a spread sequence may give any number of keys.
    values = [token.value for token in command.tokens]
    end = values.index(b"--") if b"--" in values else len(values)
    name, *keys = _expanded(call, command.tokens[:end])
    args = _expanded(call, command.tokens[end + 1 :])
    function, count = readable(name), str(len(keys)).encode()
    if not call.get("is_async", _is_async(call.engine, function)):
        line = [b"TFCALL", name, count, *keys, *args]
        return call.magics.run_one(call.bench, line)
    line = [b"TFCALLASYNC", name, count, *keys, *args]
    execute = _patient(call.bench, function, _seconds(call))
    return call.magics.run_one(call.bench, line, execute)


def _seconds(call: Call) -> float:
    """Return how long to wait for an answer, in seconds."""
    text = call.get("timeout")
    if text is None:
        return math.inf
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise UsageError(f"--timeout takes seconds, not {text}")
    return seconds


def _patient(bench: Bench, function: str, seconds: float) -> Callable[..., Reply]:
    """Return what runs a command and says, when it takes long, that it does."""

    def wait(waiter: Waiter) -> Waiter:
        ends = monotonic() + seconds
        with waiting(function) as step:
            while not waiter.is_done and monotonic() < ends:
                sleep_within(waiter, min(_SLICE_S, max(ends - monotonic(), 0.001)))
                step()
        return waiter

    run: Callable[..., Any] = make_run(bench.engine.core, wait)

    def execute(*args: bytes) -> Reply:
        begun = run(bench.session, list(args))
        if not isinstance(begun, Waiter):
            return begun
        if not begun.is_done:
            raise LateError(f"{function} did not answer within {seconds:g} s")
        return outcome(begun)

    return execute


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
