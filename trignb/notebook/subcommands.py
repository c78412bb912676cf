"""What ``%tf`` can do, one function a subcommand."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from inspect import getdoc
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trignb.api import Engine
from trignb.engine.spec import FLAG_NAMES
from trignb.glob import matcher
from trignb.notebook.display import Note
from trignb.notebook.errors import UsageError, suggestion
from trignb.notebook.expand import expand
from trignb.notebook.options import Option, Parsed, flag, parse, word
from trignb.notebook.text import readable
from trignb.notebook.tokenize import CommandLine, read_line, split

if TYPE_CHECKING:
    import pandas as pd

    from trignb.clock import Clock
    from trignb.engine.spec import Command
    from trignb.notebook.magics import TrignbMagics
    from trignb.notebook.tokenize import Token
    from trignb.notebook.workbench import Bench

__all__ = ["SUBCOMMANDS", "run_subcommand"]


class _Call:
    """One ``%tf`` line: who asked, and with what words."""

    def __init__(
        self, magics: TrignbMagics, rest: str, names: Mapping[str, Any]
    ) -> None:
        self.magics = magics
        self.rest = rest
        self.names = names

    def parse(self, **options: Option) -> tuple[list[str], Parsed]:
        """Return the words and the options; ``--engine`` goes with every subcommand."""
        known = {f"--{n.replace('_', '-')}": option for n, option in options.items()}
        parsed = parse(self.rest, {**known, "--engine": word("engine")}, anywhere=True)
        return [readable(token.value) for token in split(parsed.rest)], parsed

    def bench(self, parsed: Parsed) -> Bench:
        """Return the engine that is meant."""
        return self.magics.workbench.bench(parsed.get("engine"))

    def at_most(self, words: Sequence[str], count: int) -> None:
        """Refuse words too many."""
        if len(words) > count:
            raise UsageError(f"nothing is known of {' '.join(words[count:])}")


def run_subcommand(magics: TrignbMagics, line: str, names: Mapping[str, Any]) -> Any:
    """Run one ``%tf`` line."""
    name, _, rest = line.strip().partition(" ")
    if not name:
        return _overview()
    if name not in SUBCOMMANDS:
        error = UsageError(f"%tf has no subcommand {name}")
        error.hint = suggestion(name, SUBCOMMANDS) or "%tf help lists them"
        raise error
    return SUBCOMMANDS[name](_Call(magics, rest, names))


# -- DataFrames


def _of_library(
    frame: pd.DataFrame, words: Sequence[str], bench: Bench
) -> pd.DataFrame:
    """Return the rows of one library."""
    if not words:
        return frame
    libraries = bench.engine.library_registry.libraries
    if words[0] not in libraries:
        error = UsageError(f"there is no library {words[0]}")
        error.hint = suggestion(words[0], libraries)
        raise error
    chosen = frame.index.get_level_values(0) == words[0]
    return frame[chosen]


def stats(call: _Call) -> pd.DataFrame:
    """``stats [LIBRARY]``: keyspace triggers, their counters and times."""
    words, parsed = call.parse()
    call.at_most(words, 1)
    bench = call.bench(parsed)
    return _of_library(bench.engine.triggers(), words, bench)


def functions(call: _Call) -> pd.DataFrame:
    """``functions [LIBRARY]``: everything that libraries registered."""
    words, parsed = call.parse()
    call.at_most(words, 1)
    bench = call.bench(parsed)
    return _of_library(bench.engine.functions(), words, bench)


def libraries(call: _Call) -> pd.DataFrame:
    """``libraries``: what is loaded."""
    words, parsed = call.parse()
    call.at_most(words, 0)
    return call.bench(parsed).engine.libraries()


def notifications(call: _Call) -> pd.DataFrame:
    """``notifications [PATTERN] [--event E]``: the keyspace events of late."""
    words, parsed = call.parse(event=word("event"))
    call.at_most(words, 1)
    frame = call.bench(parsed).engine.notifications()
    if parsed.get("event"):
        frame = frame[frame["event"] == parsed.get("event")]
    return _matching(frame, words[0]) if words else frame


def _matching(frame: pd.DataFrame, pattern: str) -> pd.DataFrame:
    matches = matcher(pattern.encode())
    hits = [bool(matches(key.encode())) for key in frame["key"]]
    return frame[np.array(hits, dtype=bool)]


def commands(call: _Call) -> pd.DataFrame:
    """``commands``: the commands of late."""
    words, parsed = call.parse()
    call.at_most(words, 0)
    return call.bench(parsed).engine.commands()


# -- engines


def engine(call: _Call) -> Any:
    """``engine [NAME] [--new] [--close]``: list, choose, create or close engines."""
    words, parsed = call.parse(new=flag("new"), close=flag("close"))
    call.at_most(words, 1)
    if not words:
        return _engines(call)
    name, workbench = words[0], call.magics.workbench
    if parsed.get("close"):
        workbench.close(name)
        return Note(f"engine {name} is closed")
    if parsed.get("new"):
        workbench.create(name)
    elif name not in workbench.benches and isinstance(call.names.get(name), Engine):
        workbench.adopt(name, call.names[name], call.magics.resp)
    chosen = workbench.bench(name).engine
    workbench.current = name
    return chosen


def _engines(call: _Call) -> Note:
    workbench = call.magics.workbench
    workbench.bench()
    return Note(
        "\n".join(
            f"{'*' if name == workbench.current else ' '} {name}: {_summary(bench.engine)}"
            for name, bench in workbench.benches.items()
        )
    )


def _summary(engine: Engine) -> str:
    """Say what an engine holds, as its repr does."""
    return repr(engine).removeprefix("<trignb.Engine ").removesuffix(">")


def reset(call: _Call) -> Note:
    """``reset [--keep-libraries]``: an empty engine, empty logs, counters at zero."""
    words, parsed = call.parse(keep_libraries=flag("keep"))
    call.at_most(words, 0)
    keep = parsed.get("keep", False)
    call.bench(parsed).reset(keep_libraries=keep)
    return Note("OK  libraries kept" if keep else "OK")


# -- the clock

_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def clock(call: _Call) -> Note:
    """``clock [set TIME | advance 5s | freeze | real]``: the engine's time."""
    words, parsed = call.parse()
    clock = call.bench(parsed).engine.clock
    action, *given = words or ["show"]
    if action not in _CLOCK_ACTIONS:
        error = UsageError(f"%tf clock has no {action}")
        error.hint = suggestion(action, _CLOCK_ACTIONS)
        raise error
    act, wanted = _CLOCK_ACTIONS[action]
    if len(given) != wanted:
        raise UsageError(f"%tf clock {action} takes {wanted or 'no'} value")
    act(clock, *given)
    return Note(_clock_text(clock))


def _set_clock(clock: Clock, text: str) -> None:
    try:
        clock.freeze(at=float(text) if _is_number(text) else text)
    except ValueError as error:
        raise UsageError(
            f"{text} is not a time: write 2024-01-31T12:00:00Z or seconds"
        ) from error


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


def _advance_clock(clock: Clock, text: str) -> None:
    if _is_number(text):
        clock.advance(seconds=float(text))
    elif _DURATION.sub("", text) == "" and text:
        parts = _DURATION.findall(text)
        clock.advance(milliseconds=sum(float(n) * _UNITS_MS[unit] for n, unit in parts))
    else:
        raise UsageError(f"{text} is not a duration: write 5s, 250ms, 1h30m or 2d")


_CLOCK_ACTIONS: Final[dict[str, tuple[Callable[..., None], int]]] = {
    "show": (lambda _clock: None, 0),
    "set": (_set_clock, 1),
    "advance": (_advance_clock, 1),
    "freeze": (lambda clock: clock.freeze(), 0),
    "real": (lambda clock: clock.resume(), 0),
}


def _clock_text(clock: Clock) -> str:
    kind = "manual" if clock.frozen else "real"
    # Through milliseconds, as the engine counts: datetime would round.
    moment = dt.datetime.fromtimestamp(clock.now_ns() // 10**6 / 1000, dt.UTC)
    return f"clock: {kind}, {moment.isoformat(timespec='milliseconds')[:-6]}Z"


# -- functions


def call(call: _Call) -> Any:
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


def _expanded(call: _Call, tokens: Sequence[Token]) -> list[bytes]:
    if call.magics.expand == "off" or not tokens:
        return [token.value for token in tokens]
    return expand(CommandLine(tuple(tokens), call.rest), call.names)


# -- help


def help_(call: _Call) -> Note:
    """``help [COMMAND | @GROUP]``: what a command does, since when, how it is written."""
    words, parsed = call.parse()
    if not words:
        return _overview()
    table = call.bench(parsed).engine.core.table
    if words[0].startswith("@"):
        return _group(table.by_name, words[0][1:].lower())
    name = " ".join(words).lower()
    if name not in table.by_name:
        error = UsageError(f"there is no command {name.upper()}")
        error.hint = suggestion(name.upper(), [n.upper() for n in table.by_name])
        raise error
    return _about(name, table.by_name[name])


def _overview() -> Note:
    lines = [(getdoc(f) or "").replace("``", "") for f in SUBCOMMANDS.values()]
    return Note("\n".join(f"%tf {line}" for line in lines))


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
    facts = command.facts
    words = abs(facts.arity) - 1 - name.count(" ")
    arguments = "at least " if facts.arity < 0 else ""
    flags = [n for n, bit in FLAG_NAMES.items() if facts.flags & bit]
    lines = [
        f"{name.upper()}  {_summary_line(command)}".rstrip(),
        f"arguments: {arguments}{words}",
        f"group: {facts.group}",
        f"since: {facts.since}",
    ]
    if command.subcommands:
        known = sorted({w.decode().upper() for w in command.subcommands if w})
        lines[1] = f"subcommands: {', '.join(known)}"
    return Note("\n".join([*lines, f"flags: {', '.join(flags)}"] if flags else lines))


SUBCOMMANDS: Final[dict[str, Callable[[_Call], Any]]] = {
    "stats": stats,
    "functions": functions,
    "libraries": libraries,
    "notifications": notifications,
    "commands": commands,
    "engine": engine,
    "clock": clock,
    "call": call,
    "reset": reset,
    "help": help_,
}
