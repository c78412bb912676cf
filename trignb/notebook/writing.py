"""DataFrames into keys: hashes, a sorted set, a stream.

What is written are plain HSETs, ZADDs and XADDs by a client of its own: events and triggers fire as for
any other, and other clients get in between. Everything is turned into bytes before the first of them is
sent, so a value that has no one text leaves the engine as it was.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from trignb.datatypes import Hash
from trignb.datatypes.stream import MAX_ID, Stream
from trignb.engine.args import wrong_type
from trignb.engine.commands.streams import to_id
from trignb.errors import ResponseError
from trignb.notebook.expand import encode_value
from trignb.notebook.keyspace import (
    BATCH,
    in_batches,
    let_others_in,
    of_number,
    values_of,
)
from trignb.notebook.progress import watching
from trignb.notebook.reading import as_key
from trignb.reply import format_double

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.engine.session import Session
    from trignb.notebook.progress import Step, Wanted

__all__ = ["Written", "hset_frame", "xadd_frame", "zadd_frame"]

Column = Sequence[bytes | None]


class Written(NamedTuple):
    """What became of a frame.

    Attributes
    ----------
    rows : int
        Rows that were written.
    values : int
        Values in them: fields of hashes and entries, members of a sorted set.
    added : int
        Of those, what was not there before: fields, members; of a stream the entries.
    skipped : int
        Rows in which everything was missing.
    """

    rows: int = 0
    values: int = 0
    added: int = 0
    skipped: int = 0


# -- hashes


def hset_frame(
    engine: Engine,
    frame: pd.DataFrame,
    prefix: str | bytes = "",
    key: Any = None,
    *,
    db: int = 0,
    progress: Wanted = None,
) -> Written:
    """Write every row as a hash: ``HSET prefix+key column value …``.

    Parameters
    ----------
    engine : Engine
        The engine.
    frame : DataFrame
        Values are sent as ``{{…}}`` sends them; missing ones (NaN, None, NaT) are left out, and rows
        that have nothing else are skipped.
    prefix : str or bytes
        What every key begins with.
    key : label, optional
        The column that holds the rest of the key and is not written as a field. The
        index without it.
    db : int
        Number of the database.
    progress : callable or bool, optional
        See `trignb.notebook.progress.watching`.

    Returns
    -------
    Written
        ``rows`` hashes, ``values`` fields in them, ``added`` new ones, ``skipped`` rows.

    Raises
    ------
    TypeError
        When a value has no one text; the message says what to write instead. Nothing is
        written then.
    ValueError
        When a row has no key, or there is no such column. Nothing is written then.
    ResponseError
        WRONGTYPE when a key is something else, before anything is written; other errors
        as HSET gives them, with a note of how many rows were written before.
    """
    database = _target(engine, frame, db)
    with watching("rows", progress) as step:
        keys = _keys(frame, as_key(prefix), key)
        table = _Table(frame, [] if key is None else [_position(frame, key)])
        _refuse_others(engine.core, database, keys, Hash)
        rows = zip(keys, table.rows(), strict=True)
        commands = ([b"HSET", k, *fields] if fields else None for k, fields in rows)
        return _send(engine, database, commands, len(keys), step)


def _target(engine: Engine, frame: pd.DataFrame, db: int) -> Database:
    """Return the database to write to, if there is something to write."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"a DataFrame is needed, not a {type(frame).__name__}")
    return of_number(engine.core, db)


def _keys(frame: pd.DataFrame, prefix: bytes, column: Any) -> list[bytes]:
    if column is None:
        if frame.index.nlevels > 1:
            raise ValueError("the index has several levels: name the column of keys")
        found = _encoded(frame.index.to_series(), "the index")
    else:
        found = _encoded(frame.iloc[:, _position(frame, column)], repr(column))
    return [prefix + key for key in _complete(found, "key")]


def _complete(column: Column, what: str) -> list[bytes]:
    """Return a column in which nothing may be missing."""
    if None in column:
        raise ValueError(f"row {column.index(None)} has no {what}")
    return [value for value in column if value is not None]


def _position(frame: pd.DataFrame, label: Any) -> int:
    """Return where a column stands."""
    places = [i for i, name in enumerate(frame.columns) if name == label]
    if len(places) != 1:
        count = "no" if not places else str(len(places))
        raise ValueError(f"there are {count} columns {label!r}")
    return places[0]


def _refuse_others(core: Core, db: Database, keys: Sequence[bytes], kind: type) -> None:
    """Raise WRONGTYPE if one of the keys is something else."""

    def look(some: Sequence[bytes]) -> None:
        if any(type(value) is not kind for _, value in values_of(db, some)):
            raise wrong_type()

    in_batches(core, keys, look, lambda _done, _total: None)


# -- sorted sets


def zadd_frame(
    engine: Engine,
    frame: pd.DataFrame,
    key: str | bytes,
    *,
    member: Any = "member",
    score: Any = "score",
    db: int = 0,
    progress: Wanted = None,
) -> Written:
    """Write every row as a member of one sorted set, 500 a ZADD.

    Parameters are those of `hset_frame`, but that ``member`` and ``score`` name the columns. Rows
    without a score are skipped.

    Raises
    ------
    TypeError, ValueError
        When a member has no one text or is missing, a score is no number. Nothing is
        written then.
    ResponseError
        WRONGTYPE when the key is something else.
    """
    database = _target(engine, frame, db)
    with watching("rows", progress) as step:
        return _zadd(engine, frame, as_key(key), member, score, database, step)


def _zadd(
    engine: Engine,
    frame: pd.DataFrame,
    key: bytes,
    member: Any,
    score: Any,
    db: Database,
    step: Step,
) -> Written:
    place = _position(frame, member)
    members = _complete(_encoded(frame.iloc[:, place], repr(member)), "member")
    scores = frame.iloc[:, _position(frame, score)].astype("float64").tolist()
    words = [
        [format_double(value), name]
        for value, name in zip(scores, members, strict=True)
        if value == value
    ]
    start = [b"ZADD", key]
    batches = (words[at : at + BATCH] for at in range(0, len(words), BATCH))
    commands = (
        [*start, *(word for pair in batch for word in pair)] for batch in batches
    )
    sent = _send(engine, db, commands, len(words), step, rows_each=BATCH)
    return sent._replace(
        rows=len(words), values=len(words), skipped=len(members) - len(words)
    )


# -- streams


def xadd_frame(
    engine: Engine,
    frame: pd.DataFrame,
    key: str | bytes,
    id: Any = None,
    *,
    db: int = 0,
    progress: Wanted = None,
) -> Written:
    """Write every row as an entry of one stream: ``XADD key id column value …``.

    Parameters are those of `hset_frame`, but for the id.

    Parameters
    ----------
    id : label, optional
        The column that holds the ids; ``*`` has the engine make them. Without it the
        index holds them if it is called ``id``, as that of `stream_frame` is, and a column
        ``time`` of times is left out.

    Raises
    ------
    TypeError, ValueError
        As for `hset_frame`.
    ResponseError
        WRONGTYPE when the key is something else; Redis's texts for ids that are none,
        or do not grow. Nothing is written then.
    """
    database, name = _target(engine, frame, db), as_key(key)
    with watching("rows", progress) as step:
        ids, hidden = _ids(frame, id)
        rows = list(zip(ids, _Table(frame, hidden).rows(), strict=True))
        _refuse_others(engine.core, database, [name], Stream)
        _check_ids([entry_id for entry_id, fields in rows if fields], database, name)
        commands = (
            [b"XADD", name, i, *fields] if fields else None for i, fields in rows
        )
        return _send(engine, database, commands, len(rows), step)


def _ids(frame: pd.DataFrame, label: Any) -> tuple[list[bytes], list[int]]:
    """Return the ids and the columns that are no fields."""
    if label is None and frame.index.name == "id":
        ids = _complete(_encoded(frame.index.to_series(), "the index"), "id")
        return ids, [
            place
            for place, (name, dtype) in enumerate(frame.dtypes.items())
            if name == "time" and isinstance(dtype, pd.DatetimeTZDtype)
        ]
    if label is None or label == "*":
        return [b"*"] * len(frame), []
    place = _position(frame, label)
    return _complete(_encoded(frame.iloc[:, place], repr(label)), "id"), [place]


def _check_ids(ids: Sequence[bytes], db: Database, key: bytes) -> None:
    """Raise what XADD would, before the first entry."""
    value = db.peek(key)
    last = 0 if value is None else value.last_id
    for text in ids:
        if text.endswith(b"*"):
            continue
        entry_id = to_id(text)
        if last >= MAX_ID or entry_id <= last:
            raise ResponseError(
                "ERR The ID specified in XADD is equal or smaller than the target "
                "stream top item"
            )
        last = entry_id


# -- values


class _Table:
    """The fields of every row as bytes, None where a value is missing."""

    def __init__(self, frame: pd.DataFrame, hidden: Sequence[int]) -> None:
        self.length = len(frame)
        self.names: list[bytes] = []
        self.columns: list[Column] = []
        for place, label in enumerate(frame.columns):
            if place not in hidden:
                self.names.append(_name(label))
                self.columns.append(_encoded(frame.iloc[:, place], repr(label)))

    def rows(self) -> Iterator[list[bytes]]:
        """Go through the rows, each as fields and values in turn."""
        if not self.columns:
            yield from ([] for _ in range(self.length))
        for values in zip(*self.columns, strict=True):
            row: list[bytes] = []
            for name, value in zip(self.names, values, strict=True):
                if value is not None:
                    row += (name, value)
            yield row


def _name(label: Any) -> bytes:
    try:
        return encode_value(label)
    except TypeError as error:
        reason = str(error).partition(":")[0]
        raise TypeError(f"the name of column {label!r}: {reason}") from None


def _encoded(column: pd.Series[Any], name: str) -> Column:
    """Return a column's values as they are sent, None for what is missing."""
    dtype = column.dtype
    if dtype == "bool":
        raise _refused(True, name, 0)
    if isinstance(dtype, np.dtype) and dtype.kind in "iu":
        return [b"%d" % value for value in column.tolist()]
    if dtype == "float64":
        doubles = column.tolist()
        return [None if x != x else format_double(x) for x in doubles]
    # Going through a Series would widen its smaller floats, and show digits nobody wrote.
    values = column.to_numpy() if dtype in ("float32", "float16") else column
    return _encoded_one_by_one(values, column.isna().tolist(), name)


def _encoded_one_by_one(
    values: Iterable[Any], missing: Iterable[bool], name: str
) -> Column:
    encoded: list[bytes | None] = []
    for value, is_missing in zip(values, missing, strict=True):
        if is_missing:
            encoded.append(None)
        elif type(value) is str:
            encoded.append(value.encode("utf-8", "surrogateescape"))
        else:
            try:
                encoded.append(encode_value(value))
            except TypeError:
                raise _refused(value, name, len(encoded)) from None
    return encoded


def _refused(value: Any, name: str, row: int) -> TypeError:
    """Return the error for a value that has no one text."""
    # numpy 1 calls its bool `bool_`.
    kind = type(value).__name__.removesuffix("_")
    return TypeError(
        f"{name}, row {row}: a {kind} has no one text; write {_instead(value)}"
    )


def _instead(value: Any) -> str:
    """Return what to do with the column."""
    if type(value).__name__ in ("bool", "bool_"):
        return "column.astype(int) or column.astype(str)"
    if isinstance(value, dt.timedelta):
        return "column.dt.total_seconds()"
    if isinstance(value, (dt.date, dt.time)):
        return "column.map(lambda x: x.isoformat())"
    if isinstance(value, (Mapping, list, tuple)):
        return "column.map(json.dumps)"
    return "column.astype(str)"


# -- sending


_PROGRESS_ROWS: Final = 100


def _send(
    engine: Engine,
    db: Database,
    commands: Iterable[list[bytes] | None],
    total: int,
    step: Step,
    rows_each: int = 1,
) -> Written:
    """Run commands one after the other, None for a row that has none."""
    rows = values = added = skipped = done = 0
    with _client(engine, db) as session:
        try:
            for command in commands:
                if command is None:
                    skipped += 1
                else:
                    reply = session.execute(*command)
                    rows += 1
                    values += (len(command) - 2) // 2
                    added += reply if type(reply) is int else 1
                done = min(done + rows_each, total)
                if done % _PROGRESS_ROWS == 0 or done == total:
                    step(done, total)
                    if done % BATCH == 0:
                        let_others_in(engine.core)
        except BaseException as error:
            error.add_note(f"{done:,} of {total:,} rows were written")
            raise
    return Written(rows, values, added, skipped)


@contextmanager
def _client(engine: Engine, db: Database) -> Iterator[Session]:
    """Give a client with the rights of the calling thread's."""
    own, session = engine._own_session(), engine.session()
    session.user, session.authenticated = own.user, own.authenticated
    session.db = db
    session.rearm()
    try:
        yield session
    finally:
        session.close()
