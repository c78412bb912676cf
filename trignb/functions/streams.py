"""Stream triggers: what they registered, and per stream how far they have read.

Source: triggers and functions, section 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.functions.failures import Failure
    from trignb.functions.library import Library
    from trignb.js.runtime import Registration

__all__ = ["StreamPosition", "StreamTrigger", "check_same_prefix"]


class StreamPosition:
    """How far one trigger has read one stream, and its statistics; times are ms.

    ``last_read`` is the (ms, seq) of the newest record read, None before the first.
    """

    __slots__ = (
        "last_error",
        "last_lag",
        "last_processed_time",
        "last_read",
        "name",
        "pending",
        "total_lag",
        "total_processed_time",
        "total_record_processed",
    )

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.last_read: tuple[int, int] | None = None
        self.pending: dict[tuple[int, int], None] = {}
        self.last_error: Failure | None = None
        self.last_lag = self.total_lag = 0
        self.last_processed_time = self.total_processed_time = 0
        self.total_record_processed = 0


class StreamTrigger:
    """One registered stream trigger of one loaded version of a library.

    ``window`` is how many records of one stream may be under way in the background,
    ``trimmed`` whether records are removed once processed, ``streams`` the positions by
    stream name, which outlive a REPLACE.
    """

    kind = "stream_trigger"

    def __init__(
        self,
        owner: Library,
        registration: Registration,
        streams: dict[bytes, StreamPosition],
    ) -> None:
        self.owner = owner
        self.library = owner.name
        self.name = registration.name
        self.prefix = registration.prefix
        self.description = registration.description
        self.is_async = registration.is_async
        self.line = registration.line
        self.callback = registration.callback
        self.window = registration.window
        self.trimmed = registration.trimmed
        self.streams = streams

    def position(self, stream: bytes) -> StreamPosition:
        """Return how far a stream was read; one never seen starts at its beginning."""
        if stream not in self.streams:
            self.streams[stream] = StreamPosition(stream)
        return self.streams[stream]

    def __repr__(self) -> str:
        return f"<StreamTrigger {self.library}.{self.name} prefix={self.prefix!r}>"


def check_same_prefix(old: StreamTrigger | None, registration: Registration) -> None:
    """Refuse an upgrade that would make positions meaningless."""
    if old is None or old.prefix == registration.prefix:
        return
    raise ResponseError(
        "Can not upgrade an existing consumer with different prefix, consumer: "
        f"'{old.name}', old_prefix: {_printable(old.prefix)}, "
        f"new_prefix: {_printable(registration.prefix)}."
    )


def _printable(prefix: bytes) -> str:
    try:
        return prefix.decode()
    except UnicodeDecodeError:
        return "[binary data]"
