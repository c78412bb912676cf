"""Files that take the place of others in one go."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["replacing"]


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when all of it is on disk."""
    _, suffix = os.path.splitext(path)
    name = f"temp-{os.getpid()}-{secrets.token_hex(4)}{suffix}"
    temporary = os.path.join(os.path.dirname(path), name)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
