"""A directory that one engine alone writes to."""

from __future__ import annotations

import os

from trignb.errors import AofError

__all__ = ["DirectoryLock"]


class DirectoryLock:
    """Held from its making to `close`, whatever becomes of the process.

    Parameters
    ----------
    path : str
        A file to hold; it stays where it is, with the number of the process that had it last.

    Raises
    ------
    AofError
        When another engine, of this process or another, has it.
    OSError
        When the file cannot be made.
    """

    _fd = -1

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not _take(self._fd):
                raise AofError(
                    f"the append-only file in {os.path.dirname(path)} is in use by "
                    f"{_owner(self._fd)}; only one engine can write it: close that one "
                    "first, or give this one another dir"
                )
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others have it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # Of an engine that nobody closed and nobody has any more.
    __del__ = close


def _take(fd: int) -> bool:
    try:
        import fcntl
    except ImportError:  # pragma: no cover - Windows, where nothing is promised
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(fd: int) -> str:
    text = os.pread(fd, 32, 0).strip().decode("ascii", "replace")
    if text == str(os.getpid()):
        return "another engine of this process"
    return f"process {text}" if text else "another process"
