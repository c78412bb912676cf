"""What is known of saves to disk: INFO and LASTSAVE tell it, `trignb.persistence` makes it happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

__all__ = ["SaveState"]


def _nothing() -> None:
    """Do nothing."""


@dataclass(slots=True)
class SaveState:
    """The last save, and the one under way.

    Attributes
    ----------
    last_ns : int
        When the last one ended well; when the engine started, before the first.
    dirty : int
        What the engine's counter of changes was when that one began.
    started : float or None
        When the one under way in the background began, by `time.perf_counter`.
    keys_done, keys_total : int
        How far it is.
    is_scheduled : bool
        Whether another one is to begin as soon as possible.
    failed : bool
        Whether the last one in the background did not succeed.
    seconds : int
        How long that one took, -1 before the first.
    saves : int
        How many there were.
    keys_loaded, keys_expired : int
        What the last file that was loaded held.
    flushed : callable
        What FLUSHALL does about saves.
    """

    last_ns: int
    dirty: int = 0
    started: float | None = None
    keys_done: int = 0
    keys_total: int = 0
    is_scheduled: bool = False
    failed: bool = False
    seconds: int = -1
    saves: int = 0
    keys_loaded: int = 0
    keys_expired: int = 0
    flushed: Callable[[], None] = _nothing

    def seconds_so_far(self) -> int:
        """Return how long the one under way has taken, -1 where there is none."""
        return -1 if self.started is None else int(perf_counter() - self.started)

    def succeeded(self, now_ns: int, dirty: int) -> None:
        """Note a save that began when the counter of changes was at `dirty`."""
        self.last_ns, self.dirty = now_ns, dirty
        self.saves += 1
