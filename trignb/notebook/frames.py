"""What happened, as DataFrames with fixed columns and dtypes.

Each function takes the engine and reads its logs or its libraries. Text is ``str`` (missing:
NaN), counts are ``int64``, counts that may be missing ``Int64``, times ``datetime64[ms, UTC]``
of the engine's clock, durations ``float64`` in milliseconds. An empty frame has the same
columns and dtypes as a full one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from trignb.datatypes.stream import Stream, format_id
from trignb.engine.events import CLASS_LETTERS
from trignb.engine.logs import NotificationRecord
from trignb.errors import ResponseError
from trignb.notebook import columns
from trignb.notebook.text import readable
from trignb.reply import NullArray, Status

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.engine.logs import CommandRecord
    from trignb.functions.library import Library
    from trignb.functions.streams import StreamPosition, StreamTrigger
    from trignb.functions.triggers import KeyspaceTrigger

__all__ = [
    "commands",
    "commands_frame",
    "fired_frame",
    "functions",
    "kind_of",
    "libraries",
    "notifications",
    "notifications_frame",
    "stream_triggers",
    "triggers",
]

EVENT_CLASSES: Final = tuple("g$lshzxetdmn")
ORIGINS: Final = ("client", "trigger", "function", "expire", "evict", "script")
OUTCOMES: Final = ("none", "ok", "failed", "pending")
KINDS: Final = (
    "function",
    "async_function",
    "keyspace_trigger",
    "stream_trigger",
    "cluster_function",
)
REPLY_TYPES: Final = (
    "status",
    "string",
    "integer",
    "double",
    "boolean",
    "nil",
    "array",
    "map",
    "set",
    "error",
)

# The author is for the graph of triggers alone.
_FIELDS: Final = NotificationRecord._fields.index("author")
_CLASS_CODES: Final = {
    bit: EVENT_CLASSES.index(letter)
    for bit, letter in CLASS_LETTERS.items()
    if letter in EVENT_CLASSES
}
_ORIGIN_CODES: Final = {name: code for code, name in enumerate(ORIGINS)}


# -- libraries


def triggers(engine: Engine) -> pd.DataFrame:
    """Return one row per keyspace trigger.

    Returns
    -------
    DataFrame
        Index ``library``, ``trigger``. ``prefix`` and ``description`` str,
        ``num_triggered`` (the sum of the next four's first and ``running``),
        ``num_finished``, ``num_success``, ``num_failed`` and ``running`` int64,
        ``last_ms``, ``total_ms``, ``avg_ms`` and ``max_ms`` float64, ``last_error`` str,
        ``last_error_line`` Int64 (a line of the library), ``last_run``
        datetime64[ms, UTC].
    """
    with engine.core.lock:
        rows = [t for lib in _libraries(engine) for t in lib.triggers.values()]
        return _triggers_frame(rows)


def _triggers_frame(rows: Sequence[KeyspaceTrigger]) -> pd.DataFrame:
    data = {
        "library": columns.text(t.library for t in rows),
        "trigger": columns.text(t.name for t in rows),
        "prefix": columns.words([t.prefix for t in rows]),
        "description": columns.text(t.description for t in rows),
        "num_triggered": columns.count(t.num_triggered for t in rows),
        "num_finished": columns.count(t.num_finished for t in rows),
        "num_success": columns.count(t.num_success for t in rows),
        "num_failed": columns.count(t.num_failed for t in rows),
        "running": columns.count(t.running for t in rows),
        "last_ms": columns.durations(t.last_ns / 1e6 for t in rows),
        "total_ms": columns.durations(t.total_ns / 1e6 for t in rows),
        "avg_ms": columns.durations(
            _average_ms(t.total_ns, t.num_finished) for t in rows
        ),
        "max_ms": columns.durations(t.max_ns / 1e6 for t in rows),
        "last_error": columns.text(t.last_error for t in rows),
        "last_error_line": columns.nullable_count([t.last_error_line for t in rows]),
        "last_run": columns.times([t.last_run_ns for t in rows]),
    }
    return columns.frame(data, index=("library", "trigger"), length=len(rows))


def stream_triggers(engine: Engine) -> pd.DataFrame:
    """Return one row per stream trigger and stream it has read.

    A trigger that has read none yet has one row, without the name of a stream.

    Returns
    -------
    DataFrame
        Index ``library``, ``trigger``, ``stream``. ``prefix`` str, ``window`` int64 (records
        of one stream under way at once), ``trimmed`` bool, ``total_processed`` int64,
        ``last_processed_ms`` and ``avg_processed_ms`` float64, ``last_lag_ms`` and
        ``avg_lag_ms`` float64 (from the time in a record's id to the end of its run), ``id_to_read_from`` str
        (the newest id read), ``pending`` int64, ``pending_ids`` object (list of str, read and
        not finished), ``backlog`` int64 (entries not read yet, of all databases),
        ``last_error`` str.
    """
    with engine.core.lock:
        rows = [
            row
            for library in _libraries(engine)
            for trigger in library.stream_triggers.values()
            for row in _positions(engine, trigger)
        ]
        return _stream_triggers_frame(engine, rows)


def _positions(
    engine: Engine, trigger: StreamTrigger
) -> list[tuple[StreamTrigger, StreamPosition]]:
    from trignb.functions.streams import StreamPosition

    if not trigger.streams:
        return [(trigger, StreamPosition(b""))]
    return [(trigger, where) for where in trigger.streams.values()]


def _stream_triggers_frame(
    engine: Engine, rows: Sequence[tuple[StreamTrigger, StreamPosition]]
) -> pd.DataFrame:
    places = [where for _, where in rows]
    pending = [list(map(_id, where.pending)) for where in places]
    data = {
        "library": columns.text(t.library for t, _ in rows),
        "trigger": columns.text(t.name for t, _ in rows),
        "stream": columns.text(
            readable(where.name) if t.streams else None for t, where in rows
        ),
        "prefix": columns.words([t.prefix for t, _ in rows]),
        "window": columns.count(t.window for t, _ in rows),
        "trimmed": columns.flag(t.trimmed for t, _ in rows),
        "total_processed": columns.count(w.total_record_processed for w in places),
        "last_processed_ms": columns.durations(w.times.last_ns / 1e6 for w in places),
        "avg_processed_ms": columns.durations(
            _average_ms(w.times.total_ns, w.total_record_processed) for w in places
        ),
        "last_lag_ms": columns.durations(w.last_lag for w in places),
        "avg_lag_ms": columns.durations(
            w.total_lag / max(w.total_record_processed, 1) for w in places
        ),
        "id_to_read_from": columns.text(
            None if w.last_read is None else _id(w.last_read) for w in places
        ),
        "pending": columns.count(map(len, pending)),
        "pending_ids": columns.objects(pending),
        "backlog": columns.count(_backlog(engine, w) for w in places),
        "last_error": columns.text(_stream_error(t, w) for t, w in rows),
    }
    index = ("library", "trigger", "stream")
    return columns.frame(data, index=index, length=len(rows))


def _id(entry_id: int) -> str:
    return format_id(entry_id).decode()


def _backlog(engine: Engine, where: StreamPosition) -> int:
    """Count what is not read yet. A position is that of a name, whatever its database."""
    after = -1 if where.last_read is None else where.last_read
    found = (db.data.get(where.name) for db in engine.core.databases)
    return sum(s.count_after(after) for s in found if type(s) is Stream)


def _stream_error(trigger: StreamTrigger, where: StreamPosition) -> str | None:
    failure, verbosity = where.last_error, trigger.owner.registry.error_verbosity
    return None if failure is None else failure.text(verbosity)


def functions(engine: Engine) -> pd.DataFrame:
    """Return one row for everything that libraries registered.

    Returns
    -------
    DataFrame
        Index ``library``, ``name``. ``kind`` category (function, async_function,
        keyspace_trigger, stream_trigger, cluster_function), ``is_async`` bool, ``flags``
        str (joined by commas), ``prefix`` str, ``window`` Int64, ``description`` str,
        ``calls`` and ``failures`` int64, ``avg_ms`` float64, ``line`` Int64.
    """
    with engine.core.lock:
        rows = [item for lib in _libraries(engine) for item in lib.registrations()]
        data = {
            "library": columns.text(item.library for item in rows),
            "name": columns.text(item.name for item in rows),
            "kind": columns.category([KINDS.index(kind_of(i)) for i in rows], KINDS),
            "is_async": columns.flag(_is_async(item) for item in rows),
            "flags": columns.text(",".join(_of(item, "flags", ())) for item in rows),
            "prefix": columns.text(_prefix(item) for item in rows),
            "window": columns.nullable_count([_of(item, "window") for item in rows]),
            "description": columns.text(_of(item, "description") for item in rows),
            "calls": columns.count(_calls(item) for item in rows),
            "failures": columns.count(_failures(item) for item in rows),
            "avg_ms": columns.durations(
                _average_ms(_of(item, "total_ns", 0), _calls(item)) for item in rows
            ),
            "line": columns.nullable_count([item.line for item in rows]),
        }
    return columns.frame(data, index=("library", "name"), length=len(rows))


def libraries(engine: Engine) -> pd.DataFrame:
    """Return one row per library.

    Returns
    -------
    DataFrame
        Index ``name``. ``engine``, ``api_version`` and ``user`` str, ``functions``,
        ``cluster_functions``, ``keyspace_triggers``, ``stream_triggers`` and
        ``pending_jobs`` int64, ``configuration`` str, ``code_lines`` int64,
        ``code_sha1`` str, ``loaded_at`` datetime64[ms, UTC], ``loads`` int64.
    """
    with engine.core.lock:
        rows = _libraries(engine)
        data = {
            "name": columns.text(lib.name for lib in rows),
            "engine": columns.text(lib.engine for lib in rows),
            "api_version": columns.text(lib.api_version for lib in rows),
            "user": columns.text(lib.user for lib in rows),
            "functions": columns.count(len(lib.functions) for lib in rows),
            "cluster_functions": columns.count(
                len(lib.cluster_functions) for lib in rows
            ),
            "keyspace_triggers": columns.count(len(lib.triggers) for lib in rows),
            "stream_triggers": columns.count(len(lib.stream_triggers) for lib in rows),
            "pending_jobs": columns.count(lib.pending_jobs for lib in rows),
            "configuration": columns.text(lib.configuration for lib in rows),
            "code_lines": columns.count(len(lib.code.splitlines()) for lib in rows),
            "code_sha1": columns.text(lib.code_sha1 for lib in rows),
            "loaded_at": columns.times([lib.loaded_at for lib in rows]),
            "loads": columns.count(lib.loads for lib in rows),
        }
    return columns.frame(data, index="name", length=len(rows))


def _libraries(engine: Engine) -> list[Library]:
    return list(engine.library_registry.libraries.values())


def _average_ms(total_ns: int, runs: int) -> float:
    return total_ns / 1e6 / runs if runs else 0.0


# Registrations of the five kinds have few attributes in common.


def _of(item: Any, name: str, default: Any = None) -> Any:
    return getattr(item, name, default)


def kind_of(item: Any) -> str:
    """Return one of `KINDS` for something that a library registered."""
    kind = str(_of(item, "kind", "cluster_function"))
    return "async_function" if kind == "function" and item.is_async else kind


def _is_async(item: Any) -> bool:
    return bool(_of(item, "is_async", False))


def _prefix(item: Any) -> str | None:
    prefix = _of(item, "prefix")
    return None if prefix is None else readable(prefix)


def _calls(item: Any) -> int:
    return int(_of(item, "calls", _of(item, "num_triggered", 0)))


def _failures(item: Any) -> int:
    return int(_of(item, "failures", _of(item, "num_failed", 0)))


# -- keyspace events


def notifications(engine: Engine, *, raw: bool = False) -> pd.DataFrame:
    """Return the keyspace events in the engine's log, oldest first."""
    with engine.core.lock:
        records = list(engine.core.notifications.records)
    return notifications_frame(records, raw=raw)


def notifications_frame(
    records: Sequence[tuple[Any, ...]], *, raw: bool = False
) -> pd.DataFrame:
    """Return one row per keyspace event.

    Parameters
    ----------
    records : sequence of tuple
        What the engine's notification log holds, in the order of `NotificationRecord`.
    raw : bool
        Add `key_raw`, the key as bytes.

    Returns
    -------
    DataFrame
        Index ``seq`` (int64). ``time`` datetime64[ms, UTC], ``db`` int64, ``event`` str,
        ``event_class`` category (g $ l s h z x e t d m n), ``key`` and ``key_type`` str,
        ``origin`` category, ``command_seq`` Int64 (joins the command log), ``cause_seq``
        Int64 (the notification that led here), ``depth`` and ``num_triggers`` int64,
        ``triggers`` object (list of ``library.trigger``), ``outcome`` category (none, ok,
        failed, pending).
    """
    with columns.uncollected():
        return _notifications_frame(records, raw=raw)


def _notifications_frame(
    records: Sequence[tuple[Any, ...]], *, raw: bool
) -> pd.DataFrame:
    fields = columns.transposed(records, _FIELDS)
    seq, time_ns, db, kind, event, key, key_type = fields[:7]
    origin, _args, command_seq, cause_seq, depth, fired = fields[7:13]
    data = {
        "seq": columns.count(seq),
        "time": columns.times(time_ns),
        "db": columns.count(db),
        "event": columns.few_words(event),
        "event_class": columns.category([_CLASS_CODES[k] for k in kind], EVENT_CLASSES),
        "key": columns.words(key),
        "key_type": columns.text(key_type),
        "origin": columns.category([_ORIGIN_CODES[o] for o in origin], ORIGINS),
        "command_seq": columns.nullable_count(command_seq),
        "cause_seq": columns.nullable_count(cause_seq),
        "depth": columns.count(depth),
        "num_triggers": columns.count(map(len, fired)),
        # Most events fire nothing; the call is spared for them.
        "triggers": columns.objects([_names(runs) if runs else [] for runs in fired]),
        "outcome": columns.category(
            [_outcome(runs) if runs else 0 for runs in fired], OUTCOMES
        ),
    }
    if raw:
        data["key_raw"] = columns.objects(key)
    return columns.frame(data, index="seq", length=len(records))


def _names(runs: Iterable[Any]) -> list[str]:
    return [f"{run.library}.{run.trigger}" for run in runs]


def _outcome(runs: Iterable[Any]) -> int:
    """Return the code of the worst outcome; one still running is worse than none failed."""
    outcomes = {run.outcome for run in runs}
    for name in ("failed", "pending"):
        if name in outcomes:
            return OUTCOMES.index(name)
    return OUTCOMES.index("ok")


def fired_frame(records: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """Return one row per trigger run that these events led to.

    Returns
    -------
    DataFrame
        ``library``, ``trigger``, ``event`` and ``key`` str, ``outcome`` category.
    """
    named = map(NotificationRecord._make, records)
    runs = [(record, run) for record in named for run in record.fired]
    data = {
        "library": columns.text(run.library for _, run in runs),
        "trigger": columns.text(run.trigger for _, run in runs),
        "event": columns.words([record.event for record, _ in runs]),
        "key": columns.words([record.key for record, _ in runs]),
        "outcome": columns.category(
            [OUTCOMES.index(run.outcome) for _, run in runs], OUTCOMES
        ),
    }
    return pd.DataFrame(data, index=pd.RangeIndex(len(runs)))


# -- commands


def commands(engine: Engine) -> pd.DataFrame:
    """Return the commands in the engine's log, oldest first."""
    with engine.core.lock:
        records = list(engine.core.commands.records)
        first_keys = [_first_key(engine, record.args) for record in records]
    return commands_frame(records, first_keys)


def _first_key(engine: Engine, args: list[bytes]) -> bytes | None:
    command = engine.core.table.find(args[0])
    if command is not None and command.subcommands and len(args) > 1:
        command = command.subcommands.get(args[1].upper(), command)
    position = command.facts.first_key if command is not None else 0
    return args[position] if 0 < position < len(args) else None


def commands_frame(
    records: Sequence[CommandRecord], first_keys: Sequence[bytes | None]
) -> pd.DataFrame:
    """Return one row per command.

    Parameters
    ----------
    records : sequence of CommandRecord
        What the engine's command log holds.
    first_keys : sequence of bytes or None
        The first key of each.

    Returns
    -------
    DataFrame
        Index ``seq`` (int64). ``time`` datetime64[ms, UTC], ``db`` int64, ``client`` str,
        ``command`` str, ``args`` object (list of str, without the name), ``n_args`` int64,
        ``key`` str, ``reply_type`` category, ``error`` str, ``elapsed_ms`` float64,
        ``in_multi`` bool, ``from_library`` str, ``n_notifications`` int64.
    """
    data = {
        "seq": columns.count(r.seq for r in records),
        "time": columns.times([r.time_ns for r in records]),
        "db": columns.count(r.db for r in records),
        "client": columns.text([r.client for r in records]),
        "command": columns.words([r.args[0].upper() for r in records]),
        "args": columns.objects(
            [[readable(arg) for arg in r.args[1:]] for r in records]
        ),
        "n_args": columns.count(len(r.args) - 1 for r in records),
        "key": columns.text(
            None if key is None else readable(key) for key in first_keys
        ),
        "reply_type": columns.category(
            [REPLY_TYPES.index(_reply_type(r)) for r in records], REPLY_TYPES
        ),
        "error": columns.text([r.error for r in records]),
        "elapsed_ms": columns.durations(r.elapsed_ns / 1e6 for r in records),
        "in_multi": columns.flag(r.in_multi for r in records),
        "from_library": columns.text([r.from_library for r in records]),
        "n_notifications": columns.count(r.n_notifications for r in records),
    }
    return columns.frame(data, index="seq", length=len(records))


# Bools are ints and statuses are text: the narrower type stands first.
_TYPES: Final = (
    (bool, "boolean"),
    (Status, "status"),
    (int, "integer"),
    (float, "double"),
    (NullArray, "nil"),
    (dict, "map"),
    ((set, frozenset), "set"),
    ((list, tuple), "array"),
    (ResponseError, "error"),
)


def _reply_type(record: CommandRecord) -> str:
    if record.error is not None:
        return "error"
    if record.reply is None:
        return "nil"
    for kind, name in _TYPES:
        if isinstance(record.reply, kind):
            return name
    return "string"
