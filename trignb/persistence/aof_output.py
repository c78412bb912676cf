"""One append-only file that is written to: bytes that wait, bytes that are written, bytes on disk."""

from __future__ import annotations

import contextlib
import os
from typing import Final

from trignb.engine.files import check_place

__all__ = ["AofOutput"]

# What Redis calls on Linux: the file's times may wait.
_sync: Final = getattr(os, "fdatasync", os.fsync)


class AofOutput:
    """A file that grows at its end, and never by half of what it is given.

    Attributes
    ----------
    size : int
        Bytes in it.
    synced : int
        Bytes of these that are on disk as far as is known.
    waiting : bytearray
        What is to be written next.
    """

    __slots__ = ("_is_ragged", "fd", "path", "size", "synced", "waiting")

    def __init__(self, path: str, *, is_new: bool = False) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self.fd = -1
        self.path = path
        # A pipe would keep us waiting for a reader.
        check_place(path)
        self.fd = os.open(path, flags | (os.O_TRUNC if is_new else 0), 0o644)
        self.size = self.synced = os.fstat(self.fd).st_size
        self.waiting = bytearray()
        # There may be more in the file than `size` says: an earlier write did not end.
        self._is_ragged = False

    def write(self) -> None:
        """Write what waits, all of it or nothing.

        Raises
        ------
        OSError
            When there is no room, for instance. What was written is cut back, now or before the
            next write.
        """
        if not self.waiting:
            return
        data = self.waiting
        end = self.size + len(data)
        nothing = bytearray()
        if self._is_ragged:
            os.ftruncate(self.fd, self.size)
        self._is_ragged = True
        written = os.write(self.fd, data)
        if written < len(data):
            self._write_rest(memoryview(data)[written:])
        # No interrupt comes between these, as there are no calls.
        self.size = end
        self.waiting = nothing
        self._is_ragged = False

    def _write_rest(self, data: memoryview) -> None:
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.fd, self.size)
            raise

    def sync(self) -> None:
        """Have what was written put on disk; raises OSError."""
        end = self.size
        if self.synced < end:
            _sync(self.fd)
            self.synced = end

    def sync_aside(self) -> None:
        """`sync` on another thread, while the file may be written to and closed."""
        end = self.size
        fd = os.dup(self.fd)
        try:
            _sync(fd)
        finally:
            os.close(fd)
        self.synced = max(self.synced, end)

    def close(self) -> None:
        """Close it as it is."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    # Of an engine that nobody closed and nobody has any more.
    __del__ = close
