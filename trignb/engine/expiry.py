"""Active expiry: the thread that deletes keys nobody asks for, and travel in time.

Each deleted key is a unit of its own (docs/semantics.md, Expiry). The thread starts with the first
deadline; while the clock is frozen it only waits, and `travel` does its work instead.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.database import Database

__all__ = ["ExpiryCycle"]

# Keys deleted while the lock is held in one go, so that other threads get their turn.
_BATCH = 64


class _Due(NamedTuple):
    deadline: int
    key: bytes
    db: Database


class ExpiryCycle:
    """Deletes due keys ``hz`` times a second."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.is_running = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        if self.is_running or self.core.closed:
            return
        self.is_running = True
        # The thread holds the cycle weakly: an engine nobody uses any more can go.
        self._thread = threading.Thread(
            target=_run,
            args=(weakref.ref(self), self._stop),
            name="trignb-expiry",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def period_s(self) -> float:
        """Return the time between two rounds."""
        return 1 / float(self.core.config.values["hz"])

    def round(self) -> None:
        """Delete what is due, if that is to happen by itself now."""
        while self._batch():
            time.sleep(0)

    def _batch(self) -> bool:
        """Delete some due keys; tell whether there may be more."""
        core = self.core
        if self._is_asleep() or not any(db.expires for db in core.databases):
            return False
        core.acquire_in_background()
        try:
            # Looked at again: now nobody can freeze the clock or pause expiry meanwhile.
            if self._is_asleep():
                return False
            started = time.perf_counter_ns()
            try:
                return self._expire_some()
            finally:
                if core.latency.threshold_ms:
                    elapsed = time.perf_counter_ns() - started
                    core.latency.note(b"expire-cycle", elapsed)
        finally:
            core.lock.release()

    def _expire_some(self) -> bool:
        now_ms = self.core.clock.read() // 1_000_000
        for _ in range(_BATCH):
            due = self._next(now_ms)
            if due is None:
                return False
            self._expire(due.db, due.key)
        return True

    def _is_asleep(self) -> bool:
        return self.core.clock.frozen or not self._may_run()

    def _may_run(self) -> bool:
        core = self.core
        return core.active_expire and core.may_expire() and not core.is_loading

    def _next(self, now_ms: int) -> _Due | None:
        """Return the key whose deadline passed first; at the same moment, the lowest key."""
        found: _Due | None = None
        for db in self.core.databases:
            entry = db.next_deadline() if db.expires else None
            if entry is not None and entry[0] < now_ms:
                due = _Due(*entry, db)
                if found is None or due[:2] < found[:2]:
                    found = due
        return found

    def _expire(self, db: Database, key: bytes) -> None:
        self.core.run_unit(lambda: db.expire(key))

    def travel(self, target_ns: int) -> None:
        """Move the clock to a later time; keys due on the way expire at their own moment."""
        core = self.core
        with core.lock:
            if self._may_run() and not core.nesting:
                target_ms = target_ns // 1_000_000
                while (due := self._next(target_ms)) is not None:
                    # A key is gone the millisecond after its deadline, never before now.
                    moment = max((due.deadline + 1) * 1_000_000, core.clock.read())
                    core.clock.set_ns(moment)
                    self._expire(due.db, due.key)
            core.clock.set_ns(target_ns)


def _run(cycle_ref: weakref.ref[ExpiryCycle], stop: threading.Event) -> None:
    """Go round until told to stop, or until there is no engine any more."""
    period = 0.0
    try:
        while not stop.wait(period):
            cycle = cycle_ref()
            if cycle is None:
                return
            cycle.round()
            period = cycle.period_s()
            del cycle
    finally:
        # Whatever a listener threw ends this thread; the next deadline starts another.
        cycle = cycle_ref()
        if cycle is not None:
            cycle.is_running = False
