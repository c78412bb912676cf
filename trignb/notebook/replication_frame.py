"""What was propagated to replicas and append-only files, as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trignb.notebook import columns
from trignb.notebook.text import readable

if TYPE_CHECKING:
    import pandas as pd

    from trignb.api import Engine

__all__ = ["replication_log"]


def replication_log(engine: Engine) -> pd.DataFrame:
    """Return one row per propagated command, oldest first; the MULTI and EXEC of a unit are rows.

    Returns
    -------
    DataFrame
        Index ``seq`` (int64, from 1). ``unit`` int64 (commands of one unit share it), ``time``
        datetime64[ms, UTC], ``db`` Int64 (missing for MULTI and EXEC), ``command`` str, ``args``
        object (a list of str, without the command), ``is_multi`` bool (whether the row is part of
        a MULTI … EXEC).
    """
    with engine.core.lock:
        rows = list(engine.propagation_log.records)
    data = {
        "seq": columns.count(row.seq for row in rows),
        "unit": columns.count(row.unit for row in rows),
        "time": columns.times([row.time_ns for row in rows]),
        "db": columns.nullable_count([row.db for row in rows]),
        "command": columns.few_words([row.args[0] for row in rows]),
        "args": columns.objects([list(map(readable, row.args[1:])) for row in rows]),
        "is_multi": columns.flag(row.is_multi for row in rows),
    }
    return columns.frame(data, index="seq", length=len(rows))
