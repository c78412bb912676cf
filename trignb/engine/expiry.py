"""Active expiry: the thread that deletes keys nobody asks for, and travel in time.

Each deleted key is a unit of its own (keyspace semantics, section 3). The thread starts with the first
deadline; while the clock is frozen it only waits, and `travel` does its work instead.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.database import Database

__all__ = ["ExpiryCycle"]

# Keys deleted while the lock is held in one go, so that other threads get their turn.
_BATCH = 64


class ExpiryCycle:
    """Deletes due keys ten times a second (``hz``)."""

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
        self._thread = threading.Thread(
            target=self._main, name="trignb-expiry", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def _main(self) -> None:
        core = self.core
        while not self._stop.wait(1 / core.config.values["hz"]):
            if core.clock.frozen or not core.active_expire:
                continue
            while self._batch(core.clock.read() // 1_000_000):
                time.sleep(0)

    def _batch(self, now_ms: int) -> bool:
        """Delete some due keys; tell whether there may be more."""
        core = self.core
        if not any(db.expires for db in core.databases):
            return False
        core.acquire_in_background()
        try:
            if core.is_loading or not core.may_expire():
                return False
            for _ in range(_BATCH):
                due = self._next(now_ms)
                if due is None:
                    return False
                self._expire(*due)
            return True
        finally:
            core.lock.release()

    def _next(self, now_ms: int) -> tuple[Database, int, bytes] | None:
        """Return the key whose deadline passed first."""
        found: tuple[int, bytes, Database] | None = None
        for db in self.core.databases:
            if db.expires:
                entry = db.next_deadline()
                if (
                    entry is not None
                    and entry[0] < now_ms
                    and (found is None or entry < found[:2])
                ):
                    found = (*entry, db)
        return None if found is None else (found[2], found[0], found[1])

    def _expire(self, db: Database, _deadline: int, key: bytes) -> None:
        def unit() -> None:
            db.expire(key)
            self.core.after = True

        self.core.run_unit(unit)

    def run_due(self) -> int:
        """Delete every key due by now; returns how many. The lock is taken."""
        core, done = self.core, 0
        with core.lock:
            while (due := self._next(core.clock.read() // 1_000_000)) is not None:
                self._expire(*due)
                done += 1
        return done

    def travel(self, target_ns: int) -> None:
        """Move the clock to a later time; keys due on the way expire at their own moment."""
        core = self.core
        with core.lock:
            if core.active_expire and core.may_expire() and not core.nesting:
                target_ms = target_ns // 1_000_000
                while (due := self._next(target_ms)) is not None:
                    # A key is gone the millisecond after its deadline, never before now.
                    moment = max((due[1] + 1) * 1_000_000, core.clock.read())
                    core.clock.set_ns(moment)
                    self._expire(*due)
            core.clock.set_ns(target_ns)
