"""What a client's connection takes: the figures of CLIENT LIST, which client eviction goes by.

They are Redis's, for buffers like Redis's: a query buffer that goes when a client is idle, and a buffer for replies that
shrinks and grows with what it was used for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from trignb.engine.session import Session

__all__ = [
    "DEFAULT_PEAK_S",
    "Buffers",
    "ClientMemory",
    "ReplyBuffer",
    "client_memory",
    "total_memory",
]

# A client without any buffers; an empty query buffer; what a command's argument takes besides.
_CLIENT: Final = 896
_EMPTY: Final = 8
_HEADER: Final = 6
_POINTER: Final = 8
_QUEUED: Final = 24
_WATCHED: Final = 80
_SUBSCRIBED: Final = 40
_CHUNK: Final = 24

_LARGEST_REPLY: Final = 16 * 1024
_SMALLEST_REPLY: Final = 1024
DEFAULT_PEAK_S: Final = 5.0


class Buffers(NamedTuple):
    """What a connection holds.

    ``query`` and ``query_room`` are bytes of the query buffer and what it holds besides; ``args`` the command that
    waits, ``unsent`` and ``chunks`` what the client has not read, in bytes and pieces.
    """

    query: int = 0
    query_room: int = 0
    args: list[bytes] | None = None
    reply_size: int = 0
    reply_peak: int = 0
    unsent: int = 0
    chunks: int = 0


class ClientMemory(NamedTuple):
    """Fields of CLIENT LIST, in bytes."""

    query: int
    query_room: int
    args: int
    queue: int
    reply_size: int
    reply_peak: int
    chunks: int
    unsent: int
    total: int


class ReplyBuffer:
    """The size of a buffer for replies, as Redis would choose it.

    Attributes
    ----------
    size : int
        Bytes.
    peak : int
        The most that was used of it lately.
    shrinks, expands : int
        How often all of them were made smaller and larger.
    keeps_size : bool
        Whether none of them changes (DEBUG REPLYBUFFER).
    peak_s : float
        How long a peak is remembered.
    """

    shrinks = expands = 0
    keeps_size = False
    peak_s = DEFAULT_PEAK_S

    __slots__ = ("peak", "since_s", "size")

    def __init__(self) -> None:
        self.size = self.peak = _LARGEST_REPLY
        # Before any time: the first look begins anew.
        self.since_s = -math.inf

    def adapt(self, now_s: float) -> None:
        """Change the size for what was used of it; called once a second."""
        kind = ReplyBuffer
        if kind.keeps_size:
            return
        if self.peak < self.size // 2 and self.size > _SMALLEST_REPLY:
            self.size = max(_SMALLEST_REPLY, self.peak + 1)
            kind.shrinks += 1
        elif self.size < _LARGEST_REPLY and self.peak >= self.size:
            self.size = min(_LARGEST_REPLY, self.size * 2)
            kind.expands += 1
        if now_s - self.since_s > kind.peak_s:
            self.peak, self.since_s = 0, now_s


def client_memory(session: Session, running: list[bytes] | None = None) -> ClientMemory:
    """Return what a client takes; `running` is its command at work."""
    link = session.link
    held = Buffers() if link is None else link.buffers(is_running=running is not None)
    args = running or held.args or []
    queued = [words for _, words in session.queue or ()]
    in_args = sum(map(len, args))
    in_queue = sum(len(word) for words in queued for word in words)
    multi = in_queue + _QUEUED * len(queued)
    if link is None:
        return ClientMemory(0, 0, in_args, multi, 0, 0, 0, 0, 0)
    unsent = held.unsent + _CHUNK * held.chunks
    query = held.query + held.query_room
    total = (
        _CLIENT
        + (query + _HEADER if query else _EMPTY)
        + held.reply_size
        + in_args
        + _POINTER * len(args)
        + multi
        + sum(_POINTER * len(words) for words in queued)
        + _QUEUED * bool(queued)
        + _WATCHED * len(session.watched)
        + _SUBSCRIBED
        * (len(session.channels) + len(session.patterns) + len(session.shard_channels))
        + unsent
    )
    return ClientMemory(
        held.query,
        held.query_room,
        in_args,
        multi,
        held.reply_size,
        held.reply_peak,
        held.chunks,
        unsent,
        total,
    )


def total_memory(session: Session) -> int:
    """Return all bytes that a client takes, 0 for one in this process."""
    return 0 if session.link is None else client_memory(session).total
