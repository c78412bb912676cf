"""Eviction: what happens when memory in use passes ``maxmemory``.

While there is a limit a gate stands before every command. It deletes keys by ``maxmemory-policy`` until memory
is under the limit, each as a unit of its own, and refuses what would need more where nothing is left to delete.
Without a limit there is no gate, and nothing is counted. See docs/semantics.md, Memory limit.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from trignb.engine.keyspecs import keys_of
from trignb.engine.spec import DENYOOM

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = ["OUT_OF_MEMORY", "Eviction"]

OUT_OF_MEMORY: Final = "OOM command not allowed when used memory > 'maxmemory'."

Choice = tuple["Database", bytes]

# What a client in MULTI state may still say: a queue takes memory, too.
_NEVER_QUEUED: Final = frozenset({"exec", "discard", "quit", "reset"})

# Commands that change how much a consumer group remembers, and fire no event.
_SILENT: Final = frozenset({"xack", "xautoclaim", "xclaim", "xreadgroup"})

_POOL_SIZE: Final = 16
_first = itemgetter(0)

# Evicted keys between two looks at the clock.
_BATCH: Final = 16
_MICROSECOND: Final = 1_000
_MILLISECOND: Final = 1_000_000


class Eviction:
    """Keeps memory in use under ``maxmemory``.

    Attributes
    ----------
    limit : int
        ``maxmemory``; 0 for none.
    refuses : bool
        Whether memory was above the limit, and stayed so, when the command at work began.
        Scripts go by it, since one that has begun to write is not stopped half-way.
    declared : dict
        By a command's name, tells for its arguments whether it needs memory: what a
        script says of itself. Filled by the layer that knows scripts.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.limit = 0
        self.refuses = False
        self.declared: dict[str, Callable[[list[bytes]], bool]] = {}
        # (score, database, key), the best to evict last; some are no longer there.
        self._pool: list[tuple[float, int, bytes]] = []
        # Where the random policies took their last key from.
        self._last_db = 0
        # Time was up before memory was under the limit; a thread goes on.
        self._is_behind = False
        self._thread: threading.Thread | None = None
        self._exceeded_since_ns = 0
        self._exceeded_ns = 0
        core.config.on_change("maxmemory", self._set_limit)
        core.config.on_change("maxmemory-policy", self._change_policy)

    # -- configuration

    def _set_limit(self, limit: int) -> None:
        core = self.core
        with core.lock:
            before, self.limit = self.limit, limit
            if bool(limit) != bool(before):
                self._stand_up() if limit else self._stand_down()
            if not core.nesting:
                self.perform()
            elif limit and self._after_command not in core.jobs:
                core.queue_job(self._after_command)

    def _change_policy(self, _policy: str) -> None:
        # Scores of one policy mean nothing to another.
        self._pool.clear()

    def _stand_up(self) -> None:
        core = self.core
        core.memory.start()
        # Before access is noted: a key that goes now is not used by this command.
        core.gates.insert(0, self._gate)
        core.rearm_sessions()

    def _stand_down(self) -> None:
        core = self.core
        core.memory.stop()
        core.gates.remove(self._gate)
        core.rearm_sessions()
        self.refuses = False
        self._note_result(is_over=False)

    def _after_command(self) -> None:
        """Evict after the CONFIG SET that lowered the limit, as the last job of its unit."""
        core = self.core
        if core.jobs:
            core.queue_job(self._after_command)
            return
        core.flush_effects()
        self.perform()

    # -- before a command

    def _gate(self, session: Session, command: Command, args: list[bytes]) -> None:
        if not self.core.nesting:
            self.refuses = not self.perform()
            if self.refuses and self._is_denied(session, command, args):
                raise session.refuse(command, OUT_OF_MEMORY)
        if command.name in _SILENT:
            self._note_silent(session, command, args)
        elif command.name == "exec":
            for queued in session.queue or ():
                self._note_silent(session, *queued)

    def _note_silent(
        self, session: Session, command: Command, args: list[bytes]
    ) -> None:
        if command.name in _SILENT:
            for key in keys_of(command, args):
                self.core.memory.changed(session.db, key)

    def _is_denied(self, session: Session, command: Command, args: list[bytes]) -> bool:
        if session.queue is not None:
            if command.name not in _NEVER_QUEUED:
                return True
            if command.name == "exec":
                return any(self._needs_memory(*queued) for queued in session.queue)
        return self._needs_memory(command, args)

    def _needs_memory(self, command: Command, args: list[bytes]) -> bool:
        if command.flags & DENYOOM:
            return True
        declared = self.declared.get(command.name)
        return declared is not None and declared(args)

    def is_over(self) -> bool:
        """Whether memory in use is above the limit right now."""
        return 0 < self.limit < self.core.memory.used()

    # -- evicting

    def perform(self) -> bool:
        """Evict until memory is under the limit; False when that cannot be done.

        When time is up the rest is left to a thread, and commands go on meanwhile.
        """
        self._is_behind = False
        if not self.limit or not self._is_allowed():
            return True
        excess = self.core.memory.used() - self.limit
        if excess <= 0:
            self._note_result(is_over=False)
            return True
        done = self.core.config.values["maxmemory-policy"] != "noeviction" and (
            self._evict_timed(excess)
        )
        self._note_result(is_over=not done or self._is_behind)
        return done

    def _is_allowed(self) -> bool:
        core = self.core
        if core.is_loading or core.pause.is_on or core.busy is not None:
            return False
        return not (core.is_replica and core.config.values["replica-ignore-maxmemory"])

    def _evict_timed(self, excess: int) -> bool:
        started = time.perf_counter_ns()
        done = self._evict(excess)
        self.core.latency.note(b"eviction-cycle", time.perf_counter_ns() - started)
        return done

    def _evict(self, excess: int) -> bool:
        """Evict keys of so many bytes in all; False when there are no more of them.

        What triggers write meanwhile is not added, or one that writes on every evicted key
        would go on for ever.
        """
        deadline_ns = self._deadline_ns()
        freed = evicted = 0
        while freed < excess:
            choice = self._choose()
            if choice is None:
                return False
            freed += self._evict_key(*choice)
            evicted += 1
            # A clock that stands still gives the same keys in every run.
            if evicted % _BATCH == 0 and time.perf_counter_ns() > deadline_ns:
                self._go_on_later()
                break
        return True

    def _deadline_ns(self) -> float:
        tenacity: int = self.core.config.values["maxmemory-eviction-tenacity"]
        if self.core.clock.frozen or tenacity == 100:
            return float("inf")
        micros = 50.0 * min(tenacity, 10) * 1.15 ** max(tenacity - 10, 0)
        return time.perf_counter_ns() + micros * _MICROSECOND

    def _evict_key(self, db: Database, key: bytes) -> int:
        """Delete a key as a unit of its own; returns the bytes that gave."""
        core, memory = self.core, self.core.memory
        freed = 0

        def body() -> None:
            nonlocal freed
            db.evict(key)
            freed = -memory.measure(db, key)

        if core.nesting:
            # At the end of CONFIG SET's unit, whose effects are out already.
            body()
            core.run_jobs()
            core.flush_effects()
        else:
            core.run_unit(body)
        memory.settle()
        return freed

    # -- which key

    def _choose(self) -> Choice | None:
        """Return the key to evict next, None when the policy knows none."""
        policy = self.core.config.values["maxmemory-policy"]
        volatile = policy.startswith("volatile")
        if policy.endswith("random"):
            return self._choose_any(volatile)
        while self._fill_pool(self._score_of(policy), volatile):
            while self._pool:
                _, index, key = self._pool.pop()
                db = self.core.databases[index]
                if key in (db.expires if volatile else db.data):
                    return db, key
        return None

    def _choose_any(self, volatile: bool) -> Choice | None:
        """Return any key of the next database that has one."""
        databases = self.core.databases
        for _ in databases:
            self._last_db = (self._last_db + 1) % len(databases)
            db = databases[self._last_db]
            if db.expires if volatile else db.data:
                return db, self.core.memory.sample(db, 1, volatile=volatile)[0]
        return None

    def _score_of(self, policy: str) -> Callable[[Database, bytes], float]:
        """Return what tells how good it is to evict a key."""
        access = self.core.access
        if policy.endswith("lru"):
            return access.idle_s
        if policy.endswith("lfu"):
            return lambda db, key: -access.frequency(db, key)
        return lambda db, key: -db.expires[key]

    def _fill_pool(
        self, score: Callable[[Database, bytes], float], volatile: bool
    ) -> bool:
        """Offer some keys of every database to the pool; False when there are none."""
        samples = self.core.config.values["maxmemory-samples"]
        any_keys = False
        for db in self.core.databases:
            if db.expires if volatile else db.data:
                any_keys = True
                for key in self.core.memory.sample(db, samples, volatile=volatile):
                    self._offer((score(db, key), db.index, key))
        return any_keys

    def _offer(self, entry: tuple[float, int, bytes]) -> None:
        """Put a key into the pool if there is room, or if it is better than the worst."""
        pool = self._pool
        at = bisect_left(pool, entry[0], key=_first)
        if len(pool) < _POOL_SIZE:
            pool.insert(at, entry)
        elif at:
            pool.insert(at, entry)
            del pool[0]

    # -- when time is up

    def _go_on_later(self) -> None:
        """Have a thread evict what is left."""
        self._is_behind = True
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._go_on, name="trignb-eviction", daemon=True
            )
            self._thread.start()

    def _go_on(self) -> None:
        while self._step():
            # Whoever waits for the lock has it now.
            pass

    def _step(self) -> bool:
        """Evict for one more span of time; tell whether there is something left to do."""
        core = self.core
        more = False
        core.acquire_in_background()
        try:
            if not core.closed and self.limit:
                self.perform()
                more = self._is_behind
        finally:
            if not more:
                self._thread = None
            core.lock.release()
        return more

    # -- counting

    def _note_result(self, *, is_over: bool) -> None:
        """Keep the time that was spent above the limit, for INFO."""
        now_ns = self.core.clock.read()
        if is_over:
            self._exceeded_since_ns = self._exceeded_since_ns or now_ns
        elif self._exceeded_since_ns:
            self._exceeded_ns += now_ns - self._exceeded_since_ns
            self._exceeded_since_ns = 0

    def exceeded_ms(self) -> tuple[int, int]:
        """Return for how long memory was above the limit: in all, and this time."""
        since_ns = self._exceeded_since_ns
        current_ns = self.core.clock.read() - since_ns if since_ns else 0
        total_ns = self._exceeded_ns + current_ns
        return total_ns // _MILLISECOND, current_ns // _MILLISECOND
