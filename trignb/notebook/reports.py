"""How long libraries take, what went wrong in them and what they said, as DataFrames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from trignb.notebook import columns
from trignb.notebook.frames import kind_of
from trignb.notebook.text import readable

if TYPE_CHECKING:
    import pandas as pd

    from trignb.api import Engine
    from trignb.functions.statistics import Times

__all__ = ["errors", "latencies", "logs"]

KINDS: Final = ("load", "function", "keyspace_trigger", "stream_trigger")


# What has runs, and so times.
TIMED: Final = ("function", "async_function", "keyspace_trigger", "stream_trigger")

_QUANTILES: Final = {"p50_us": 0.5, "p90_us": 0.9, "p99_us": 0.99}


def latencies(engine: Engine) -> pd.DataFrame:
    """Return how long triggers and functions take, one row each.

    A trigger's run counts from its event to the end of its callback, a stream trigger's run is one
    record. Times are of the engine's clock: while it is frozen they are 0.

    Returns
    -------
    DataFrame
        Index ``library``, ``name``. ``kind`` category (function, async_function,
        keyspace_trigger, stream_trigger), ``runs`` int64 (those that have ended), ``min_us``,
        ``mean_us``, ``p50_us``, ``p90_us``, ``p99_us`` and ``max_us`` float64, in microseconds
        (quantiles to within a sixteenth; 0 without runs), ``failures`` int64,
        ``errors`` object (dict: how many by kind of error, ``TypeError``, ``timeout`` …).
    """
    with engine.core.lock:
        rows = [
            (item, item.times)
            for library in engine.library_registry.libraries.values()
            for item in library.registrations()
            if hasattr(item, "times")
        ]
        times = [each for _, each in rows]
        runs = [each.count for each in times]
        data = {
            "library": columns.text(item.library for item, _ in rows),
            "name": columns.text(item.name for item, _ in rows),
            "kind": columns.category([TIMED.index(kind_of(i)) for i, _ in rows], TIMED),
            "runs": columns.count(runs),
            "min_us": columns.durations(each.min_ns / 1e3 for each in times),
            "mean_us": columns.durations(
                each.total_ns / 1e3 / n if n else 0.0
                for each, n in zip(times, runs, strict=True)
            ),
            **{name: _quantiles(times, q) for name, q in _QUANTILES.items()},
            "max_us": columns.durations(each.max_ns / 1e3 for each in times),
            "failures": columns.count(sum(each.errors.values()) for each in times),
            "errors": columns.objects([dict(each.errors) for each in times]),
        }
    return columns.frame(data, index=("library", "name"), length=len(rows))


def _quantiles(times: Sequence[Times], q: float) -> Any:
    return columns.durations(each.quantile_ns(q) / 1e3 for each in times)


def errors(engine: Engine) -> pd.DataFrame:
    """Return one row per failure of a library, oldest first; the last thousand are kept.

    Returns
    -------
    DataFrame
        Index ``seq`` (int64, from 1). ``time`` datetime64[ms, UTC], ``library`` str, ``kind``
        category (load, function, keyspace_trigger, stream_trigger), ``name`` str (missing for
        a load), ``event`` and ``key`` str (what fired a trigger, the record's id for a stream
        trigger; missing for functions and loads), ``message`` str, ``line`` and ``column`` Int64 (the innermost position in the
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
        "event": columns.text(row.event or None for row in rows),
        "key": columns.text(readable(row.key) if row.event else None for row in rows),
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
