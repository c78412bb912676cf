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

# What is no write and reaches replicas all the same.
_HEARD_BY_REPLICAS = frozenset(
    {"pfcount", "publish", "spublish", "eval", "evalsha", "fcall"}
)

# Threads sleep in slices, so that an interrupt is seen soon on every platform.
_SLICE_S = 0.2


class Postponed(Exception):
    """Raised to a client on a socket whose command has to wait until the pause is over."""


class Pause:
    """Whether clients are paused; everything they do, or writes only.

    Pauses for several reasons may be under way at once, each with its own end: clients go on
    after the last. ``on_end`` holds what is called then, with the lock held; ``held`` are the
    clients that wait for it.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.on_end: list[Callable[[], None]] = []
        # Told in the same breath that clients on sockets may be tried again.
        self.on_release: list[Callable[[], None]] = []
        # By command: whether the script or function that it names declares not to write.
        self.only_reads: dict[str, Callable[[list[bytes]], bool]] = {}
        self.held: set[Session] = set()
        # By reason: until when, and whether it is for everything.
        self._reasons: dict[str, tuple[float, bool]] = {}
        self._is_on = False
        self._timer: threading.Timer | None = None
        self._over = threading.Condition(threading.Lock())

    def start(
        self, timeout_ms: int, *, everything: bool, reason: str = "command"
    ) -> None:
        """Pause clients; a pause of that reason is only ever prolonged and widened."""
        now = time.monotonic()
        until, was_everything = self._reasons.get(reason, (0.0, False))
        if until > now:
            everything = everything or was_everything
        self._reasons[reason] = (max(until, now + timeout_ms / 1000), everything)
        if not self._is_on:
            self._is_on = True
            self.core.expire_pauses += 1
            self.core.gates.insert(0, self._gate)
            self.core.rearm_sessions()
        if self.on_end:
            self._set_timer()

    def stop(self, reason: str = "command") -> None:
        """End the pause of a reason; everybody goes on unless there is another."""
        self._reasons.pop(reason, None)
        if not self.is_on:
            self._end()

    def _end(self) -> None:
        self._reasons.clear()
        if self._is_on:
            self._is_on = False
            self.core.expire_pauses -= 1
            self.core.gates.remove(self._gate)
            self.core.rearm_sessions()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            for ended in list(self.on_end):
                ended()
        for release in self.on_release:
            release()
        with self._over:
            self._over.notify_all()

    @property
    def rest_s(self) -> float:
        """How long clients are still paused, in seconds."""
        return max(self._until - time.monotonic(), 0.0)

    @property
    def _until(self) -> float:
        return max((until for until, _ in self._reasons.values()), default=0.0)

    @property
    def is_on(self) -> bool:
        """Whether clients are paused now."""
        return self._is_on and time.monotonic() < self._until

    @property
    def everything(self) -> bool:
        """Whether clients that only read are paused too."""
        now = time.monotonic()
        return any(wide and until > now for until, wide in self._reasons.values())

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
                self._end()
        finally:
            self.core.lock.release()

    def holds(self, session: Session, command: Command, args: list[bytes]) -> bool:
        """Whether a command has to wait now."""
        if not self.is_on:
            return False
        if self.everything or self._may_write(command, args):
            return True
        queue = session.queue if command.name == "exec" else None
        return any(self._may_write(*each) for each in queue or ())

    def _may_write(self, command: Command, args: list[bytes]) -> bool:
        """Whether replicas may hear of a command."""
        if command.flags & (WRITE | MAY_REPLICATE):
            return True
        if command.name not in _HEARD_BY_REPLICAS:
            return False
        only_reads = self.only_reads.get(command.name)
        return only_reads is None or not only_reads(args)

    def _gate(self, session: Session, command: Command, args: list[bytes]) -> None:
        lock, waited = self.core.lock, False
        # A unit under way is never held up, nor a thread that holds the lock otherwise.
        while self.core.nesting == 0 and self.holds(session, command, args):
            self.held.add(session)
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
                self.held.discard(session)
        if self._is_on and not self.is_on:
            self._end()
        if waited:
            # What the pause was for may have changed what is refused.
            for gate in self.core.gates.copy():
                gate(session, command, args)
