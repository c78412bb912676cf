"""What went wrong in libraries and what they said, as DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trignb.notebook import columns

if TYPE_CHECKING:
    import pandas as pd

    from trignb.api import Engine

__all__ = ["errors", "logs"]

KINDS: Final = ("load", "function", "keyspace_trigger", "stream_trigger")


def errors(engine: Engine) -> pd.DataFrame:
    """Return one row per failure of a library, oldest first; the last thousand are kept.

    Returns
    -------
    DataFrame
        Index ``seq`` (int64, from 1). ``time`` datetime64[ms, UTC], ``library`` str, ``kind``
        category (load, function, keyspace_trigger, stream_trigger), ``name`` str (missing for
        a load), ``message`` str, ``line`` and ``column`` Int64 (the innermost position in the
        library, from 1; line 1 is the prologue), ``stack`` str (frames of the library, one a
        line, whatever ``error-verbosity`` says; missing where there are none).
    """
    registry = engine.library_registry
    with engine.core.lock:
        rows = list(registry.errors)
        first = registry.errors_noted - len(rows) + 1
    data = {
        "seq": columns.count(range(first, first + len(rows))),
        "time": columns.times([row.time_ns for row in rows]),
        "library": columns.text(row.library or None for row in rows),
        "kind": columns.category([KINDS.index(row.kind) for row in rows], KINDS),
        "name": columns.text(row.item or None for row in rows),
        "message": columns.text(row.message for row in rows),
        "line": columns.nullable_count([row.line for row in rows]),
        "column": columns.nullable_count([row.column for row in rows]),
        "stack": columns.text(row.stack or None for row in rows),
    }
    return columns.frame(data, index="seq", length=len(rows))


def logs(engine: Engine, library: str | None = None) -> pd.DataFrame:
    """Return the lines that libraries logged, oldest first; the last 10,000 are kept.

    Returns
    -------
    DataFrame
        Index ``seq`` (int64, from 0). ``time`` datetime64[ms, UTC], ``library`` and ``text``
        str, the text as ``redis.log`` escapes it.
    """
    # Libraries log without the engine's lock: a deque may not be walked while it grows.
    lines = engine.library_registry.lines.copy()
    rows = [(name, line) for name, line in lines if library in (None, name)]
    data = {
        "seq": columns.count(range(len(rows))),
        "time": columns.times([line.time_ns for _, line in rows]),
        "library": columns.text(name for name, _ in rows),
        "text": columns.text(line.text for _, line in rows),
    }
    return columns.frame(data, index="seq", length=len(rows))
