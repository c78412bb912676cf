"""The stream of commands between a primary and its replicas, as bytes.

Our own internal commands (a library was loaded, a stream trigger got ahead) mean nothing to a plain
redis-server. It gets a command of the same length that does nothing in their place, so an offset means
the same for every replica.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from trignb.errors import TrignbError
from trignb.resp.propagated import PropagatedStream, encode_request

__all__ = ["GETACK", "PING", "Request", "StreamError", "StreamParser", "encode", "hide"]

# Where internal commands are in some bytes: first and last but one.
Spans = list[tuple[int, int]]

INTERNAL: Final = b"_rg_internals."
PING: Final = encode_request([b"PING"])
GETACK: Final = encode_request([b"REPLCONF", b"GETACK", b"*"])


class StreamError(TrignbError):
    """What came from the primary is no stream of commands."""


def encode(
    stream: PropagatedStream, batch: list[tuple[int, list[bytes]]]
) -> tuple[bytes, Spans]:
    """Return a batch as bytes, and where internal commands are in them."""
    selected = stream.db
    data = stream.encode(batch)
    # Looked for in all the bytes at once, a third of the time of a look at each name.
    if INTERNAL not in data:
        return data, []
    stream.db = selected
    pieces, spans, end = [], [], 0
    for effect in batch:
        piece = stream.encode([effect])
        pieces.append(piece)
        end += len(piece)
        if effect[1][0].startswith(INTERNAL):
            # A SELECT may stand before it.
            spans.append((end - len(encode_request(effect[1])), end))
    return b"".join(pieces), spans


def hide(data: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    """Return bytes with the internal commands replaced by what any Redis can read.

    A span may begin before the bytes or end behind them.
    """
    spans = list(spans)
    if not spans:
        return data
    shown = bytearray(data)
    for start, end in spans:
        first, last = max(start, 0), min(end, len(data))
        if first < last:
            shown[first:last] = _filler(end - start)[first - start : last - start]
    return bytes(shown)


def _filler(size: int) -> bytes:
    """Return a request of so many bytes (30 at least) that changes nothing anywhere."""
    # The length of the argument is text as well, so one name does not reach every size.
    for name in (b"PING", b"EXISTS"):
        payload = size - len(encode_request([name, b""]))
        for shorter in range(payload, payload - 20, -1):
            filler = encode_request([name, b" " * shorter])
            if len(filler) == size:
                return filler
    raise ValueError(f"no request has {size} bytes")


class Request(NamedTuple):
    """One command of the stream, and the bytes it came in."""

    args: list[bytes]
    raw: bytes


class StreamParser:
    """Cuts the stream into commands."""

    def __init__(self) -> None:
        self._rest = bytearray()
        # So many bytes have to be there before it is worth while to look again.
        self._needed = 0

    def feed(self, data: bytes) -> list[Request]:
        """Return the commands that are complete now.

        Raises
        ------
        StreamError
            When the bytes are no commands.
        """
        rest = self._rest
        rest += data
        if len(rest) < self._needed:
            return []
        text = bytes(rest)
        self._needed = 0
        requests, at = [], 0
        try:
            while at < len(text):
                args, end = _read(text, at)
                requests.append(Request(args, text[at:end]))
                at = end
        except _Incomplete as incomplete:
            self._needed = incomplete.needed - at
        except ValueError:
            raise StreamError("the primary sent no command") from None
        del rest[:at]
        return requests


class _Incomplete(Exception):
    """The rest of a command has not come yet; at least so many bytes are needed."""

    def __init__(self, needed: int = 0) -> None:
        super().__init__()
        self.needed = needed


def _read(text: bytes, at: int) -> tuple[list[bytes], int]:
    """Return the command at a place, and where it ends."""
    if text[at] != 0x2A:
        return _read_line(text, at)
    end = _line_end(text, at)
    count = int(text[at + 1 : end])
    at = end + 2
    args = []
    for _ in range(count):
        end = _line_end(text, at)
        if text[at] != 0x24:
            raise ValueError
        start = end + 2
        at = start + int(text[at + 1 : end]) + 2
        if at > len(text):
            raise _Incomplete(at)
        args.append(text[start : at - 2])
    return args, at


def _line_end(text: bytes, at: int) -> int:
    end = text.find(b"\r\n", at)
    if end < 0:
        raise _Incomplete
    return end


def _read_line(text: bytes, at: int) -> tuple[list[bytes], int]:
    """Return a command that is one line of words; an empty line is sent as a sign of life."""
    end = text.find(b"\n", at)
    if end < 0:
        raise _Incomplete
    return text[at:end].split(), end + 1
