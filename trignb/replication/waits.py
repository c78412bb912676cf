"""Clients that wait until replicas have their writes: WAIT and WAITAOF."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trignb.engine.blocking import Blocked, Waiter
from trignb.replication.stream import GETACK

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.replication.feed import Feed
    from trignb.reply import Reply

__all__ = ["Waits"]


class Waits:
    """Who waits for acknowledgements, and for which."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._blocking = feed.core.blocking
        self._waiting: dict[Waiter, Callable[[], bool]] = {}

    def acknowledged(self, offset: int, *, on_disk: bool = False) -> int:
        """Return how many replicas have the stream up to an offset."""
        return sum(
            (replica.aof_offset if on_disk else replica.ack_offset) >= offset
            for replica in self._feed.replicas
            if replica.is_online and not replica.is_gone
        )

    def wait(
        self,
        session: Session,
        is_enough: Callable[[], bool],
        reply: Callable[[], Reply],
        timeout_s: float,
    ) -> Reply:
        """Return a reply once it is enough, or the time (0: none) is up."""
        core = self._feed.core
        # In a transaction or a script nobody waits.
        if is_enough() or core.nesting > 1:
            return reply()
        waiter = Waiter(session, core.argv or [], [], reply, timeout_s, None)
        waiter.late_reply = reply
        self._forget_ended()
        self._blocking.sessions[session.id] = waiter
        self._waiting[waiter] = is_enough
        if self._feed.replicas:
            self._feed.append(GETACK)
        # An answer may have come on this very thread, from a replica in this process.
        self.look()
        raise Blocked(waiter)

    def look(self) -> None:
        """Let those go on whose wait is over; the lock is held."""
        self._forget_ended()
        for waiter, is_enough in list(self._waiting.items()):
            if is_enough():
                del self._waiting[waiter]
                self._blocking.forget(waiter)
                waiter.finish(waiter.attempt())

    def _forget_ended(self) -> None:
        """Forget who went away, or whose time was up."""
        sessions = self._blocking.sessions
        self._waiting = {
            waiter: is_enough
            for waiter, is_enough in self._waiting.items()
            if sessions.get(waiter.session.id) is waiter
        }
