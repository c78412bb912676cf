"""``%tf stats``, ``functions``, ``libraries``, ``notifications``, ``commands``: DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trignb.glob import matcher
from trignb.notebook.errors import UsageError, suggestion
from trignb.notebook.options import word
from trignb.notebook.subcommands.registry import Call, subcommand

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["of_library"]


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
        error = UsageError(f"there is no library {name}")
        error.hint = suggestion(name, libraries)
        raise error
    chosen = frame.index.get_level_values(0) == name
    return frame[chosen]


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
