"""A look at every stream there is, in the background and bit by bit.

Who loads a stream trigger has existing records read to it, and a primary that may write again goes
on where it was; neither may hold up clients (docs/semantics.md, The scan for a new stream trigger). So a thread takes
down the names of one database after another and looks at a slice of them at a time. What happens to
streams meanwhile tells of itself, by events.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final

from trignb.datatypes.stream import Stream

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.database import Database

__all__ = ["StreamScan"]

_SLICE: Final = 1000

# How often to look whether loading a file has ended.
_LOADING_S: Final = 0.01


class StreamScan:
    """The scan of one engine; asked for again, it begins again.

    Parameters
    ----------
    core : Core
        Whose databases are walked through.
    visit : callable
        ``visit(db, name)`` is called for each stream, with the lock held; it tells whether
        that was any work.
    """

    def __init__(self, core: Core, visit: Callable[[Database, bytes], bool]) -> None:
        self.core = core
        self._visit = visit
        # What is left; None when there is nothing to do.
        self._walk: Iterator[tuple[Database, bytes]] | None = None
        self._thread: threading.Thread | None = None
        self._is_awaited = False

    @property
    def is_running(self) -> bool:
        """Whether there may be streams that nobody has looked at."""
        return self._walk is not None

    def start(self) -> None:
        """Look at all streams, from the first one on; the lock is held."""
        self._walk = self._names()
        if self._thread is None and not self._is_awaited:
            self._go_on_in_background()

    def stop(self) -> None:
        """Give up what is left; the lock is held."""
        self._walk = None

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Run a scan that is asked for meanwhile at the end, on this thread.

        For those who call from Python: what they do next finds the records processed.
        """
        self._is_awaited = True
        try:
            yield
            while self._walk is not None and not self.core.is_loading:
                self._step()
        finally:
            self._is_awaited = False
            if self._walk is not None and self._thread is None:
                self._go_on_in_background()

    def _names(self) -> Iterator[tuple[Database, bytes]]:
        for db in self.core.databases:
            # One copy of the names, as SCAN takes it: a dict that changes cannot be walked.
            for name in list(db.data):
                yield db, name

    # -- a slice at a time

    def _step(self) -> None:
        """Look at some streams, or at one that has work to do."""
        core = self.core
        core.acquire_in_background()
        try:
            walk = self._walk
            if walk is None or core.is_loading:
                return
            looked_at = 0
            if not core.closed:
                for db, name in islice(walk, _SLICE):
                    looked_at += 1
                    if type(db.data.get(name)) is Stream and self._visit(db, name):
                        return
            if looked_at < _SLICE and self._walk is walk:
                self._walk = None
        finally:
            core.lock.release()

    # -- in the background

    def _go_on_in_background(self) -> None:
        self._thread = threading.Thread(
            target=self._run, name="trignb-stream-scan", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._has_ended():
                self._step()
                time.sleep(_LOADING_S if self.core.is_loading else 0)
        except BaseException:
            self._thread = self._walk = None
            raise

    def _has_ended(self) -> bool:
        with self.core.lock:
            if self._walk is None or self.core.closed:
                self._walk = self._thread = None
                return True
        return False
