"""The engine's clock: the system's by default, one you can hold when you want.

Everything in an engine that asks for the time (TIME, expiry, stream ids, statistics) asks this object,
so a notebook or a test that freezes it repeats exactly.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import TypeAlias
from weakref import WeakMethod

__all__ = ["Clock", "Moment"]

Moment: TypeAlias = "int | float | str | dt.datetime"


class Clock:
    """A clock that runs with the system's, can be frozen and moved.

    Attributes
    ----------
    read : callable
        Returns the time as int nanoseconds since the epoch. Replaced, not wrapped, when
        the clock is frozen or moved, so a running clock costs one C call.
    frozen : bool
        Whether time stands still.
    held_ns : int or None
        Where it stands, in nanoseconds; None when it does not, or when another clock decides.
    """

    def __init__(self) -> None:
        self.read: Callable[[], int] = time.time_ns
        self.frozen = False
        self.held_ns: int | None = None
        self._watchers: list[WeakMethod[Callable[[], None]]] = []
        # Set by the engine: moves to a later time and lets what falls due happen on the way.
        self.travel: Callable[[int], None] = self.set_ns

    def __repr__(self) -> str:
        state = "frozen" if self.frozen else "running"
        return f"<Clock {state} at {self.now().isoformat(timespec='milliseconds')}>"

    def now_ns(self) -> int:
        """Return the time in nanoseconds since the epoch."""
        return self.read()

    def now(self) -> dt.datetime:
        """Return the time as an aware datetime in UTC (microseconds)."""
        seconds, rest = divmod(self.read(), 1_000_000_000)
        moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
        return moment.replace(microsecond=rest // 1000)

    @property
    def is_system(self) -> bool:
        """Whether it shows the system's time, unmoved."""
        return self.read is time.time_ns

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call a method, at once and whenever the clock is held, moved or let go.

        Its object may be collected meanwhile. Called by whatever thread moves the clock.
        """
        self._watchers = [known for known in self._watchers if known() is not None]
        self._watchers.append(WeakMethod(watcher))
        watcher()

    def _tell(self) -> None:
        for watcher in self._watchers:
            tell = watcher()
            if tell is not None:
                tell()

    def freeze(self, at: Moment | None = None) -> None:
        """Stop the clock, now or at a given moment.

        Parameters
        ----------
        at : int, float, str or datetime, optional
            Seconds since the epoch, an ISO 8601 text or a datetime; a moment without time
            zone is taken as UTC. Setting a time does not make keys expire on the way;
            `advance` does.
        """
        self._stand_at(self.read() if at is None else _to_ns(at))

    def advance(self, seconds: float = 0, *, milliseconds: float = 0) -> None:
        """Move the clock forward; keys that fall due on the way expire in their order.

        A running clock keeps running from the later time.

        Raises
        ------
        ValueError
            When the step is negative.
        """
        step = round(seconds * 1_000_000_000) + round(milliseconds * 1_000_000)
        if step < 0:
            raise ValueError("the clock cannot be advanced by a negative time")
        self.travel(self.read() + step)

    def resume(self) -> None:
        """Return to the system's time."""
        self.frozen = False
        self.held_ns = None
        self.read = time.time_ns
        self._tell()

    def set_ns(self, ns: int) -> None:
        """Show this time: stand there when frozen, go on from there when running."""
        if self.frozen:
            self._stand_at(ns)
            return
        offset = ns - time.time_ns()
        self.held_ns = None
        self.read = lambda: time.time_ns() + offset
        self._tell()

    def _stand_at(self, ns: int) -> None:
        self.frozen = True
        self.held_ns = ns
        self.read = lambda: ns
        self._tell()


def _to_ns(at: Moment) -> int:
    if isinstance(at, int) and not isinstance(at, bool):
        return at * 1_000_000_000
    if isinstance(at, float):
        return round(at * 1_000_000) * 1000
    if isinstance(at, str):
        at = dt.datetime.fromisoformat(at)
    if not isinstance(at, dt.datetime):
        raise TypeError("a moment is a number of seconds, an ISO text or a datetime")
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.UTC)
    since = at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (
        since.days * 86_400 + since.seconds
    ) * 1_000_000_000 + since.microseconds * 1000
