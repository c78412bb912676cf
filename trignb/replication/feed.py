"""The stream of what happens here: its numbering, the end of it, and who gets it.

On a primary it is made of what units propagate. A replica passes on what it gets, byte for byte, so that
its own replicas, and everybody after a promotion, count the same bytes.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from trignb.replication.backlog import Backlog
from trignb.replication.stream import encode, hide
from trignb.resp.propagated import PropagatedStream

if TYPE_CHECKING:
    from trignb.engine.core import Core, Effect
    from trignb.replication.replica import Replica

__all__ = ["NO_ID", "Feed"]

NO_ID: Final = "0" * 40


class Feed:
    """One engine's stream.

    Attributes
    ----------
    offset : int
        How many bytes there were.
    former_id, former_end : str, int
        Id of the stream that this one went on from, and the first offset that is not common.
    backlog : Backlog or None
        The end of the stream; None while nobody has asked for any.
    replicas : dict of Replica
        Who gets it.
    selected : int
        Database that the stream has selected last.
    """

    # What `Core.withhold` calls replicas.
    target = 2

    def __init__(self, core: Core) -> None:
        self.core = core
        self.offset = 0
        self.former_id = NO_ID
        self.former_end = -1
        self.backlog: Backlog | None = None
        self.replicas: dict[Replica, None] = {}
        self.selected = 0
        self._stream = PropagatedStream()
        core.config.on_change("repl-backlog-size", self._resize)

    @property
    def id(self) -> str:
        """Id of the stream."""
        return self.core.replication_id

    # -- from when on to when

    def start(self) -> None:
        """Count and keep the stream from now on."""
        if self.backlog is None:
            size = self.core.config.values["repl-backlog-size"]
            self.backlog = Backlog(self.offset + 1, size)
        self._choose_sink()

    def stop(self) -> None:
        """Keep nothing any more; what comes later is another stream."""
        self.backlog = None
        self.begin_anew()
        self._choose_sink()

    def role_changed(self) -> None:
        """Take note that `Core.is_replica` has changed."""
        self._choose_sink()

    def _choose_sink(self) -> None:
        core = self.core
        wanted = self.backlog is not None and not core.is_replica
        if wanted != (self._sink in core.sinks):
            if wanted:
                core.sinks.append(self._sink)
            else:
                core.sinks.remove(self._sink)
            core.sinks_changed()

    def _resize(self, size: int) -> None:
        if self.backlog is not None:
            self.backlog.resize(size)

    # -- whose stream it is

    def begin_anew(self) -> None:
        """Be a stream that has nothing in common with an earlier one."""
        self.core.replication_id = secrets.token_hex(20)
        self.former_id, self.former_end = NO_ID, -1

    def branch_off(self, new_id: str | None = None) -> None:
        """Go on as another stream, with everything up to here in common."""
        self.former_id, self.former_end = self.id, self.offset + 1
        self.core.replication_id = new_id or secrets.token_hex(20)

    def follow(self, stream_id: str, offset: int) -> None:
        """Be the stream of a primary, from an offset on."""
        self.core.replication_id, self.offset = stream_id, offset
        self.former_id, self.former_end = NO_ID, -1
        self.backlog = None
        self.start()

    def can_continue(self, stream_id: str, offset: int) -> bool:
        """Whether somebody who wants that byte of that stream next can go on."""
        is_ours = stream_id == self.id or (
            stream_id == self.former_id and offset <= self.former_end
        )
        return is_ours and self.backlog is not None and self.backlog.has(offset)

    # -- the stream itself

    def say_select(self) -> None:
        """Begin what comes next with SELECT: somebody new reads it."""
        self._stream.restart()

    def _sink(self, batch: list[Effect]) -> None:
        data, spans = encode(self._stream, batch)
        if self._stream.db >= 0:
            self.selected = self._stream.db
        self.append(data, spans)

    def append(self, data: bytes, spans: list[tuple[int, int]] | None = None) -> None:
        """Pass bytes on to everybody; the lock is held."""
        spans = spans or []
        self.offset += len(data)
        if self.backlog is not None:
            self.backlog.append(data, spans)
        if self.replicas:
            plain = hide(data, spans)
            for replica in list(self.replicas):
                replica.receive(data if replica.is_ours else plain)
