"""CLIENT PAUSE: clients wait, all of them or those that write, until the time is up.

The thread that called waits in its own gate with the lock released; a client on a socket is told by
`Postponed` to come again. Time is real time, so a frozen clock cannot hold a client for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from trignb.engine.spec import MAY_REPLICATE, WRITE

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = ["Pause", "Postponed"]

# Threads sleep in slices, so that an interrupt is seen soon on every platform.
_SLICE_S = 0.2


class Postponed(Exception):
    """Raised to a client on a socket whose command has to wait until the pause is over."""


class Pause:
    """Whether clients are paused; ``everything`` or writes only.

    ``on_end`` holds what is called when a pause ends, with the lock held.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.everything = False
        self.on_end: list[Callable[[], None]] = []
        self._until = 0.0
        self._is_on = False
        self._timer: threading.Timer | None = None
        self._over = threading.Condition(threading.Lock())

    def start(self, timeout_ms: int, *, everything: bool) -> None:
        """Pause clients; a pause under way is only ever prolonged and widened."""
        until = time.monotonic() + timeout_ms / 1000
        self._until = max(self._until, until) if self.is_on else until
        self.everything = everything or (self.everything and self.is_on)
        if not self._is_on:
            self._is_on = True
            self.core.expire_pauses += 1
            self.core.gates.insert(0, self._gate)
            self.core.rearm_sessions()
        if self.on_end:
            self._set_timer()

    def stop(self) -> None:
        """Let everybody go on."""
        self._until = 0.0
        if self._is_on:
            self._is_on = False
            self.everything = False
            self.core.expire_pauses -= 1
            self.core.gates.remove(self._gate)
            self.core.rearm_sessions()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            for ended in list(self.on_end):
                ended()
        with self._over:
            self._over.notify_all()

    @property
    def is_on(self) -> bool:
        """Whether clients are paused now."""
        return self._is_on and time.monotonic() < self._until

    # Clients notice the end of a pause when they call; who waits for it needs a clock.

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        rest_s = min(max(0.0, self._until - time.monotonic()), threading.TIMEOUT_MAX)
        self._timer = threading.Timer(rest_s, self._time_is_up)
        self._timer.daemon = True
        self._timer.start()

    def _time_is_up(self) -> None:
        self.core.acquire_in_background()
        try:
            if self.is_on:  # it was prolonged
                self._set_timer()
            elif self._is_on:
                self.stop()
        finally:
            self.core.lock.release()

    def holds(self, session: Session, command: Command) -> bool:
        """Whether a command has to wait now."""
        if not self.is_on:
            return False
        if self.everything or command.flags & (WRITE | MAY_REPLICATE):
            return True
        queue = session.queue if command.name == "exec" else None
        return any(c.flags & (WRITE | MAY_REPLICATE) for c, _ in queue or ())

    def _gate(self, session: Session, command: Command, args: list[bytes]) -> None:
        lock, waited = self.core.lock, False
        # A unit under way is never held up, nor a thread that holds the lock otherwise.
        while self.core.nesting == 0 and self.holds(session, command):
            if session.link is not None:
                raise Postponed
            waited = True
            lock.release()
            try:
                with self._over:
                    self._over.wait(
                        min(_SLICE_S, max(0, self._until - time.monotonic()))
                    )
            finally:
                lock.acquire()
        if self._is_on and not self.is_on:
            self.stop()
        if waited:
            # What the pause was for may have changed what is refused.
            for gate in self.core.gates.copy():
                gate(session, command, args)
