"""The engine's tables: the methods of `Engine` that give DataFrames and take them.

pandas is imported with the first of them, by `trignb.notebook`, where the work is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pandas import DataFrame

    from trignb.api import Engine
    from trignb.engine.core import Core
    from trignb.notebook.plots import Plots
    from trignb.notebook.progress import Wanted
    from trignb.notebook.writing import Written

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

    @property
    def plot(self) -> Plots:
        """Plots in one line each: ``.events()``, ``.latency()`` and ``.graph()``.

        The first two give matplotlib's `Axes` and need the extra ``trignb[plots]``.
        """
        from trignb.notebook.plots import Plots

        return Plots(self._engine)

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

    # -- values

    def hash_frame(
        self,
        keys: str | bytes | Iterable[str | bytes] = "*",
        *,
        db: int = 0,
        raw: bool = False,
        numbers: bool = False,
        progress: Wanted = None,
    ) -> DataFrame:
        """Return one row per hash and one column per field; changes nothing, as `keys_frame`.

        Parameters
        ----------
        keys : str, bytes, or an iterable of them
            A pattern, of which keys of other types are left out, or the keys themselves.
        db : int
            Number of the database.
        raw : bool
            Keys, fields and values as bytes.
        numbers : bool
            Columns that hold nothing but numbers, each as trignb would write it, as int64,
            Int64 or float64.
        progress : callable or bool, optional
            As for `keys_frame`.

        Returns
        -------
        DataFrame
            Index ``key``; fields as str, missing (NaN) where a hash lacks one.

        Raises
        ------
        ResponseError
            WRONGTYPE when a key that was given is something else.
        """
        from trignb.notebook import reading

        return reading.hash_frame(
            self._engine, keys, db=db, raw=raw, numbers=numbers, progress=progress
        )

    def zset_frame(
        self, key: str | bytes, *, db: int = 0, raw: bool = False
    ) -> DataFrame:
        """Return the members of a sorted set by rank: ``member`` str, ``score`` float64.

        WRONGTYPE when the key is something else; no rows when there is none.
        """
        from trignb.notebook import reading

        return reading.zset_frame(self._engine, key, db=db, raw=raw)

    def stream_frame(
        self,
        key: str | bytes,
        start: str | bytes = "-",
        end: str | bytes = "+",
        count: int | None = None,
        *,
        db: int = 0,
        raw: bool = False,
    ) -> DataFrame:
        """Return the entries of a stream, selected as by XRANGE.

        Index ``id`` str; ``time`` datetime64[ms, UTC] of the id, then a str column per
        field, missing (NaN) where an entry lacks it. WRONGTYPE when the key is something
        else; no rows when there is none.
        """
        from trignb.notebook import reading

        return reading.stream_frame(
            self._engine, key, start, end, count, db=db, raw=raw
        )

    def hset_frame(
        self,
        frame: DataFrame,
        prefix: str | bytes = "",
        key: Any = None,
        *,
        db: int = 0,
        progress: Wanted = None,
    ) -> Written:
        """Write every row as a hash: ``HSET prefix+key column value …``.

        Each is a command of its own: events and triggers fire, other clients get in
        between, and an interrupt keeps the rows that were written.

        Parameters
        ----------
        frame : DataFrame
            Values are sent as ``{{…}}`` sends them. Missing ones are left out.
        prefix : str or bytes
            What every key begins with.
        key : label, optional
            The column with the rest of the key, which is no field then; else the index.
        db : int
            Number of the database.
        progress : callable or bool, optional
            As for `keys_frame`.

        Returns
        -------
        Written
            A tuple: ``rows`` and ``values`` written, fields ``added``, empty rows
            ``skipped``.

        Raises
        ------
        TypeError
            When a value has no one text (a bool, a date, a list); nothing is written then.
        ValueError
            When a row has no key; nothing is written then.
        ResponseError
            WRONGTYPE when a key is something else; nothing is written then.
        """
        from trignb.notebook import writing

        return writing.hset_frame(
            self._engine, frame, prefix, key, db=db, progress=progress
        )

    def zadd_frame(
        self,
        frame: DataFrame,
        key: str | bytes,
        *,
        member: Any = "member",
        score: Any = "score",
        db: int = 0,
        progress: Wanted = None,
    ) -> Written:
        """Write every row as a member of one sorted set, 500 a ZADD.

        ``member`` and ``score`` name the columns; rows without a score are skipped. Errors
        are those of `hset_frame`.
        """
        from trignb.notebook import writing

        return writing.zadd_frame(
            self._engine,
            frame,
            key,
            member=member,
            score=score,
            db=db,
            progress=progress,
        )

    def xadd_frame(
        self,
        frame: DataFrame,
        key: str | bytes,
        id: Any = None,
        *,
        db: int = 0,
        progress: Wanted = None,
    ) -> Written:
        """Write every row as an entry of one stream: ``XADD key id column value …``.

        ``id`` names the column with the ids; an index that is called ``id`` needs no
        naming, and ``*`` has them made. Errors are those of `hset_frame`, and Redis's for
        ids that do not grow; nothing is written then.
        """
        from trignb.notebook import writing

        return writing.xadd_frame(
            self._engine, frame, key, id, db=db, progress=progress
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

    def replication_log(self, size: int | None = None) -> DataFrame:
        """Return the commands propagated so far, oldest first; noting starts with this call.

        These are what replicas and append-only files get: the effects of each unit, in
        ``MULTI`` and ``EXEC`` where there are several. ``size`` changes how many are kept
        (10,000; 0 keeps none).
        """
        from trignb.notebook import replication_frame

        self._engine.propagation_log.start(size)
        return replication_frame.replication_log(self._engine)

    def errors(self) -> DataFrame:
        """Return every failure of a library, with its position there; oldest first."""
        from trignb.notebook import reports

        return reports.errors(self._engine)

    def logs(self, library: str | None = None) -> DataFrame:
        """Return what libraries wrote with ``redis.log``, all or one; oldest first."""
        from trignb.notebook import reports

        return reports.logs(self._engine, library)
