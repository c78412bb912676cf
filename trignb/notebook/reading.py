"""Values of keys as DataFrames: hashes, a sorted set, a stream.

Reading this way is not a command, see `trignb.notebook.keyspace`. What is not UTF-8 is shown with
redis-cli's escapes, which cannot be told from the same text typed out; ``raw`` gives bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from trignb.datatypes import Hash, SortedSet, Stream
from trignb.datatypes.listpack import is_int64
from trignb.engine.args import wrong_type
from trignb.engine.commands.streams import to_end, to_start
from trignb.notebook import columns
from trignb.notebook.expand import encode_value
from trignb.notebook.keyspace import in_batches, matching_keys, of_number, values_of
from trignb.notebook.progress import watching
from trignb.notebook.text import readable
from trignb.reply import format_double

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.notebook.progress import Wanted

__all__ = ["as_key", "hash_frame", "stream_frame", "zset_frame"]

_HASHES: Final[frozenset[type] | None] = frozenset([Hash])


def as_key(key: str | bytes) -> bytes:
    """Return a key as the engine has it; a number is its text, as in a command."""
    return encode_value(key)


# -- hashes


def hash_frame(
    engine: Engine,
    keys: str | bytes | Iterable[str | bytes] = "*",
    *,
    db: int = 0,
    raw: bool = False,
    numbers: bool = False,
    progress: Wanted = None,
) -> pd.DataFrame:
    """Return one row per hash and one column per field.

    Parameters
    ----------
    engine : Engine
        The engine.
    keys : str, bytes, or an iterable of them
        A pattern as KEYS takes it, of which keys of other types are left out; or the keys
        themselves, of which those that do not exist are left out.
    db : int
        Number of the database.
    raw : bool
        Keys, fields and values as bytes.
    numbers : bool
        Give columns in which everything is written as trignb writes integers (or
        floats) as int64, Int64 or float64: writing them again gives the same texts.
    progress : callable or bool, optional
        See `trignb.notebook.progress.watching`.

    Returns
    -------
    DataFrame
        Index ``key`` str. Columns in the order in which the fields were met, str; a
        field that a hash lacks is missing (NaN).

    Raises
    ------
    ResponseError
        WRONGTYPE when a key that was given is something else.
    """
    database = of_number(engine.core, db)
    if isinstance(keys, (str, bytes)):
        names, kinds = matching_keys(engine.core, database, keys), _HASHES
    else:
        names, kinds = [as_key(key) for key in keys], None
    found: list[tuple[bytes, dict[bytes, bytes]]] = []

    def look(some: Sequence[bytes]) -> None:
        for key, value in values_of(database, some, kinds):
            if type(value) is not Hash:
                raise wrong_type()
            found.append((key, dict(value)))

    with watching("keys", progress) as step, columns.uncollected():
        in_batches(engine.core, names, look, step)
    return _hashes(found, raw=raw, numbers=numbers)


def _hashes(
    found: Sequence[tuple[bytes, dict[bytes, bytes]]], *, raw: bool, numbers: bool
) -> pd.DataFrame:
    fields = _by_field([fields for _, fields in found])
    data = [_column(column, raw, numbers) for column in fields.values()]
    return _frame(data, list(fields), "key", [key for key, _ in found], raw)


def _by_field(rows: Sequence[dict[bytes, bytes]]) -> dict[bytes, list[bytes | None]]:
    """Turn rows into columns, fields in the order in which they are met."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _frame(
    data: Sequence[Any],
    labels: Sequence[bytes],
    index: str,
    names: Sequence[bytes],
    raw: bool,
) -> pd.DataFrame:
    """Put columns together. Two labels may be the same text, so they are set last."""
    shown: Sequence[Any] = labels if raw else list(map(readable, labels))
    keys = columns.objects(names) if raw else columns.words(names)
    frame = pd.DataFrame(dict(enumerate(data)), index=pd.Index(keys, name=index))
    frame.columns = pd.Index(shown, dtype=object if raw else columns.TEXT)
    return frame


def _column(values: Sequence[bytes | None], raw: bool, numbers: bool) -> Any:
    if raw:
        return columns.objects(values)
    found = _numbers(values) if numbers else None
    return columns.words_or_missing(values) if found is None else found


def _numbers(values: Sequence[bytes | None]) -> Any:
    """Return a column of numbers; None when something in it is no number's own text."""
    texts = [value for value in values if value is not None]
    if all(map(is_int64, texts)):
        if len(texts) == len(values):
            return columns.count(map(int, texts))
        return pd.array([None if v is None else int(v) for v in values], dtype="Int64")
    if all(map(_is_double, texts)):
        nan = float("nan")
        return columns.durations(nan if v is None else float(v) for v in values)
    return None


def _is_double(text: bytes) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return value == value and format_double(value) == text


# -- sorted sets and streams


def zset_frame(
    engine: Engine, key: str | bytes, *, db: int = 0, raw: bool = False
) -> pd.DataFrame:
    """Return the members of a sorted set by rank; no rows when there is none.

    Returns
    -------
    DataFrame
        ``member`` str (bytes with `raw`), ``score`` float64.

    Raises
    ------
    ResponseError
        WRONGTYPE when the key is something else.
    """
    database = of_number(engine.core, db)
    with engine.core.lock:
        found = values_of(database, [as_key(key)])
        value = _only(found, SortedSet)
        pairs = [] if value is None else list(value.entries)
    members = [member for _, member in pairs]
    return pd.DataFrame(
        {
            "member": columns.objects(members) if raw else columns.words(members),
            "score": columns.durations(score for score, _ in pairs),
        }
    )


def stream_frame(
    engine: Engine,
    key: str | bytes,
    start: str | bytes = "-",
    end: str | bytes = "+",
    count: int | None = None,
    *,
    db: int = 0,
    raw: bool = False,
) -> pd.DataFrame:
    """Return the entries of a stream, as XRANGE selects them; no rows when there is none.

    Parameters
    ----------
    engine : Engine
        The engine.
    key : str or bytes
        The stream.
    start, end : str or bytes
        Ids, ``-`` and ``+``; ``(`` before an id leaves it out.
    count : int, optional
        At most so many entries.
    db : int
        Number of the database.
    raw : bool
        Fields and values as bytes.

    Returns
    -------
    DataFrame
        Index ``id`` str. ``time`` datetime64[ms, UTC] (of the id; NaT after the year 9999),
        then one str column per field, in the order in which they were met; missing (NaN) where an
        entry lacks the field. Of a field that an entry has twice the last value is
        given, and a field called ``time`` takes that column's place.

    Raises
    ------
    ResponseError
        WRONGTYPE when the key is something else; Redis's text for an id that is none.
    """
    low, high = to_start(as_key(start)), to_end(as_key(end))
    if count is not None and count < 0:
        raise ValueError(f"count is {count}; it counts entries")
    database = of_number(engine.core, db)
    with engine.core.lock:
        value = _only(values_of(database, [as_key(key)]), Stream)
        nothing = value is None or count == 0 or high < low
        found = [] if nothing else value.range(low, high, count or 0)
    return _entries(found, raw=raw)


def _only(found: Sequence[tuple[bytes, Any]], kind: type) -> Any:
    """Return the one value that was looked for, None when it was not there."""
    if found and type(found[0][1]) is not kind:
        raise wrong_type()
    return found[0][1] if found else None


def _entries(
    found: Sequence[tuple[int, tuple[bytes, ...]]], *, raw: bool
) -> pd.DataFrame:
    fields = _by_field([dict(zip(i[::2], i[1::2], strict=True)) for _, i in found])
    labels = list(fields)
    data = [_column(column, raw, False) for column in fields.values()]
    ids = [b"%d-%d" % (entry_id >> 64, entry_id & _SEQUENCE) for entry_id, _ in found]
    frame = _frame(data, labels, "id", ids, raw)
    if raw:
        frame.index = pd.Index(columns.words(ids), name="id")
    if "time" not in frame.columns:
        times = columns.unix_ms([entry_id >> 64 for entry_id, _ in found])
        frame.insert(0, "time", times)
    return frame


_SEQUENCE: Final = (1 << 64) - 1
