"""One numbered database: keys, values, deadlines, and who watches them.

Two look-ups, as in Redis: `read` for commands that only look (it counts hits and misses and fires
``keymiss``), `lookup` for commands that write. Both delete a key whose deadline has passed.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from trignb.datatypes import copy_value
from trignb.engine.args import wrong_type
from trignb.engine.events import EVICTED, EXPIRED, GENERIC, KEYMISS, NEW
from trignb.engine.freeing import LARGE, Freeing
from trignb.engine.laziness import (
    ALWAYS,
    EVICTION,
    EXPIRE,
    SERVER_DEL,
    USER_DEL,
    is_costly,
)

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session

__all__ = ["Database"]

V = TypeVar("V")

# Entries of the deadline heap that may be stale before it is built anew.
_STALE_FLOOR = 1024


class Database:
    """Keys of one database.

    Attributes
    ----------
    data : dict
        Key to value; the value itself, no wrapper.
    expires : dict
        Key to deadline in ms since the epoch, only for keys that have one.
    watched : dict
        Key to the sessions that watch it.
    """

    __slots__ = (
        "core",
        "data",
        "deadlines",
        "expires",
        "freeing",
        "index",
        "watched",
    )

    def __init__(self, core: Core, index: int) -> None:
        self.core = core
        self.index = index
        self.data: dict[bytes, Any] = {}
        self.expires: dict[bytes, int] = {}
        # (deadline, key) in heap order, some of them stale; `expires` has the truth.
        self.deadlines: list[tuple[int, bytes]] = []
        self.watched: dict[bytes, dict[Session, None]] = {}
        self.freeing = Freeing()

    def __repr__(self) -> str:
        return f"<Database {self.index}: {len(self.data)} keys>"

    # -- looking up

    def lookup(self, key: bytes) -> Any:
        """Return the value a write command works on, None when there is none."""
        value = self.data.get(key)
        if value is None or (self.expires and self.expire_if_due(key)):
            return None
        return value

    def read(self, key: bytes) -> Any:
        """Return the value a read command sees; a miss is counted and fires ``keymiss``."""
        value = self.data.get(key)
        core = self.core
        if value is None or (self.expires and self.expire_if_due(key)):
            core.misses += 1
            if core.event_mask & KEYMISS:
                core.emit(self, KEYMISS, b"keymiss", key)
            return None
        core.hits += 1
        return value

    def peek(self, key: bytes) -> Any:
        """Return the value without deleting, counting or firing anything."""
        return None if self.is_due(key) else self.data.get(key)

    def read_type(self, key: bytes, kind: type[V]) -> V | None:
        """`read`, refusing another type."""
        value = self.read(key)
        if value is not None and type(value) is not kind:
            raise wrong_type()
        return value

    def lookup_type(self, key: bytes, kind: type[V]) -> V | None:
        """`lookup`, refusing another type."""
        value = self.lookup(key)
        if value is not None and type(value) is not kind:
            raise wrong_type()
        return value

    def random_key(self) -> bytes:
        """Return any key, each with the same chance, whether its time has come or not."""
        # A dict has no n-th key: a million keys take 3 ms on average, fifty none at all.
        at = self.core.chance.commands.randrange(len(self.data))
        return next(islice(self.data, at, None))

    # -- changing; every handler: mutate, then `changed` with its event

    def add(self, key: bytes, value: Any) -> None:
        """Put a key that was not there; fires ``new``."""
        self.data[key] = value
        if self.expires:
            # Left by a key that had expired and could not be deleted (a replica, a pause).
            self.expires.pop(key, None)
        core = self.core
        if core.event_mask & NEW:
            core.emit(self, NEW, b"new", key)
        if core.waited_keys:
            core.blocking.signal(self, key)

    def assign(self, key: bytes, value: Any, *, keep_ttl: bool = False) -> None:
        """Put a value whatever was there; an expired key goes first, a deadline is dropped."""
        old = self.lookup(key)
        if old is None:
            self.add(key, value)
            return
        self.data[key] = value
        if type(old) is not bytes:
            self.free(old)
        if self.expires and not keep_ttl:
            self.expires.pop(key, None)
        if self.core.waited_keys:
            self.core.blocking.signal(self, key)

    def remove(self, key: bytes, laziness: str = SERVER_DEL) -> bool:
        """Take a key away, silently; the caller fires the event.

        The parameter that `laziness` names says whether Redis would free the value in
        the background; `ALWAYS` is no parameter.
        """
        value = self.take(key)
        if value is None:
            return False
        if type(value) is not bytes:
            self.free(value, laziness)
        return True

    def take(self, key: bytes) -> Any:
        """`remove` a key and return its value, which lives on; None when there is none."""
        value = self.data.pop(key, None)
        if value is not None:
            if self.expires:
                self.expires.pop(key, None)
            if self.core.waited_keys:
                self.core.blocking.signal(self, key)
        return value

    def free(self, value: Any, laziness: str = SERVER_DEL) -> None:
        """Free a large value in the background; a small one is left to the caller."""
        core = self.core
        if (laziness == ALWAYS or core.config.values[laziness]) and is_costly(value):
            core.lazyfreed += 1
        if type(value) is not bytearray and len(value) >= LARGE:
            self.freeing.put(value)

    def changed(self, kind: int, event: bytes, key: bytes, dirt: int = 1) -> None:
        """Count a change, break watches, fire an event."""
        core = self.core
        core.dirty += dirt
        if self.watched:
            self.touch(key)
        if kind & core.event_mask:
            core.emit(self, kind, event, key)

    def touch(self, key: bytes) -> None:
        """Signal a modification to whoever watches or tracks the key."""
        self._break_watches(key)
        tracking = self.core.tracking
        if tracking.is_on:
            tracking.changed(key)

    def _break_watches(self, key: bytes) -> None:
        for session in self.watched.get(key, ()):
            if (self, key, True) in session.watched and key not in self.data:
                # It had expired before it was watched: that it is gone now is no change.
                self._note_due(session, key, was_due=False)
            else:
                session.watch_broken = True

    def _note_due(self, session: Session, key: bytes, *, was_due: bool) -> None:
        """Change what a watch knows of the key's deadline."""
        i = session.watched.index((self, key, not was_due))
        session.watched[i] = (self, key, was_due)

    def delete(self, key: bytes, laziness: str = USER_DEL) -> bool:
        """Delete a key as DEL does, event included; tell whether there was one."""
        if self.expires and self.expire_if_due(key):
            return False
        return self.delete_target(key, laziness)

    def delete_target(self, key: bytes, laziness: str = SERVER_DEL) -> bool:
        """Delete the key that a command has nothing to store in.

        Nobody looks whether it was due: ``del`` fires, as in Redis.
        """
        if not self.remove(key, laziness):
            return False
        self.changed(GENERIC, b"del", key)
        return True

    def drop_if_empty(self, key: bytes, value: Any) -> bool:
        """Delete a container that lost its last element; fires ``del``, adds no dirt."""
        if value:
            return False
        self.remove(key)
        self.changed(GENERIC, b"del", key, 0)
        return True

    # -- deadlines

    def set_deadline(self, key: bytes, at_ms: int) -> None:
        """Give an existing key a deadline, silently."""
        self.expires[key] = at_ms
        heap = self.deadlines
        heappush(heap, (at_ms, key))
        if len(heap) > _STALE_FLOOR + 2 * len(self.expires):
            heap[:] = [(deadline, k) for k, deadline in self.expires.items()]
            heapify(heap)
        self.core.wake_cycle()

    def persist(self, key: bytes) -> bool:
        """Drop a key's deadline, silently; tell whether it had one."""
        return self.expires.pop(key, None) is not None

    def is_due(self, key: bytes) -> bool:
        """Whether the key's deadline has passed (strictly) at this unit's time."""
        deadline = self.expires.get(key)
        return deadline is not None and self.core.now_ms() > deadline

    def expire_if_due(self, key: bytes) -> bool:
        """Whether the key is to be seen as gone; deletes it where that is allowed."""
        if not self.is_due(key) or self.core.is_loading or self.core.obeys:
            return False
        if self.core.may_expire():
            self.expire(key)
        return True

    def expire(self, key: bytes) -> None:
        """Delete a key because its time came: ``expired``, and DEL to replicas and AOF."""
        self.core.expired_keys += 1
        self._drop(key, EXPIRE, EXPIRED, b"expired", "expire")

    def evict(self, key: bytes) -> None:
        """Delete a key to make room: ``evicted``, and DEL to replicas and AOF."""
        self.core.evicted_keys += 1
        self._drop(key, EVICTION, EVICTED, b"evicted", "evict")

    def _drop(
        self, key: bytes, laziness: str, kind: int, event: bytes, origin: str
    ) -> None:
        """Delete a key that no client asked to delete."""
        self.remove(key, laziness)
        core = self.core
        core.add_effect(self.index, [self.deletion_name(laziness), key])
        if self.watched:
            self._break_watches(key)
            if core.tracking.is_on:
                core.tracking.invalidate(key, None)
        if core.event_mask & kind:
            frame, core.frame = core.frame, core.frame.within(origin)
            try:
                core.emit(self, kind, event, key)
            finally:
                core.frame = frame

    def deletion_name(self, option: str) -> bytes:
        """Return what a deletion nobody asked for is propagated as, by configuration."""
        return b"UNLINK" if self.core.config.values[option] else b"DEL"

    def next_deadline(self) -> tuple[int, bytes] | None:
        """Return the earliest (deadline in ms, key), or None; drops stale entries."""
        heap, expires = self.deadlines, self.expires
        while heap:
            deadline, key = heap[0]
            if expires.get(key) == deadline:
                return heap[0]
            heappop(heap)
        return None

    # -- the whole database

    def clear(self) -> int:
        """Drop every key, breaking watches on those there were; returns how many."""
        for listener in self.core.flush_listeners:
            listener()
        count = len(self.data)
        old = self._take_contents({}, {}, [])
        self.core.memory.replaced(self)
        if self.core.tracking.is_on:
            self.core.tracking.invalidate_all()
        if len(old) >= LARGE:
            self.freeing.put(old)
        return count

    def copy_data(self) -> tuple[dict[bytes, Any], dict[bytes, int]]:
        """Return keys and deadlines that share nothing changeable with these."""
        return {k: copy_value(v) for k, v in self.data.items()}, dict(self.expires)

    def replace_data(self, data: dict[bytes, Any], expires: dict[bytes, int]) -> None:
        """Take other contents, breaking watches on keys there are or will be."""
        deadlines = [(deadline, key) for key, deadline in expires.items()]
        heapify(deadlines)
        old = self._take_contents(data, expires, deadlines)
        self.core.memory.replaced(self)
        if self.core.tracking.is_on:
            self.core.tracking.invalidate_all()
        if len(old) >= LARGE:
            self.freeing.put(old)

    def swap(self, other: Database) -> None:
        """Exchange contents; sessions and blocked commands stay where they are."""
        contents = other.data, other.expires, other.deadlines
        other._take_contents(self.data, self.expires, self.deadlines)
        self._take_contents(*contents)
        self.core.memory.swapped(self, other)
        self.core.access.swapped(self, other)

    def _take_contents(
        self,
        data: dict[bytes, Any],
        expires: dict[bytes, int],
        deadlines: list[tuple[int, bytes]],
    ) -> dict[bytes, Any]:
        """Replace everything at once; returns the keys there were."""
        old = self.data
        self.data, self.expires, self.deadlines = data, expires, deadlines
        for key in self.watched:
            if key in data and self.is_due(key):
                self._touch_due(key, key in old)
            elif key in data or key in old:
                self._break_watches(key)
        if self.core.waited_keys:
            self.core.blocking.signal_all(self)
        return old

    def _touch_due(self, key: bytes, was_there: bool) -> None:
        """Signal that other contents brought a key whose deadline has passed."""
        for session in self.watched[key]:
            if (self, key, True) in session.watched:
                continue
            if was_there:
                session.watch_broken = True
            else:
                self._note_due(session, key, was_due=True)
