"""Which side of a replication an engine is on, and what changes when it changes sides."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from trignb.engine.spec import STALE, WRITE
from trignb.errors import ResponseError
from trignb.persistence.loading import install
from trignb.replication.applying import Follower
from trignb.replication.failover import Failover
from trignb.replication.feed import Feed
from trignb.replication.full_sync import FullSyncs
from trignb.replication.information import count_syncs, describe, measure
from trignb.replication.link import PrimaryLink
from trignb.replication.replicas import Replicas, switch
from trignb.replication.stream import GETACK
from trignb.replication.waits import Waits

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command
    from trignb.persistence.rdb_file import Contents
    from trignb.persistence.saving import Saver
    from trignb.replication.handshake import Offer

__all__ = ["Replication", "Upstream"]

Args = list[bytes]

_PERIOD_S: Final = 0.1
# How often replicas are asked for acknowledgements before an end.
_ASK_S: Final = 1.0
_READ_ONLY: Final = "READONLY You can't write against a read only replica."
_STALE_INSIDE: Final = "ERR Can not execute the command on a stale replica"
_STALE: Final = (
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
)
_UNBLOCKED: Final = (
    "UNBLOCKED force unblock from blocking operation, instance state changed "
    "(master -> replica?)"
)


class Upstream(Protocol):
    """The way from our primary: a socket, or an engine in this process."""

    host: str
    port: int
    state: str
    down_since: float | None
    sync_bytes: int
    sync_total: int

    @property
    def is_up(self) -> bool:
        """Whether we get what happens at the primary."""

    @property
    def silence_s(self) -> int:
        """Whole seconds since the primary was heard of, -1 without a link."""

    def acknowledge(self) -> None:
        """Tell the primary what we have."""

    def close(self) -> None:
        """Hang up."""

    def join(self) -> None:
        """Wait until nothing comes any more."""


class Replication:
    """One engine's part in a replication.

    Attributes
    ----------
    feed : Feed
        The stream of what happens here.
    replicas : Replicas
        Who gets it.
    upstream : PrimaryLink, LocalLink or None
        Our primary, None on a primary.
    follower : Follower or None
        What has come from it; None before the first sync.
    listeners : list of callable
        Called when `Core.is_replica` has changed, with the lock held.
    """

    def __init__(self, saver: Saver) -> None:
        self.core: Core = saver.core
        self.saver = saver
        self.feed = Feed(self.core)
        self.waits = Waits(self.feed)
        self.syncs = FullSyncs(saver, self.feed)
        self.replicas = Replicas(self.core, self.feed, self.syncs, self.waits)
        self.failover = Failover(self)
        self.upstream: Upstream | None = None
        self.follower: Follower | None = None
        self.listeners: list[Callable[[], None]] = []
        self.is_closing = False
        self._is_installing = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        core = self.core
        core.replaced_listeners.append(self._contents_replaced)
        core.lagging_replicas = self.lagging
        self._asked_at = 0.0
        core.info_facts["replication"] = partial(describe, self)
        core.info_facts["stats"] = partial(count_syncs, self)
        core.info_facts["memory"] = partial(measure, self)
        core.config.on_change("replicaof", self._configured)
        for name in ("replica-read-only", "replica-serve-stale-data"):
            core.config.on_change(name, lambda _value: self._choose_gates())

    # -- changing sides; the lock is held

    def follow(self, host: str, port: int, *, hands_over: bool = False) -> None:
        """Become a replica of whoever listens there; `hands_over` asks him to take over."""
        link = PrimaryLink(self, host, port, hands_over=hands_over)
        self.become_replica(link)
        self.core.config.values["replicaof"] = f"{host} {port}"
        link.start()

    def become_replica(self, upstream: Upstream) -> None:
        """Become a replica of a primary that sends by itself."""
        self._leave_primary()
        self.upstream = upstream
        was_replica, self.core.is_replica = self.core.is_replica, True
        self.feed.role_changed()
        # They follow somebody who is no primary any more, and have to ask again.
        self.replicas.disconnect()
        if not was_replica:
            self._role_changed()
            self._unblock_all()
        self._choose_gates()

    def promote(self) -> None:
        """Become a primary, with what there is."""
        self.core.config.values["replicaof"] = ""
        if not self.core.is_replica:
            return
        self._leave_primary()
        if self.follower is not None:
            self.follower.close()
            self.follower = None
        self.feed.branch_off()
        # Who comes back from being a primary itself knows nothing of the database selected.
        self.feed.say_select()
        self.core.is_replica = False
        self.feed.role_changed()
        self.replicas.disconnect()
        self._choose_gates()
        self._role_changed()

    def _leave_primary(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()

    def _role_changed(self) -> None:
        for listener in self.listeners:
            listener()

    def _unblock_all(self) -> None:
        """End what waits for a write that nobody may do any more."""
        if self.core.blocking.abandon(_UNBLOCKED) and self.core.argv:
            # As in Redis their errors are one of the command that ended their waits.
            command = self.core.table.find(self.core.argv[0])
            if command is not None:
                command.failed += 1

    def _configured(self, text: str) -> None:
        host, _, port = text.strip().rpartition(" ")
        if host and port.isdigit():
            self.follow(host.strip(), int(port))

    # -- what an upstream tells

    def position(self) -> tuple[str, int]:
        """Return the stream we have a part of, and the byte we need next."""
        if self.feed.backlog is None:
            return "?", -1
        return self.feed.id, self.feed.offset + 1

    def announced_port(self) -> int:
        """Return where our primary is told that we listen."""
        values = self.core.config.values
        kind = "tls-port" if values["tls-replication"] else "port"
        served = (getattr(s, kind.replace("-", "_")) for s in self.core.servers)
        listens = next(filter(None, served), values[kind])
        port = values["replica-announce-port"] or listens
        return int(port)

    def acknowledgement(self) -> Args:
        """Return the command that tells a primary what we have, on disk as well."""
        core = self.core
        core.acquire_in_background()
        try:
            words = [b"REPLCONF", b"ACK", b"%d" % self.feed.offset]
            if core.aof.is_on and core.aof.sync():
                words += [b"FACK", b"%d" % self.feed.offset]
            return words
        finally:
            core.lock.release()

    def loaded(self, upstream: Upstream, contents: Contents, offer: Offer) -> None:
        """Take everything that our primary has.

        Raises
        ------
        RdbError
            When it cannot be loaded; nothing has changed then.
        """
        self.core.acquire_in_background()
        try:
            if self.upstream is not upstream:
                return
            self._is_installing = True
            try:
                install(self.core, self.saver.libraries, contents)
            finally:
                self._is_installing = False
            self.feed.follow(offer.id, offer.offset)
            self._follow_anew(int(contents.aux.get(b"repl-stream-db", b"0")))
            self.replicas.disconnect()
        finally:
            self.core.lock.release()

    def continued(self, upstream: Upstream, stream_id: str) -> bool:
        """Go on where we were; tells whether this is still our primary."""
        self.core.acquire_in_background()
        try:
            if self.upstream is not upstream:
                return False
            if stream_id and stream_id != self.feed.id:
                self.feed.branch_off(stream_id)
                self.replicas.disconnect()
            if self.follower is None:
                self._follow_anew(self.feed.selected)
            else:
                self.follower.restart()
            return True
        finally:
            self.core.lock.release()

    def handed_over(self, upstream: Upstream, *, done: bool) -> None:
        """Take note of how a FAILOVER ended."""
        self.core.acquire_in_background()
        try:
            if self.upstream is not upstream:
                return
            if done:
                self.failover.succeeded()
            else:
                self.failover.abort()
        finally:
            self.core.lock.release()

    def _follow_anew(self, db: int) -> None:
        upstream = self.upstream
        assert upstream is not None
        if self.follower is not None:
            self.follower.close()
        address = f"{upstream.host}:{upstream.port}"
        self.follower = Follower(self.feed, db, address, upstream.acknowledge)
        self.feed.selected = db

    def _contents_replaced(self) -> None:
        """Take note that somebody else loaded something: nobody has that in common with us."""
        if self._is_installing or self.feed.backlog is None:
            return
        self.feed.begin_anew()
        self.replicas.disconnect()

    # -- what a replica refuses

    def _choose_gates(self) -> None:
        core, values = self.core, self.core.config.values
        refuses_writes = core.is_replica and values["replica-read-only"]
        refuses_stale = core.is_replica and not values["replica-serve-stale-data"]
        switch(core.gates, self._refuse_writes, is_on=refuses_writes)
        switch(core.script_gates, self._refuse_script, is_on=refuses_writes)
        switch(core.gates, self._refuse_stale, is_on=refuses_stale)
        switch(core.script_gates, self._refuse_stale_script, is_on=refuses_stale)
        core.rearm_sessions()

    def _refuse_writes(self, session: Session, command: Command, _args: Args) -> None:
        queued = (session.queue or ()) if command.name == "exec" else ()
        if command.flags & WRITE or any(c.flags & WRITE for c, _ in queued):
            raise session.refuse(command, _READ_ONLY)

    def _refuse_script(self, flags: Collection[str] | None) -> None:
        if flags is not None and "no-writes" not in flags:
            raise ResponseError(_READ_ONLY)

    @property
    def _is_stale(self) -> bool:
        return self.upstream is not None and not self.upstream.is_up

    def _refuse_stale(self, session: Session, command: Command, _args: Args) -> None:
        if self._is_stale and not command.flags & STALE:
            is_inside = self.core.frame.origin == "script"
            raise session.refuse(command, _STALE_INSIDE if is_inside else _STALE)

    def _refuse_stale_script(self, flags: Collection[str] | None) -> None:
        if self._is_stale and "allow-stale" not in (flags or ()):
            raise ResponseError(_STALE)

    # -- as time goes by

    def ask_for_acks(self) -> None:
        """Have every replica say what it has; the lock is held."""
        if self.feed.replicas:
            self.feed.append(GETACK)

    def lagging(self) -> list[str]:
        """Describe the replicas that have not got everything; they are asked to tell."""
        offset, now = self.feed.offset, time.monotonic()
        late = [
            replica
            for replica in self.replicas.attached()
            if replica.is_online
            and not (replica.is_local or replica.is_old)
            and replica.ack_offset < offset
        ]
        if late and now - self._asked_at > _ASK_S:
            self._asked_at = now
            self.ask_for_acks()
        return [
            f"{r.address[0]}:{r.address[1]} reported offset {offset - r.ack_offset} "
            f"behind master, lag={r.lag_s}, state={r.state}."
            for r in late
        ]

    def wake(self) -> None:
        """Look after replicas from now on."""
        if self._thread is None and not self.is_closing:
            self._thread = threading.Thread(
                target=_look_now_and_then,
                args=(weakref.ref(self), self._stop),
                name="trignb-replication",
                daemon=True,
            )
            self._thread.start()

    def look(self) -> None:
        """Do what has fallen due."""
        core = self.core
        core.acquire_in_background()
        try:
            if not core.nesting:
                self.replicas.look()
                self.failover.look()
        finally:
            core.lock.release()

    def close(self) -> None:
        """Leave everybody; the lock must not be held."""
        self.is_closing = True
        self._stop.set()
        upstream = self.upstream
        if upstream is not None:
            upstream.close()
            upstream.join()
        self.syncs.close()
        with self.core.lock:
            self.replicas.disconnect()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)


def _look_now_and_then(
    replication_ref: weakref.ref[Replication], stop: threading.Event
) -> None:
    """Look until told to stop, or until there is no engine any more."""
    while not stop.wait(_PERIOD_S):
        replication = replication_ref()
        if replication is None:
            return
        replication.look()
        del replication
