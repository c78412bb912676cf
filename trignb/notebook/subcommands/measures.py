"""``%tf streams``, ``latencies`` and ``keyspace``: how far, how long, how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trignb.notebook.errors import UsageError
from trignb.notebook.keyspace import TYPES
from trignb.notebook.options import number, word
from trignb.notebook.subcommands.registry import Call, subcommand
from trignb.notebook.subcommands.tables import of_library

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_type"]


@subcommand("library")
def streams(call: Call) -> pd.DataFrame:
    """``streams [LIBRARY]``: stream triggers, how far each has read which stream."""
    return of_library(call.engine.stream_triggers(), call)


@subcommand("library")
def latencies(call: Call) -> pd.DataFrame:
    """``latencies [LIBRARY]``: how long triggers and functions take, with quantiles."""
    return of_library(call.engine.latencies(), call)


@subcommand(
    "key",
    type=word("type", "only keys of this type"),
    db=number("db", "number of the database"),
)
def keyspace(call: Call) -> pd.DataFrame:
    """``keyspace [PATTERN] [--type T] [--db N]``: keys with type, size and memory."""
    kind = check_type(call.get("type"))
    pattern, db = call.word() or "*", call.get("db", 0)
    return call.engine.keys_frame(pattern, type=kind, db=db)


def check_type(name: str | None) -> str | None:
    """Return the name of a type, or of none.

    Raises
    ------
    UsageError
        There is no such type.
    """
    if name is not None and name not in TYPES:
        error = UsageError(f"there is no type {name}")
        error.hint = f"there are {', '.join(TYPES)}"
        raise error
    return name
