"""The thread on which a library's background work meets the engine's lock.

The isolate's own thread must never wait for the lock: who has it may be waiting for the
isolate. So it hands over what needs the lock, in order, to one thread per library, made
when there is something to do.
"""

from __future__ import annotations

import queue
import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from trignb.js.runtime import Host

__all__ = ["Background"]

After: TypeAlias = Callable[[], None]
Work: TypeAlias = Callable[[], After | None]

_LOOK_S: Final = 0.25


def _wake_up() -> None:
    """Do nothing: whoever waits for work looks at the clock from now on."""


class Background:
    """Runs work under the engine's lock, one piece after another.

    Parameters
    ----------
    host : Host
        Has the lock.
    name : str
        Of the library.
    look : method
        Called now and then, without the lock, from `watch` on until it returns False. Its object
        may be collected meanwhile.
    """

    def __init__(self, host: Host, name: str, look: Callable[[], bool]) -> None:
        self._host = host
        self._name = name
        self._look = weakref.WeakMethod(look)
        self._is_watching = False
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, work: Work) -> None:
        """Have `work` called under the lock, and what it returns without."""
        self._work.put(work)
        if self._thread is None:
            self._start()

    def watch(self) -> None:
        """Look after what is under way from now on."""
        if not self._is_watching:
            self._is_watching = True
            self.put(_wake_up)

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
        while (work := self._next()) is not None:
            try:
                if work is not _wake_up:
                    after = self._locked(work)
                    if after is not None:
                        after()
            except Exception:  # noqa: BLE001 - the next piece of work has a right to run
                threading.excepthook(
                    threading.ExceptHookArgs((*sys.exc_info(), self._thread))
                )

    def _next(self) -> Work | None:
        while self._is_watching:
            try:
                return self._work.get(timeout=_LOOK_S)
            except queue.Empty:
                # In this order: what begins meanwhile sets it again.
                self._is_watching = False
                if self._has_more():
                    self._is_watching = True
        return self._work.get()

    def _has_more(self) -> bool:
        look = self._look()
        return look is not None and look()

    def _locked(self, work: Work) -> After | None:
        self._host.acquire()
        try:
            return work()
        finally:
            self._host.release()
