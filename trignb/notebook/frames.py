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

from trignb.engine.events import CLASS_LETTERS
from trignb.engine.logs import NotificationRecord
from trignb.errors import ResponseError
from trignb.notebook import columns
from trignb.notebook.text import readable
from trignb.reply import NullArray, Status

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.engine.logs import CommandRecord

__all__ = [
    "commands",
    "commands_frame",
    "fired_frame",
    "notifications",
    "notifications_frame",
]

EVENT_CLASSES: Final = tuple("g$lshzxetdmn")
ORIGINS: Final = ("client", "trigger", "function", "expire", "evict", "script")
OUTCOMES: Final = ("none", "ok", "failed", "pending")
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

_FIELDS: Final = len(NotificationRecord._fields)
_CLASS_CODES: Final = {
    bit: EVENT_CLASSES.index(letter)
    for bit, letter in CLASS_LETTERS.items()
    if letter in EVENT_CLASSES
}
_ORIGIN_CODES: Final = {name: code for code, name in enumerate(ORIGINS)}


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
    # Not zip(*records), which makes an iterator per record first.
    fields = [[record[at] for record in records] for at in range(_FIELDS)]
    seq, time_ns, db, kind, event, key, key_type = fields[:7]
    origin, _args, command_seq, cause_seq, depth, fired = fields[7:]
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
        "elapsed_ms": columns.milliseconds(r.elapsed_ns / 1e6 for r in records),
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
