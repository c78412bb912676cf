"""The end of the stream, kept for replicas that lost their link and come back."""

from __future__ import annotations

from collections import deque

from trignb.replication.stream import hide

__all__ = ["Backlog"]


class Backlog:
    """The last bytes of the stream.

    Offsets count bytes of the stream from 1, as Redis does.

    Parameters
    ----------
    first : int
        Offset of the first byte there will be.
    size : int
        How many bytes are kept.

    Attributes
    ----------
    first : int
        Offset of the first byte it has.
    """

    def __init__(self, first: int, size: int) -> None:
        self.first = first
        self._size = size
        self._data = bytearray()
        # Internal commands among the bytes, by offset.
        self._spans: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return len(self._data)

    @property
    def end(self) -> int:
        """Offset of the byte that comes next."""
        return self.first + len(self._data)

    def append(self, data: bytes, spans: list[tuple[int, int]]) -> None:
        """Keep more of the stream; `spans` says where in it internal commands are."""
        if spans:
            end = self.end
            self._spans.extend((end + start, end + stop) for start, stop in spans)
        kept = self._data
        kept += data
        if len(kept) > self._size:
            self._shorten()

    def resize(self, size: int) -> None:
        """Keep so many bytes from now on."""
        self._size = size
        self._shorten()

    def _shorten(self) -> None:
        excess = len(self._data) - self._size
        if excess > 0:
            # A bytearray forgets its beginning without moving the rest.
            del self._data[:excess]
            self.first += excess
        while self._spans and self._spans[0][1] <= self.first:
            self._spans.popleft()

    def has(self, offset: int) -> bool:
        """Whether the stream can be read on from a byte."""
        return self.first <= offset <= self.end

    def since(self, offset: int, *, plain: bool) -> bytes:
        """Return the stream from a byte on; `plain` hides the internal commands."""
        data = bytes(self._data[offset - self.first :])
        if not plain:
            return data
        return hide(data, ((a - offset, b - offset) for a, b in self._spans))
