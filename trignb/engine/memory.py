"""How much memory the keys take, kept up to date while there is a limit to hold.

Without ``maxmemory`` nothing is counted: `Memory.used` looks at the keys when it is asked. With it every key's
size is known (`trignb.engine.sizes` says what counts), and a listener to all events notes whose size may have
changed; these keys are looked at again when the sum is next needed. Nothing else has to know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from trignb.engine.events import ALL
from trignb.engine.sizes import (
    DEADLINE_BYTES,
    STARTUP_BYTES,
    STRING_BYTES,
    estimate_database,
    estimate_key,
)

if TYPE_CHECKING:
    from random import Random

    from trignb.engine.core import Core
    from trignb.engine.database import Database

__all__ = ["Memory"]

# After triggers, pub/sub and the log.
_LAST: Final = 3
_FEW: Final = 64
# Deadlines on the heap, per key that has one, from which on they are not worth drawing from.
_MOSTLY_STALE: Final = 8


class _Account:
    """The sizes of one database's keys."""

    __slots__ = ("order", "sizes", "total")

    def __init__(self, db: Database) -> None:
        # Inline what `estimate_key` does for strings: a million keys take 0.2 s, not 0.8.
        self.sizes = {
            key: len(key) + len(value) + STRING_BYTES
            if type(value) is bytes
            else estimate_key(db, key) - (DEADLINE_BYTES if key in db.expires else 0)
            for key, value in db.data.items()
        }
        for key in db.expires:
            self.sizes[key] += DEADLINE_BYTES
        self.total = sum(self.sizes.values())
        # All keys, to draw from; some twice, some no longer there. None until needed.
        self.order: list[bytes] | None = None

    def measure(self, db: Database, key: bytes) -> int:
        """Look at a key again; returns by how much it grew."""
        old = self.sizes.get(key, 0)
        if key not in db.data:
            self.sizes.pop(key, None)
            new = 0
            db.core.access.forget(db, key)
        else:
            new = self.sizes[key] = estimate_key(db, key)
            if not old:
                db.core.access.note_new(db, key)
                self._line_up(db, key)
        self.total += new - old
        return new - old

    def _line_up(self, db: Database, key: bytes) -> None:
        order = self.order
        if order is not None:
            order.append(key)
            if len(order) > 2 * len(db.data) + _FEW:
                self.order = None

    def draw(self, db: Database, chance: Random) -> bytes:
        """Return any key; there is one, and every key is known."""
        if self.order is None:
            self.order = list(db.data)
        order = self.order
        while True:
            at = int(chance.random() * len(order))
            key = order[at]
            if key in db.data:
                return key
            order[at] = order[-1]
            order.pop()


class Memory:
    """Memory in use, estimated.

    Attributes
    ----------
    is_counting : bool
        Whether every key's size is known.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.is_counting = False
        self._accounts: list[_Account] = []
        self._total = 0
        self._changed: set[tuple[Database, bytes]] = set()
        self._stop_listening: Callable[[], None] | None = None

    def used(self) -> int:
        """Return the bytes in use, the engine itself included."""
        if self.is_counting:
            self.settle()
            return self._total
        return STARTUP_BYTES + sum(map(estimate_database, self.core.databases))

    # -- counting

    def start(self) -> None:
        """Count from now on."""
        self.is_counting = True
        self._accounts = [_Account(db) for db in self.core.databases]
        self._sum_up()
        self._stop_listening = self.core.listen(self._on_event, ALL, _LAST)

    def stop(self) -> None:
        """Count no more."""
        self.is_counting = False
        self._accounts = []
        self._changed.clear()
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    def _on_event(self, db: Database, _kind: int, _event: bytes, key: bytes) -> None:
        self._changed.add((db, key))

    def changed(self, db: Database, key: bytes) -> None:
        """Take note of a change that fires no event."""
        if self.is_counting:
            self._changed.add((db, key))

    def settle(self) -> None:
        """Look at the keys that have changed."""
        changed = self._changed
        if changed:
            for db, key in changed:
                self._total += self._accounts[db.index].measure(db, key)
            changed.clear()

    def measure(self, db: Database, key: bytes) -> int:
        """Look at one key at once; returns by how much it grew."""
        grown = self._accounts[db.index].measure(db, key)
        self._total += grown
        return grown

    def replaced(self, db: Database) -> None:
        """Take note that a database has other contents now."""
        if self.is_counting:
            self._forget_changes(db)
            self._accounts[db.index] = _Account(db)
            self._sum_up()

    def swapped(self, one: Database, other: Database) -> None:
        """Take note that two databases have exchanged their contents."""
        if self.is_counting:
            self._changed = {
                (other if db is one else one if db is other else db, key)
                for db, key in self._changed
            }
            accounts, i, j = self._accounts, one.index, other.index
            accounts[i], accounts[j] = accounts[j], accounts[i]

    def _forget_changes(self, db: Database) -> None:
        self._changed = {entry for entry in self._changed if entry[0] is not db}

    def _sum_up(self) -> None:
        self._total = STARTUP_BYTES + sum(a.total for a in self._accounts)

    # -- drawing keys by chance

    def sample(self, db: Database, count: int, *, volatile: bool) -> list[bytes]:
        """Return some keys, any with the same chance; all where there are no more.

        Only those with a deadline if `volatile`. Drawing takes as long for a million keys
        as for a hundred.
        """
        keys = db.expires if volatile else db.data
        if len(keys) <= count:
            return list(keys)
        chance = self.core.chance.eviction
        if not volatile:
            account = self._accounts[db.index]
            return [account.draw(db, chance) for _ in range(count)]
        heap = db.deadlines
        if len(heap) > _MOSTLY_STALE * len(keys):
            return chance.sample(list(keys), count)
        found: list[bytes] = []
        while len(found) < count:
            deadline, key = heap[int(chance.random() * len(heap))]
            if keys.get(key) == deadline:
                found.append(key)
        return found
