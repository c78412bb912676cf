"""``%tf stats``, ``functions``, ``log`` and the others that give a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from trignb.glob import matcher
from trignb.notebook.errors import UsageError, suggestion
from trignb.notebook.options import word
from trignb.notebook.subcommands.registry import Call, subcommand

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["no_library", "of_library"]


def of_library(frame: pd.DataFrame, call: Call) -> pd.DataFrame:
    """Return the rows of the library that the line names; all when it names none.

    Raises
    ------
    UsageError
        There is no such library.
    """
    name = call.word()
    if name is None:
        return frame
    libraries = call.engine.library_registry.libraries
    if name not in libraries:
        raise no_library(name, libraries)
    chosen = frame.index.get_level_values(0) == name
    return frame[chosen]


def no_library(name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a library that is not there."""
    error = UsageError(f"there is no library {name}")
    error.hint = suggestion(name, known)
    return error


@subcommand("library")
def stats(call: Call) -> pd.DataFrame:
    """``stats [LIBRARY]``: keyspace triggers, their counters and times."""
    return of_library(call.engine.triggers(), call)


@subcommand("library")
def functions(call: Call) -> pd.DataFrame:
    """``functions [LIBRARY]``: everything that libraries registered."""
    return of_library(call.engine.functions(), call)


@subcommand()
def libraries(call: Call) -> pd.DataFrame:
    """``libraries``: what is loaded."""
    return call.engine.libraries()


@subcommand("key", event=word("event", "only this event", of="event"))
def notifications(call: Call) -> pd.DataFrame:
    """``notifications [PATTERN] [--event E]``: the keyspace events of late."""
    frame = call.engine.notifications()
    if call.get("event"):
        frame = frame[frame["event"] == call.get("event")]
    pattern = call.word()
    return frame if pattern is None else _matching(frame, pattern)


def _matching(frame: pd.DataFrame, pattern: str) -> pd.DataFrame:
    matches = matcher(pattern.encode())
    hits = [bool(matches(key.encode())) for key in frame["key"]]
    return frame[np.array(hits, dtype=bool)]


@subcommand()
def commands(call: Call) -> pd.DataFrame:
    """``commands``: the commands of late."""
    return call.engine.commands()


@subcommand("library")
def errors(call: Call) -> pd.DataFrame:
    """``errors [LIBRARY]``: what failed in libraries, with its place there."""
    return _rows_of_library(call.engine.errors(), call)


@subcommand()
def replication(call: Call) -> pd.DataFrame:
    """``replication``: what replicas and append-only files get, from the first call on."""
    return call.engine.replication_log()


@subcommand("library")
def log(call: Call) -> pd.DataFrame:
    """``log [LIBRARY]``: the lines that libraries wrote with redis.log."""
    return _rows_of_library(call.engine.logs(), call)


def _rows_of_library(frame: pd.DataFrame, call: Call) -> pd.DataFrame:
    """Return the rows of a library, which may be gone by now."""
    name = call.word()
    if name is None:
        return frame
    known = {*frame["library"].dropna(), *call.engine.library_registry.libraries}
    if name not in known:
        raise no_library(name, known)
    return frame[(frame["library"] == name).to_numpy(dtype=bool)]
