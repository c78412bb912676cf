"""The table that fits a reply: fields of a hash, members of a set, entries of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from trignb.notebook import columns
from trignb.notebook.text import ordered, readable, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from trignb.notebook.reply import Replies, Reply

__all__ = ["reply_frame", "transcript_frame"]

# Commands whose reply is pairs of member and score when they are asked for scores.
_SCORED: Final = frozenset(
    [
        "zrange",
        "zrevrange",
        "zrangebyscore",
        "zrevrangebyscore",
        "zunion",
        "zinter",
        "zdiff",
        "zrandmember",
    ]
)
_POPPED: Final = frozenset(("zpopmin", "zpopmax"))
_STREAMED: Final = frozenset(("xrange", "xrevrange"))
_LIBRARY_LISTS: Final = (
    "functions",
    "cluster_functions",
    "keyspace_triggers",
    "stream_triggers",
)


def reply_frame(reply: Reply) -> pd.DataFrame:
    """Return a reply as a table.

    Returns
    -------
    DataFrame
        A map: ``field``, ``value``. A set: ``member``. A sorted set with scores: ``member``,
        ``score``. Entries of a stream: index ``id``, ``time`` and a column per field.
        TFUNCTION LIST: a row per library. Anything else: ``value``. Bytes are shown as text
        where they are UTF-8.
    """
    # What the command says comes before what the value looks like.
    return _shape(reply)(reply.value)


def _shape(reply: Reply) -> Callable[[Any], pd.DataFrame]:
    words = [arg.decode("latin-1").lower() for arg in reply.args[:2]]
    name = words[0] if words else ""
    if reply.error is not None:
        return _values
    if words == ["tfunction", "list"]:
        return _libraries
    if name in _POPPED or (name in _SCORED and _asks_for_scores(reply)):
        return _scores
    if name in _STREAMED:
        return _entries
    if isinstance(reply.value, dict):
        return _map
    return _members if isinstance(reply.value, (set, frozenset)) else _values


def _asks_for_scores(reply: Reply) -> bool:
    return any(arg.lower() == b"withscores" for arg in reply.args)


def transcript_frame(replies: Replies) -> pd.DataFrame:
    """Return one row per command: ``command`` and ``reply``, both str."""
    return pd.DataFrame(
        {
            "command": columns.text(reply.cli() for reply in replies),
            "reply": columns.text(reply.text for reply in replies),
        }
    )


def _cells(values: Sequence[Any]) -> Any:
    """Return a column: text when all is text, else numbers, else objects."""
    plain = [_cell(value) for value in values]
    if all(value is None or isinstance(value, str) for value in plain):
        return columns.text(plain)
    if all(type(value) is int for value in plain):
        return columns.count(plain)
    if all(type(value) is float for value in plain):
        return columns.durations(plain)
    return columns.objects(plain)


def _cell(value: Any) -> Any:
    """Return what stands in one cell of a table."""
    if isinstance(value, (bytes, bytearray)):
        return readable(bytes(value))
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    return show(value, "json")


def _values(value: Any) -> pd.DataFrame:
    rows = list(value) if isinstance(value, (list, tuple)) else [value]
    return pd.DataFrame({"value": _cells(rows)})


def _map(value: Mapping[Any, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {"field": _cells(list(value)), "value": _cells(list(value.values()))}
    )


def _members(value: Any) -> pd.DataFrame:
    return pd.DataFrame({"member": _cells(ordered(value))})


def _scores(value: Sequence[Any]) -> pd.DataFrame:
    """Pairs are nested in RESP3 and flat in RESP2."""
    nested = bool(value) and isinstance(value[0], (list, tuple))
    pairs = value if nested else list(zip(value[::2], value[1::2], strict=True))
    return pd.DataFrame(
        {
            "member": columns.text(readable(bytes(member)) for member, _ in pairs),
            "score": columns.durations(float(score) for _, score in pairs),
        }
    )


def _entries(value: Sequence[Any]) -> pd.DataFrame:
    ids = [readable(bytes(entry_id)) for entry_id, _ in value]
    rows = [_fields(fields) for _, fields in value]
    names = list(dict.fromkeys(name for row in rows for name in row))
    times = columns.unix_ms([int(entry_id.partition("-")[0]) for entry_id in ids])
    # A field may have any name, "id" and "time" included.
    data: dict[str, Any] = {"time": times}
    for name in names:
        data[name] = columns.text([row.get(name) for row in rows])
    return pd.DataFrame(data, index=pd.Index(columns.text(ids), name="id"))


def _fields(flat: Sequence[bytes] | None) -> dict[str, str]:
    parts = [readable(bytes(part)) for part in flat or ()]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _libraries(value: Sequence[Any]) -> pd.DataFrame:
    rows = [{readable(bytes(k)): v for k, v in _pairs(entry)} for entry in value]
    data: dict[str, Any] = {
        name: columns.text(readable(bytes(row[name])) for row in rows)
        for name in ("name", "engine", "api_version", "user")
    }
    for name in _LIBRARY_LISTS:
        data[name] = columns.count(len(row.get(name, ())) for row in rows)
    data["pending_jobs"] = columns.count(row["pending_jobs"] for row in rows)
    return columns.frame(data, index="name", length=len(rows))


def _pairs(entry: Any) -> Any:
    if isinstance(entry, Mapping):
        return entry.items()
    return zip(entry[::2], entry[1::2], strict=True)
