"""The keys there are, as a DataFrame, and how to look at very many of them.

Looking is not a command: it counts no hits, moves no access time, fires no event, and a key whose
time has come is only not seen. The engine is held for some hundred keys at a time, so that other clients
get in between; a look at very many keys is therefore not of one moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trignb.datatypes import TYPE_NAMES
from trignb.engine.commands.keys import encoding_of
from trignb.engine.sizes import estimate_key
from trignb.errors import ResponseError
from trignb.glob import matcher
from trignb.notebook import columns
from trignb.notebook.progress import watching

if TYPE_CHECKING:
    import pandas as pd

    from trignb.api import Engine
    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.notebook.progress import Wanted

__all__ = [
    "BATCH",
    "TYPES",
    "in_batches",
    "keys_frame",
    "let_others_in",
    "matching_keys",
    "of_number",
    "values_of",
]

T = TypeVar("T")

TYPES: Final = ("string", "list", "set", "zset", "hash", "stream")
ENCODINGS: Final = (
    *("raw", "int", "embstr", "listpack", "quicklist", "intset", "hashtable"),
    *("skiplist", "stream"),
)

_TYPE_CODES: Final = {kind: TYPES.index(name) for kind, name in TYPE_NAMES.items()}
_ENCODING_CODES: Final = {name: code for code, name in enumerate(ENCODINGS)}

# Keys that are looked at under the engine's lock: a millisecond.
BATCH: Final = 500
# Long enough for a thread that waits for the lock to wake up.
_PAUSE_S: Final = 2e-5


def keys_frame(
    engine: Engine,
    pattern: str | bytes = "*",
    *,
    type: str | None = None,
    db: int = 0,
    memory: bool = True,
    raw: bool = False,
    progress: Wanted = None,
) -> pd.DataFrame:
    """Return one row per key.

    Parameters
    ----------
    engine : Engine
        The engine.
    pattern : str or bytes
        As KEYS takes it.
    type : str, optional
        Only keys of this type, as TYPE names it.
    db : int
        Number of the database.
    memory : bool
        Whether to estimate each key's memory, which takes half of the time.
    raw : bool
        Add ``key_raw``, the key as bytes.
    progress : callable or bool, optional
        See `trignb.notebook.progress.watching`.

    Returns
    -------
    DataFrame
        Index ``key`` (str). ``type`` category, ``encoding`` category (as OBJECT ENCODING
        names it), ``ttl_ms`` Int64 (milliseconds to live; missing without a deadline),
        ``size`` int64 (elements; bytes of a string), ``memory`` int64 (estimated bytes, as
        MEMORY USAGE), ``db`` int64.

    Raises
    ------
    ValueError
        When there is no such type.
    ResponseError
        When there is no such database.
    """
    look = _Look(of_number(engine.core, db), _kinds(type), memory)
    keys = matching_keys(engine.core, look.db, pattern)
    with watching("keys", progress) as step, columns.uncollected():
        in_batches(engine.core, keys, look, step)
    return look.frame(raw)


class _Look:
    """What was seen of the keys so far, column by column."""

    def __init__(self, db: Database, kinds: frozenset[Any], memory: bool) -> None:
        self.db = db
        self.kinds = kinds
        self.with_memory = memory
        self.keys: list[bytes] = []
        self.types: list[int] = []
        self.encodings: list[int] = []
        self.ttls: list[int | None] = []
        self.sizes: list[int] = []
        self.memory: list[int] = []

    def __call__(self, keys: Sequence[bytes]) -> None:
        """Look at some keys; the engine's lock is held."""
        db, now_ms = self.db, self.db.core.now_ms()
        for key, value in values_of(db, keys, self.kinds):
            self.keys.append(key)
            self.types.append(_TYPE_CODES[type(value)])
            self.encodings.append(_ENCODING_CODES[encoding_of(value)])
            deadline = db.expires.get(key)
            self.ttls.append(None if deadline is None else deadline - now_ms)
            self.sizes.append(len(value))
            if self.with_memory:
                self.memory.append(estimate_key(db, key))

    def frame(self, raw: bool) -> pd.DataFrame:
        """Return what was seen."""
        data = {
            "key": columns.words(self.keys),
            "type": columns.category(self.types, TYPES),
            "encoding": columns.category(self.encodings, ENCODINGS),
            "ttl_ms": columns.nullable_count(self.ttls),
            "size": columns.count(self.sizes),
            **({"memory": columns.count(self.memory)} if self.with_memory else {}),
            "db": columns.count([self.db.index] * len(self.keys)),
            **({"key_raw": columns.objects(self.keys)} if raw else {}),
        }
        return columns.frame(data, index="key", length=len(self.keys))


def _kinds(name: str | None) -> frozenset[Any]:
    """Return the classes of values of a type, of all types for None."""
    if name is not None and name not in TYPES:
        raise ValueError(f"there is no type {name}; there are {', '.join(TYPES)}")
    return frozenset(kind for kind, n in TYPE_NAMES.items() if name in (None, n))


def of_number(core: Core, index: int) -> Database:
    """Return a database by its number.

    Raises
    ------
    ResponseError
        When there is none, as SELECT says it.
    """
    if not 0 <= index < len(core.databases):
        raise ResponseError("ERR DB index is out of range")
    return core.databases[index]


def matching_keys(core: Core, db: Database, pattern: str | bytes) -> list[bytes]:
    """Return the keys a pattern matches, those whose time has come included."""
    with core.lock:
        keys = list(db.data)
    wanted = pattern.encode() if isinstance(pattern, str) else pattern
    return keys if wanted == b"*" else list(filter(matcher(wanted), keys))


def values_of(
    db: Database, keys: Sequence[bytes], kinds: frozenset[Any] | None = None
) -> list[tuple[bytes, Any]]:
    """Return those keys that are there and of these classes, with their values.

    The engine's lock is held.
    """
    data, expires, now_ms = db.data, db.expires, db.core.now_ms()
    found = []
    for key in keys:
        value = data.get(key)
        if value is None or (kinds is not None and type(value) not in kinds):
            continue
        if expires and expires.get(key, now_ms) < now_ms:
            continue
        found.append((key, value))
    return found


def in_batches(
    core: Core,
    items: Sequence[T],
    work: Callable[[Sequence[T]], object],
    step: Callable[[int, int], object],
) -> None:
    """Call `work` for some items at a time under the engine's lock, `step` between two.

    An interrupt between them leaves the engine to others, as after any command.
    """
    total = len(items)
    for start in range(0, total, BATCH):
        if start:
            let_others_in(core)
        with core.lock:
            work(items[start : start + BATCH])
        step(min(start + BATCH, total), total)


def let_others_in(core: Core) -> None:
    """Give threads that wait for the engine's lock the time to take it."""
    core.give_way()
    time.sleep(_PAUSE_S)
