"""What is known of saves to disk: INFO and LASTSAVE tell it, `trignb.persistence` makes it happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

__all__ = ["AofState", "Reading", "SaveState"]


def _nothing() -> None:
    """Do nothing."""


@dataclass(slots=True)
class Reading:
    """How far a file is read: when that began, in seconds since the epoch, and bytes."""

    began: float
    done: int = 0
    total: int = 0


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
    reading : Reading or None
        The file that is read while clients are told to wait.
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
    reading: Reading | None = None
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


def _synced() -> bool:
    """Return that there is nothing to write: no append-only file."""
    return True


@dataclass(slots=True)
class AofState:
    """The append-only file, as INFO tells it.

    Attributes
    ----------
    is_on : bool
        Whether there is one.
    started : float or None
        When the rewrite under way began, by `time.perf_counter`.
    is_scheduled : bool
        Whether one is to begin as soon as possible.
    is_rewrite_pending : bool
        Whether the file is not to be relied on before a first rewrite has ended.
    seconds : int
        How long the last one took, -1 before the first.
    rewrites, failures : int
        How many there were; how many failed since one succeeded.
    failed, write_failed : bool
        Whether the last rewrite, and the last write, did not succeed.
    size, base_size : int
        Bytes of all files now, and when the last rewrite ended.
    buffered : int
        Bytes that are to be written.
    is_syncing : bool
        Whether the operating system is being asked to put it on disk.
    delayed : int
        How often a write had to go on beside that.
    sync : callable
        Writes what there is and puts it on disk; tells whether all of it is there now.
    """

    is_on: bool = False
    started: float | None = None
    is_scheduled: bool = False
    is_rewrite_pending: bool = False
    seconds: int = -1
    rewrites: int = 0
    failures: int = 0
    failed: bool = False
    write_failed: bool = False
    size: int = 0
    base_size: int = 0
    buffered: int = 0
    is_syncing: bool = False
    delayed: int = 0
    sync: Callable[[], bool] = _synced

    def seconds_so_far(self) -> int:
        """Return how long the rewrite under way has taken, -1 where there is none."""
        return -1 if self.started is None else int(perf_counter() - self.started)
