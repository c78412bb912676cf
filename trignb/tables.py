"""The engine's tables: the methods of `Engine` that give DataFrames.

pandas is imported with the first of them, by `trignb.notebook`, where the work is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pandas import DataFrame

    from trignb.api import Engine
    from trignb.engine.core import Core
    from trignb.notebook.progress import Wanted

__all__ = ["Tables"]


class Tables:
    """What happened and what there is, as DataFrames; schemas in ``docs/notebook.md``."""

    core: Core

    @property
    def _engine(self) -> Engine:
        return cast("Engine", self)

    # -- libraries

    def triggers(self) -> DataFrame:
        """Return one row per keyspace trigger: its counters, times and last error."""
        from trignb.notebook import frames

        return frames.triggers(self._engine)

    def stream_triggers(self) -> DataFrame:
        """Return one row per stream trigger and stream: how far it has read, its times."""
        from trignb.notebook import frames

        return frames.stream_triggers(self._engine)

    def latencies(self) -> DataFrame:
        """Return how long triggers and functions take: quantiles in µs, errors by kind."""
        from trignb.notebook import reports

        return reports.latencies(self._engine)

    def functions(self) -> DataFrame:
        """Return one row per registered function and trigger."""
        from trignb.notebook import frames

        return frames.functions(self._engine)

    def libraries(self) -> DataFrame:
        """Return one row per library."""
        from trignb.notebook import frames

        return frames.libraries(self._engine)

    # -- keys

    def keys_frame(
        self,
        pattern: str | bytes = "*",
        *,
        type: str | None = None,
        db: int = 0,
        memory: bool = True,
        raw: bool = False,
        progress: Wanted = None,
    ) -> DataFrame:
        """Return one row per key: type, encoding, time to live, size and memory.

        Looking changes nothing: no access time, no event, nothing expires. Other clients
        get in between some hundred keys and the next.

        Parameters
        ----------
        pattern : str or bytes
            As KEYS takes it.
        type : str, optional
            Only ``string``, ``list``, ``set``, ``zset``, ``hash`` or ``stream``.
        db : int
            Number of the database.
        memory : bool
            Whether to estimate each key's memory, which takes half of the time.
        raw : bool
            Add ``key_raw``, the key as bytes.
        progress : callable or bool, optional
            Called with keys done and keys there are; False shows no bar in a notebook.

        Returns
        -------
        DataFrame
            Index ``key``; ``type`` and ``encoding`` category, ``ttl_ms`` Int64, ``size``
            int64 (elements; bytes of a string), ``memory`` int64 (bytes), ``db`` int64.

        Raises
        ------
        ValueError
            When there is no such type.
        ResponseError
            When there is no such database.
        """
        from trignb.notebook import keyspace

        return keyspace.keys_frame(
            self._engine,
            pattern,
            type=type,
            db=db,
            memory=memory,
            raw=raw,
            progress=progress,
        )

    # -- what happened

    def notifications(self, *, raw: bool = False) -> DataFrame:
        """Return the keyspace events noted so far, oldest first.

        The log starts with the first library, or with this call: it costs a quarter of a
        microsecond per event. ``raw`` adds the keys as bytes.
        """
        from trignb.notebook import frames

        self.core.record_notifications()
        return frames.notifications(self._engine, raw=raw)

    def commands(self) -> DataFrame:
        """Return the commands noted so far, oldest first; noting starts with this call."""
        from trignb.notebook import frames

        self.core.record_commands()
        return frames.commands(self._engine)

    def errors(self) -> DataFrame:
        """Return every failure of a library, with its position there; oldest first."""
        from trignb.notebook import reports

        return reports.errors(self._engine)

    def logs(self, library: str | None = None) -> DataFrame:
        """Return what libraries wrote with ``redis.log``, all or one; oldest first."""
        from trignb.notebook import reports

        return reports.logs(self._engine, library)
