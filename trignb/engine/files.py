"""Files that take the place of others in one go."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["check_place", "replace", "replacing"]


def check_place(path: str) -> None:
    """Raise OSError if there is something at `path` that is not a regular file.

    A pipe or a device that is replaced by a file is gone, as root even ``/dev/null``.
    """
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, "not a regular file", path)


def replace(source: str, path: str) -> None:
    """Put a file in the place of another; raises OSError where that is no regular file."""
    check_place(path)
    os.replace(source, path)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when all of it is on disk."""
    check_place(path)
    _, suffix = os.path.splitext(path)
    name = f"temp-{os.getpid()}-{secrets.token_hex(4)}{suffix}"
    temporary = os.path.join(os.path.dirname(path), name)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
