"""One replica of this engine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from trignb.engine.session import Session

__all__ = ["ONLINE", "SENDING", "WAITING", "Replica", "ReplicaLink"]

# It has asked for a stream and waits for a snapshot; it gets one; it gets the stream.
NEW: Final = "new"
WAITING: Final = "wait_bgsave"
SENDING: Final = "send_bulk"
ONLINE: Final = "online"


class ReplicaLink(Protocol):
    """The way to a replica."""

    @property
    def output_bytes(self) -> int:
        """Bytes that the replica has not read."""

    def send_soon(self, data: bytes) -> None:
        """Send bytes; any thread."""

    def end_soon(self) -> None:
        """Hang up when everything has been sent; any thread."""


class Replica:
    """Who gets the stream, and how far he is.

    Attributes
    ----------
    state : str
        ``new`` until it asks for the stream, ``wait_bgsave``, ``send_bulk``, ``online``.
    port, ip : int, str
        Where it says it listens; 0 and empty when it said nothing.
    capabilities : set of bytes
        What it said it can do.
    ack_offset, aof_offset : int
        What it has, and what it has on disk.
    pending : list of bytes
        The stream since its snapshot, as long as it has not got all of that.
    """

    def __init__(self, session: Session, link: ReplicaLink) -> None:
        self.session = session
        self.link = link
        self.state = NEW
        self.port, self.ip = 0, ""
        self.capabilities: set[bytes] = set()
        self.wants_only_rdb = self.wants_only_functions = False
        # Asked by SYNC: knows nothing of offsets and acknowledges nothing.
        self.is_old = False
        # In this process: gets everything at once, and may leave without a word.
        self.is_local = self.has_left = False
        self.ack_offset = self.aof_offset = 0
        self.ack_at = self.asked_at = time.monotonic()
        self.goes_online_by_ack = False
        self.pending: list[bytes] = []
        self.pending_bytes = 0

    @property
    def is_ours(self) -> bool:
        """Whether it is an engine like this one, and understands internal commands."""
        return b"trignb" in self.capabilities

    @property
    def knows_ids(self) -> bool:
        """Whether it follows a stream that changes its id."""
        return b"psync2" in self.capabilities

    @property
    def is_gone(self) -> bool:
        """Whether it went away, and is only to be forgotten yet."""
        return self.has_left or self.session.closed

    @property
    def is_attached(self) -> bool:
        """Whether it has asked for the stream."""
        return self.state != NEW

    @property
    def is_online(self) -> bool:
        """Whether it gets the stream as it comes."""
        return self.state == ONLINE

    @property
    def address(self) -> tuple[str, int]:
        """Host and port as INFO shows them."""
        host = self.session.address.rpartition(":")[0].strip("[]")
        return self.ip or host, self.port

    @property
    def owed_bytes(self) -> int:
        """Bytes of the stream that it has not got yet."""
        if self.is_online:
            return self.link.output_bytes
        return self.pending_bytes

    @property
    def lag_s(self) -> int:
        """Whole seconds since it acknowledged anything."""
        if self.is_local:
            return 0
        return int(time.monotonic() - self.ack_at)

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the stream; the lock is held."""
        if self.is_gone:
            return
        if self.state == ONLINE:
            self.link.send_soon(data)
        elif self.state == SENDING:
            self.pending.append(data)
            self.pending_bytes += len(data)

    def go_online(self) -> None:
        """Send what has come since the snapshot, and go on with what comes."""
        self.state = ONLINE
        self.goes_online_by_ack = False
        self.ack_at = time.monotonic()
        for data in self.pending:
            self.link.send_soon(data)
        self.pending = []
        self.pending_bytes = 0
