"""What units propagate, as the bytes of one stream: append-only files and replicas read the same.

A stream is one sequence of requests for one reader, who has one database selected. `PropagatedStream`
knows which and says SELECT where it changes, in front of the command that needs it: for the first
command of a transaction that is inside the MULTI.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["ENCODED", "NO_DB", "PropagatedStream", "encode_batch", "encode_request"]

# No database: what MULTI and EXEC around a batch have, and a reader who has not been told yet.
NO_DB: Final = -1
# Instead of one: the argument is encoded already.
ENCODED: Final = -2

# The frame of a request, by the number of its arguments: faster than a list of pieces.
_FRAMES: Final = [b"*%d\r\n" % n + b"$%d\r\n%b\r\n" * n for n in range(33)]


def encode_request(args: Sequence[bytes]) -> bytes:
    """Return a command as an array of bulk strings."""
    n = len(args)
    if n == 3:
        # What most are: SET, HSET of one field, LPUSH of one element.
        a, b, c = args
        return b"*3\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            *(len(a), a, len(b), b, len(c), c),
        )
    if n < len(_FRAMES):
        return _FRAMES[n] % tuple([part for arg in args for part in (len(arg), arg)])
    pieces = [b"*%d\r\n" % n]
    pieces += [b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args]
    return b"".join(pieces)


def encode_batch(
    batch: Iterable[tuple[int, list[bytes]]], db: int
) -> tuple[bytes, int]:
    """Return a batch as bytes, and the database that is selected after it.

    Parameters
    ----------
    batch : iterable of (db, argv)
        What a sink gets; the MULTI and the EXEC around it have the database -1. One of -2
        (`ENCODED`) says that the only argument is bytes to be taken as they are.
    db : int
        The database that the reader has selected, -1 when he has to be told first.
    """
    pieces = []
    for at, args in batch:
        if at != db and at >= 0:
            db = at
            pieces.append(_select(db))
        pieces.append(args[0] if at == ENCODED else encode_request(args))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces), db


class PropagatedStream:
    """Encodes the batches that `Core.sinks` get, one after another.

    Attributes
    ----------
    db : int
        The database that the reader has selected, -1 when he has to be told first.
    """

    __slots__ = ("db",)

    def __init__(self) -> None:
        self.db = NO_DB

    def encode(self, batch: Iterable[tuple[int, list[bytes]]]) -> bytes:
        """Return a batch as bytes; see `encode_batch`."""
        data, self.db = encode_batch(batch, self.db)
        return data

    def restart(self) -> None:
        """Say SELECT before the next command: another file or another reader begins."""
        self.db = NO_DB


def _select(db: int) -> bytes:
    number = b"%d" % db
    return b"*2\r\n$6\r\nSELECT\r\n$%d\r\n%b\r\n" % (len(number), number)
