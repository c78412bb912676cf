"""A replica in the same process: fed by a call instead of a socket, so it has everything at once.

The primary's thread runs the stream on the replica before its command returns. Locks are taken in this order only:
the primary's, then the replica's. So whoever holds the replica's alone just says that it leaves; the primary
forgets it when it looks next.
"""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Final

from trignb.clock import Clock, Moment
from trignb.datatypes.rdb import RDB_VERSION
from trignb.engine.client_memory import Buffers
from trignb.engine.session import Session
from trignb.persistence.rdb_file import RdbWriter, read_rdb
from trignb.replication.handshake import Offer
from trignb.replication.replica import ONLINE, Replica

if TYPE_CHECKING:
    from trignb.replication.role import Replication

__all__ = ["LocalLink", "PrimaryClock"]

_HOST: Final = "in-process"


class PrimaryClock(Clock):
    """The clock of a replica in this process: its primary's, whoever moves it."""

    def __init__(self, primary: Clock) -> None:
        self._primary: Clock | None = primary
        super().__init__()
        self.read = lambda: primary.read()

    @property
    def frozen(self) -> bool:
        """Whether time stands still."""
        return self._frozen if self._primary is None else self._primary.frozen

    @frozen.setter
    def frozen(self, value: bool) -> None:
        self._frozen = value

    def freeze(self, at: Moment | None = None) -> None:
        """Stop the primary's clock; see `Clock.freeze`."""
        if self._primary is None:
            super().freeze(at)
        else:
            self._primary.freeze(at)

    def advance(self, seconds: float = 0, *, milliseconds: float = 0) -> None:
        """Move the primary's clock; see `Clock.advance`."""
        if self._primary is None:
            super().advance(seconds, milliseconds=milliseconds)
        else:
            self._primary.advance(seconds, milliseconds=milliseconds)

    def resume(self) -> None:
        """Let the primary's clock run with the system's."""
        if self._primary is None:
            super().resume()
        else:
            self._primary.resume()

    def part(self) -> None:
        """Be a clock of one's own from now on, at the same time."""
        primary, self._primary = self._primary, None
        if primary is not None:
            self._frozen, self.read = primary.frozen, primary.read
            self.held_ns = primary.held_ns
            self._tell()


class LocalLink:
    """The link of two engines in this process, seen from both sides.

    For the replica it is where the stream comes from, for the primary where it goes.

    Parameters
    ----------
    primary, replica : Replication
        The two sides.
    """

    host = _HOST
    port = 0
    sync_bytes = sync_total = 0
    # Nothing is ever on its way.
    output_bytes = query_bytes = idle_s = 0

    def buffers(self, *, is_running: bool) -> Buffers:
        """Return that it holds nothing."""
        return Buffers()

    def __init__(self, primary: Replication, replica: Replication) -> None:
        self._primary = primary
        self._follows = replica
        self._replica: Replica | None = None
        self._has_left = False
        # An interrupt struck while something was applied: what is there is not to be relied on.
        self._is_broken = False
        self.state = "connect"
        self.down_since: float | None = None

    # -- for the replica

    @property
    def is_up(self) -> bool:
        """Whether the replica gets what happens at the primary."""
        return self.state == "connected"

    @property
    def silence_s(self) -> int:
        """Seconds since the primary was heard of: none, or -1 without a link."""
        return 0 if self.is_up else -1

    def acknowledge(self) -> None:
        """Tell the primary what the replica has."""
        if self._replica is not None:
            self._replica.ack_offset = self._follows.feed.offset

    def close(self) -> None:
        """Leave; any thread, whatever lock it holds."""
        self._has_left = True
        self._go_down()
        if self._replica is not None:
            self._replica.has_left = True
        clock = self._follows.core.clock
        if isinstance(clock, PrimaryClock):
            clock.part()

    def join(self) -> None:
        """Do nothing: what comes comes on the primary's thread."""

    def _go_down(self) -> None:
        if self.is_up:
            self.down_since = time.monotonic()
        self.state = "connect"

    # -- for the primary; its lock is held

    def start(self) -> None:
        """Make the one a replica of the other; no lock is held."""
        with self._primary.core.lock, self._follows.core.lock:
            self._follows.become_replica(self)
            self.attach()

    def attach(self) -> None:
        """Have the replica follow, from where it was if that can be."""
        source, feed = self._primary, self._primary.feed
        session = Session(source.core, 2)
        session.link = self
        session.replica = self._replica = replica = Replica(session, self)
        replica.capabilities |= {b"psync2", b"trignb"}
        replica.ip, replica.is_local = _HOST, True
        feed.start()
        missed = self._continue()
        if missed is None:
            self._copy()
        replica.state = ONLINE
        self.state = "connected"
        feed.replicas[replica] = None
        if missed:
            self.send_soon(missed)
        self.acknowledge()

    def _continue(self) -> bytes | None:
        """Return what the replica has missed, None if it needs everything."""
        feed, backlog = self._primary.feed, self._primary.feed.backlog
        wanted, offset = self._follows.position()
        if backlog is None or not feed.can_continue(wanted, offset):
            return None
        self._follows.continued(self, feed.id)
        return backlog.since(offset, plain=False)

    def _copy(self) -> None:
        """Give the replica everything there is."""
        source, feed = self._primary, self._primary.feed
        saver, file = source.saver, io.BytesIO()
        facts = saver.facts() | {b"repl-stream-db": b"%d" % feed.selected}
        out = RdbWriter(file, source.core.config.values, RDB_VERSION)
        with saver.begin(out, facts, saver.codes()):
            saver.write_keys(out)
        contents = read_rdb(file.getvalue(), self._follows.core.config.values)
        offer = Offer(is_full=True, id=feed.id, offset=feed.offset)
        self._follows.loaded(self, contents, offer)
        self._is_broken = False

    def send_soon(self, data: bytes) -> None:
        """Apply the next bytes of the stream, now."""
        if self._has_left:
            return
        if self._is_broken:
            self._copy()
            return
        core = self._follows.core
        core.acquire_in_background()
        try:
            follower = self._follows.follower
            if self._follows.upstream is self and follower is not None:
                self._is_broken = True
                for request in follower.parser.feed(data):
                    follower.apply(request)
                self._is_broken = False
        finally:
            core.lock.release()
        self.acknowledge()

    def end_soon(self) -> None:
        """Do as if the link had been cut."""
        self.session_closed()

    def session_closed(self) -> None:
        """Come back at once, as long as the primary is there: the link was cut."""
        self._go_down()
        if not (self._has_left or self._primary.is_closing):
            with self._primary.core.lock:
                self.attach()

    def fileno(self) -> int:
        """Return -1: there is no descriptor."""
        return -1
