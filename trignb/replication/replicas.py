"""The replicas of this engine: how they come, what they acknowledge, when they are given up."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Final, TypeVar, cast

from trignb.engine.args import to_int
from trignb.engine.spec import WRITE
from trignb.errors import ResponseError
from trignb.replication.replica import SENDING, WAITING, Replica
from trignb.replication.stream import PING
from trignb.reply import NO_REPLY, OK, NoReply, Status

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command
    from trignb.replication.feed import Feed
    from trignb.replication.full_sync import FullSyncs
    from trignb.replication.replica import ReplicaLink
    from trignb.replication.waits import Waits

__all__ = ["Replicas", "switch"]

logger = logging.getLogger(__name__)

Args = list[bytes]

# A sign of life to a replica that waits for its snapshot, and how often it gets one.
_ALIVE: Final = b"\n"
_ALIVE_S: Final = 1.0
_LONGEST_ADDRESS: Final = 255

_TOO_FEW: Final = "NOREPLICAS Not enough good replicas to write."

Gate = TypeVar("Gate")


class Replicas:
    """Who follows this engine.

    Attributes
    ----------
    partial_syncs, refused_partial_syncs : int
        How often one went on where it had been, and how often that was not possible.
    """

    def __init__(self, core: Core, feed: Feed, syncs: FullSyncs, waits: Waits) -> None:
        self.core = core
        self.feed = feed
        self.syncs = syncs
        self.waits = waits
        self.partial_syncs = self.refused_partial_syncs = 0
        self._pinged_at = self._alive_at = self._alone_since = time.monotonic()
        core.config.on_change("min-replicas-to-write", self._choose_gate)

    # -- the handshake

    def configure(self, session: Session, options: Args) -> Status | NoReply:
        """Take note of what REPLCONF says."""
        for option, value in zip(options[::2], options[1::2], strict=True):
            word = option.lower()
            if word == b"ack":
                self._acknowledge(session, value, options)
                return NO_REPLY
            self._note(session, word, option, value)
        return OK

    def _note(self, session: Session, word: bytes, option: bytes, value: bytes) -> None:
        match word:
            case b"listening-port":
                self._of(session).port = to_int(value)
            case b"ip-address":
                if len(value) > _LONGEST_ADDRESS:
                    raise ResponseError(
                        "ERR REPLCONF ip-address provided by replica instance is too long: "
                        f"{len(value)} bytes"
                    )
                self._of(session).ip = value.decode("utf-8", "replace")
            case b"capa":
                self._of(session).capabilities.add(value.lower())
            case b"rdb-only":
                self._of(session).wants_only_rdb = bool(_zero_or_one(value))
            case b"rdb-filter-only":
                self._of(session).wants_only_functions = _filters_functions(value)
            case b"getack":
                pass
            case _:
                shown = option.decode("utf-8", "replace")
                raise ResponseError(f"ERR Unrecognized REPLCONF option: {shown}")

    def _of(self, session: Session) -> Replica:
        """Return what is known of the replica behind a session."""
        if session.replica is None:
            # A client that only says things about itself may well be in this process.
            session.replica = Replica(session, cast("ReplicaLink", session.link))
        return cast("Replica", session.replica)

    def synchronise(self, session: Session, args: Args) -> NoReply:
        """Have a client follow this engine, from where it was if that can be (PSYNC)."""
        wanted, offset = args[1].decode("utf-8", "replace"), to_int(args[2])
        replica = self._welcome(session)
        if replica is None:
            return NO_REPLY
        if self._continue(replica, wanted, offset):
            return NO_REPLY
        if wanted != "?":
            self.refused_partial_syncs += 1
        self.syncs.ask(replica)
        return NO_REPLY

    def synchronise_old(self, session: Session) -> NoReply:
        """Have a client follow this engine that knows nothing of offsets (SYNC)."""
        replica = self._welcome(session)
        if replica is not None:
            replica.is_old = True
            self.syncs.ask(replica)
        return NO_REPLY

    def _welcome(self, session: Session) -> Replica | None:
        """Attach the client, None if it is attached already."""
        if session.link is None:
            raise ResponseError(
                "ERR a replica needs a connection of its own: serve the engine on a port, "
                "or take engine.replica()"
            )
        replica = self._of(session)
        if replica.is_attached:
            return None
        self.feed.replicas[replica] = None
        replica.state = WAITING
        return replica

    def _continue(self, replica: Replica, wanted: str, offset: int) -> bool:
        """Go on with somebody who was a replica before; tells whether that is possible."""
        feed = self.feed
        if feed.backlog is None or not feed.can_continue(wanted, offset):
            return False
        answer = f"+CONTINUE {feed.id}" if replica.knows_ids else "+CONTINUE"
        replica.link.send_soon(answer.encode() + b"\r\n")
        missed = feed.backlog.since(offset, plain=not replica.is_ours)
        if missed:
            replica.link.send_soon(missed)
        replica.ack_offset = offset - 1
        replica.go_online()
        self.partial_syncs += 1
        return True

    # -- acknowledgements

    def _acknowledge(self, session: Session, value: bytes, options: Args) -> None:
        replica = session.replica
        if replica is None or not replica.is_attached:
            return
        replica.ack_offset = max(replica.ack_offset, to_int(value))
        if len(options) > 3 and options[2].lower() == b"fack":
            replica.aof_offset = max(replica.aof_offset, to_int(options[3]))
        replica.ack_at = time.monotonic()
        if replica.goes_online_by_ack:
            replica.go_online()
        self.waits.look()

    # -- who there is

    def attached(self) -> list[Replica]:
        """Return everybody who follows, with what was left behind taken away."""
        gone = [r for r in self.feed.replicas if r.is_gone]
        for replica in gone:
            replica.session.close()
            self.leave(replica)
        return list(self.feed.replicas)

    def leave(self, replica: Replica) -> None:
        """Take note that a replica went away; the lock is held."""
        self.feed.replicas.pop(replica, None)
        self.syncs.leave(replica)
        if not self.feed.replicas:
            self._alone_since = time.monotonic()

    def disconnect(self) -> None:
        """Hang up on everybody: they are to ask again."""
        for replica in self.attached():
            replica.session.close()
            self.leave(replica)

    def count_good(self) -> int:
        """Return how many are near enough to count for ``min-replicas-to-write``."""
        longest_s = self.core.config.values["min-replicas-max-lag"]
        return sum(r.is_online and r.lag_s <= longest_s for r in self.attached())

    def _choose_gate(self, wanted: int) -> None:
        switch(self.core.gates, self._gate, is_on=bool(wanted))
        switch(self.core.script_gates, self._script_gate, is_on=bool(wanted))
        self.core.rearm_sessions()

    @property
    def _are_too_few(self) -> bool:
        wanted = self.core.config.values["min-replicas-to-write"]
        return not self.core.is_replica and self.count_good() < wanted

    def _gate(self, session: Session, command: Command, _args: Args) -> None:
        queued = (session.queue or ()) if command.name == "exec" else ()
        writes = command.flags & WRITE or any(c.flags & WRITE for c, _ in queued)
        if writes and self._are_too_few:
            raise session.refuse(command, _TOO_FEW)

    def _script_gate(self, flags: Collection[str] | None) -> None:
        if flags is not None and "no-writes" not in flags and self._are_too_few:
            raise ResponseError(_TOO_FEW)

    # -- as time goes by

    def look(self) -> None:
        """Do what has fallen due; the lock is held and no unit is open."""
        now, values = time.monotonic(), self.core.config.values
        replicas = self.attached()
        self.syncs.look()
        if now - self._alive_at >= _ALIVE_S:
            self._alive_at = now
            for replica in replicas:
                if replica.state == WAITING:
                    replica.link.send_soon(_ALIVE)
        if now - self._pinged_at >= values["repl-ping-replica-period"]:
            self._pinged_at = now
            is_far = any(not replica.is_local for replica in replicas)
            if is_far and not self.core.is_replica:
                self.feed.append(PING)
        self._give_up(replicas, now)

    def _give_up(self, replicas: list[Replica], now: float) -> None:
        """End what has lasted too long: a silence, and being alone."""
        values = self.core.config.values
        for replica in replicas:
            answers = not (replica.is_old or replica.is_local)
            if (
                replica.is_online
                and answers
                and now - replica.ack_at > values["repl-timeout"]
            ):
                logger.warning("replica %s:%s timed out", *replica.address)
                replica.session.close()
            self._limit(replica)
        patience_s = values["repl-backlog-ttl"]
        if (
            not replicas
            and patience_s
            and self.feed.backlog is not None
            and not self.core.is_replica
            and now - self._alone_since > patience_s
        ):
            self.feed.stop()

    def _limit(self, replica: Replica) -> None:
        """End a replica for which too much waits while it gets its snapshot."""
        if replica.state == SENDING:
            hard, _, _ = self.core.config.values["client-output-buffer-limit"]["slave"]
            if hard and replica.owed_bytes > hard:
                logger.warning("too much waits for replica %s:%s", *replica.address)
                replica.session.close()


def switch(gates: list[Gate], gate: Gate, *, is_on: bool) -> None:
    """Have a gate among others, or not."""
    if is_on and gate not in gates:
        gates.append(gate)
    elif not is_on and gate in gates:
        gates.remove(gate)


def _zero_or_one(value: bytes) -> int:
    number = to_int(value)
    if not 0 <= number <= 1:
        raise ResponseError("ERR value is out of range, value must between 0 and 1")
    return number


def _filters_functions(value: bytes) -> bool:
    words = value.split()
    for each in words:
        if each.lower() != b"functions":
            shown = each.decode("utf-8", "replace")
            raise ResponseError(f"ERR Unsupported rdb-filter-only option: {shown}")
    return bool(words)
