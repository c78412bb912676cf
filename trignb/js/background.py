"""The thread on which a library's background work meets the engine's lock.

The isolate's own thread must never wait for the lock: who has it may be waiting for the
isolate. So it hands over what needs the lock, in order, to one thread per library, made
when there is something to do.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from trignb.js.runtime import Host

__all__ = ["Background"]

After: TypeAlias = Callable[[], None]
Work: TypeAlias = Callable[[], After | None]


class Background:
    """Runs work under the engine's lock, one piece after another."""

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self._name = name
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, work: Work) -> None:
        """Have `work` called under the lock, and what it returns without."""
        self._work.put(work)
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._main, name=f"trignb-{self._name}", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """End the thread after what is queued."""
        if self._thread is not None:
            self._work.put(None)

    def _main(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                after = self._locked(work)
                if after is not None:
                    after()
            except Exception:  # noqa: BLE001 - the next piece of work has a right to run
                threading.excepthook(
                    threading.ExceptHookArgs((*sys.exc_info(), self._thread))
                )

    def _locked(self, work: Work) -> After | None:
        self._host.acquire()
        try:
            return work()
        finally:
            self._host.release()
