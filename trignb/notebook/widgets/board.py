"""What keeps an engine's live views up to date: one thread, a bounded rate, a bounded cost.

Views are not told of every event: a listener costs a write a quarter of its time, while comparing some counters
ten times a second costs the engine nothing. So the thread wakes, asks each view whether anything has
changed, and lets those draw themselves that say so. How long it rests depends on what the last round
cost, so however much there is to draw, it takes a small share of the time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from trignb.engine.events import ALL, KEYMISS, NEW

if TYPE_CHECKING:
    from trignb.api import Engine
    from trignb.engine.core import Core

__all__ = ["MOST_PER_SECOND", "Board", "View"]

logger = logging.getLogger(__name__)

MOST_PER_SECOND: Final = 10
# For each second of work the thread rests this many; what it sends costs as much again.
_REST: Final = 40


class View(Protocol):
    """What a board keeps up to date."""

    def update(self) -> None:
        """Draw what has changed, if anything has."""

    def close(self) -> None:
        """End, and leave a still picture behind."""


class Board:
    """The live views of one engine.

    Parameters
    ----------
    engine : Engine
        The engine they show.

    Attributes
    ----------
    views : list of View
        Those that are alive, oldest first.
    rate : float
        How often a second they may change, 10 at most.
    is_synchronous : bool
        No thread: views change at the end of each unit, on the thread that ran it. For
        tests; chosen by ``TRIGNB_SYNC=1``.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.views: list[View] = []
        self.rate: float = MOST_PER_SECOND
        self.is_synchronous = bool(os.environ.get("TRIGNB_SYNC"))
        self._lock = threading.RLock()
        self._stop: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Board of {len(self.views)} views>"

    @classmethod
    def of(cls, engine: Engine) -> Board:
        """Return an engine's board; its first view makes it."""
        board = engine.board
        if board is None:
            board = engine.board = cls(engine)
        return board

    def add(self, view: View) -> None:
        """Keep a view up to date from now on."""
        with self._lock:
            if view in self.views:
                return
            self.views.append(view)
            if self._stop is None:
                start = _follow_units if self.is_synchronous else _start_thread
                self._stop = start(self)

    def remove(self, view: View) -> None:
        """Forget a view; without any there is no thread."""
        with self._lock:
            if view in self.views:
                self.views.remove(view)
            if not self.views and self._stop is not None:
                self._stop()
                self._stop = None

    def tick(self) -> None:
        """Let every view draw what has changed."""
        for view in tuple(self.views):
            try:
                view.update()
            except Exception:
                logger.exception("%r is no longer followed", view)
                self.remove(view)

    def close(self) -> None:
        """Close all views; each leaves a still picture behind."""
        for view in tuple(self.views):
            view.close()


def _start_thread(board: Board) -> Callable[[], None]:
    """Start the thread of a board; return what ends it."""
    stopped = threading.Event()

    def run() -> None:
        rest = 1 / board.rate
        while not stopped.wait(rest):
            began = time.thread_time()
            board.tick()
            # This thread's own time: waiting for others costs them nothing.
            rest = max(1 / board.rate, (time.thread_time() - began) * _REST)

    threading.Thread(target=run, name="trignb-widgets", daemon=True).start()
    return stopped.set


def _follow_units(board: Board) -> Callable[[], None]:
    """Let the views change at the end of every unit; return what ends it."""
    core: Core = board.engine.core
    is_waiting = False

    def at_end() -> None:
        nonlocal is_waiting
        if core.jobs:
            # Triggers of later events are queued behind us.
            core.queue_job(at_end)
            return
        is_waiting = False
        board.tick()

    def on_event(*_: Any) -> None:
        nonlocal is_waiting
        if not is_waiting:
            is_waiting = True
            core.queue_job(at_end)

    def on_effects(_: Any) -> None:
        # What fires no event: a library that is loaded.
        board.tick()

    with core.lock:
        unlisten = core.listen(on_event, ALL | KEYMISS | NEW)
        core.sinks.append(on_effects)
        core.sinks_changed()

    def stop() -> None:
        with core.lock:
            unlisten()
            core.sinks.remove(on_effects)
            core.sinks_changed()

    return stop
