"""The keyspace as it was at one moment, while commands go on changing it.

Taking one copies the dicts of keys and deadlines, not the values: 60 ms for a million keys. From then on the
databases look their keys up through `GuardedKeys`, which sees to it that a value still to be saved is copied
before anybody gets to it and might change it. Strings of type ``bytes`` never change, so most keys cost nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from time import perf_counter, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from trignb.datatypes import copy_value

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.database import Database

__all__ = ["GuardedKeys", "Output", "Snapshot"]

# Key, value, deadline, idle time and frequency.
Entry = tuple[bytes, Any, int | None, int | None, int | None]


class Output(Protocol):
    """What a keyspace is written to: an RDB file, or one of commands."""

    def aux(self, name: bytes, value: bytes) -> None:
        """Write a fact about the server."""

    def function(self, code: bytes) -> None:
        """Write a library of functions."""

    def database(self, index: int, keys: int, deadlines: int) -> None:
        """Begin a database."""

    def key(
        self,
        key: bytes,
        value: object,
        deadline_ms: int | None = None,
        idle_s: int | None = None,
        frequency: int | None = None,
    ) -> None:
        """Write a key of the database begun last."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the end, if all went well."""


# How long commands wait while keys are written, and keys between two looks at the clock.
_SLICE_S: Final = 0.002
_LOOK: Final = 16
# How long they have the lock for themselves after that.
_PAUSE_S: Final = 0.001
# In such steps a save that is to be slow waits, so that it can be given up.
_DELAY_S: Final = 0.01
# From this many elements on a value is copied rather than written with the lock held.
_LARGE: Final = 500


class GuardedKeys(dict[bytes, Any]):
    """Keys of a database; values in `pending` are copied there before they are handed out."""

    __slots__ = ("pending",)

    def __init__(self, data: dict[bytes, Any]) -> None:
        super().__init__(data)
        # What was there when the snapshot was taken and has not been saved yet.
        self.pending = data

    def _guard(self, key: bytes, value: Any) -> None:
        if type(value) is bytes or value is None:
            return
        if self.pending.get(key) is value:
            self.pending[key] = copy_value(value)

    def get(self, key: bytes, default: Any = None) -> Any:
        """Return a value that may be changed."""
        value = super().get(key, default)
        self._guard(key, value)
        return value

    def __getitem__(self, key: bytes) -> Any:
        value = super().__getitem__(key)
        self._guard(key, value)
        return value

    def pop(self, key: bytes, *default: Any) -> Any:
        """Take a key away; its value may live on and change under another name."""
        value = super().pop(key, *default)
        self._guard(key, value)
        return value


class _Part:
    """One database's share of a snapshot."""

    def __init__(self, db: Database) -> None:
        self.index = db.index
        self.db = db
        self.pending = db.data
        self.deadlines = dict(db.expires)
        self.size = len(db.data)
        self.guarded = db.data = GuardedKeys(self.pending)


class Snapshot:
    """All databases as they are when it is made; the lock is held then.

    Attributes
    ----------
    functions : list of bytes
        The code of every library of Lua functions.
    """

    def __init__(self, core: Core, functions: list[bytes]) -> None:
        self.core = core
        self.functions = functions
        # A full collection looks at every key, 0.3 s for a million hashes, and commands wait: until
        # the snapshot is closed Python's collector leaves alone what is there now. Not if somebody
        # else froze objects, who may count on it that they stay frozen.
        self._froze = not gc.get_freeze_count()
        if self._froze:
            gc.freeze()
        policy = core.config.values["maxmemory-policy"]
        self._has_idle = policy.endswith("-lru")
        self._has_frequency = policy.endswith("-lfu")
        self._parts = [_Part(db) for db in core.databases if db.data]
        # With two of them, who ends first would leave the other unguarded.
        core.snapshots += 1

    @property
    def size(self) -> int:
        """How many keys there are in it."""
        return sum(part.size for part in self._parts)

    def write(self, out: Output) -> Iterator[int]:
        """Write all keys; yields how many were written, now and then."""
        for part in self._parts:
            out.database(part.index, part.size, len(part.deadlines))
            names = iter(list(part.pending))
            written = 1
            while written:
                written, large = self._write_some(part, names, out)
                if large is not None:
                    out.key(*large)
                    written += 1
                yield written
                # Without a pause this thread would have the lock again at once.
                sleep(_PAUSE_S)
                yield from self._delay(written)

    def _delay(self, keys: int) -> Iterator[int]:
        """Wait as long as ``rdb-key-save-delay`` wants it, while that says so."""
        waited_s = 0.0
        while waited_s < keys * self.core.config.values["rdb-key-save-delay"] / 1e6:
            sleep(_DELAY_S)
            waited_s += _DELAY_S
            yield 0

    def _write_some(
        self, part: _Part, names: Iterator[bytes], out: Output
    ) -> tuple[int, Entry | None]:
        """Write keys for so long that nobody notices, with the lock held.

        Small values are written as they are: copies that live for a while would have
        Python's collector look at all keys again and again, a fifth of a second each time.
        A large one ends the turn; its copy is returned, to be written without the lock.
        """
        core, pending = self.core, part.pending
        core.acquire_in_background()
        try:
            end = perf_counter() + _SLICE_S
            written = 0
            for key in names:
                value = pending.pop(key)
                if type(value) is not bytes and len(value) >= _LARGE:
                    return written, self._entry(part, key, copy_value(value))
                out.key(*self._entry(part, key, value))
                written += 1
                if not written % _LOOK and perf_counter() > end:
                    break
        finally:
            core.lock.release()
        return written, None

    def _entry(self, part: _Part, key: bytes, value: Any) -> Entry:
        access, db = self.core.access, part.db
        return (
            key,
            value,
            part.deadlines.get(key),
            access.idle_s(db, key) if self._has_idle else None,
            access.frequency(db, key) if self._has_frequency else None,
        )

    def close(self) -> None:
        """Give the databases plain dicts again, wherever their keys are now."""
        if self._froze:
            self._froze = False
            gc.unfreeze()
        guarded = {id(part.guarded) for part in self._parts}
        core = self.core
        for db in core.databases:
            core.acquire_in_background()
            try:
                if id(db.data) in guarded:
                    db.data = dict(db.data)
            finally:
                core.lock.release()
        core.acquire_in_background()
        try:
            core.snapshots -= 1
        finally:
            core.lock.release()
