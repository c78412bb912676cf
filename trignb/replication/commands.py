"""REPLICAOF, ROLE, WAIT, WAITAOF, FAILOVER, and what replicas say: PSYNC, SYNC, REPLCONF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trignb.engine.args import INT64_MAX, syntax_error, to_int
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.replication.information import role
from trignb.reply import OK, NoReply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.replication.role import Replication
    from trignb.reply import Reply

__all__ = ["following_family", "waiting_family"]

Args = list[bytes]

_HIGHEST_PORT: Final = 65535


def following_family(replication: Replication) -> CommandFamily:
    """Return the commands of one engine that are about primaries and replicas."""
    family = CommandFamily("server")
    command = family.command

    @command("REPLICAOF")
    def replicaof(s: Session, args: Args) -> Status:
        """Makes this server a replica of another, or a primary: NO ONE."""
        return _change_role(replication, args)

    @command("SLAVEOF")
    def slaveof(s: Session, args: Args) -> Status:
        """Makes this server a replica of another, or a primary, under the old name."""
        return _change_role(replication, args)

    @command("FAILOVER")
    def failover(s: Session, args: Args) -> Status:
        """Hands over to a replica once it has everything."""
        return replication.failover.start(args[1:])

    @command("ROLE")
    def role_(s: Session, args: Args) -> list[Any]:
        """Tells the role in replication."""
        return role(replication)

    @command("PSYNC")
    def psync(s: Session, args: Args) -> NoReply:
        """Has a replica go on where it was, or begin with everything; replicas send it."""
        if len(args) > 3 and args[3].lower() == b"failover":
            _take_over(replication, args[1])
        _check_source(replication)
        replication.wake()
        return replication.replicas.synchronise(s, args)

    @command("SYNC")
    def sync(s: Session, args: Args) -> NoReply:
        """Has a replica begin with everything; old replicas send it."""
        _check_source(replication)
        replication.wake()
        return replication.replicas.synchronise_old(s)

    @command("REPLCONF")
    def replconf(s: Session, args: Args) -> Status | NoReply:
        """Lets a replica say who it is and what it has."""
        if not len(args) % 2:
            raise syntax_error()
        return replication.replicas.configure(s, args[1:])

    return family


def _change_role(replication: Replication, args: Args) -> Status:
    if [arg.lower() for arg in args[1:]] == [b"no", b"one"]:
        replication.promote()
        return OK
    port = to_int(args[2], "ERR Invalid master port")
    if not 0 <= port <= _HIGHEST_PORT:
        raise ResponseError("ERR Invalid master port")
    host = args[1].decode("utf-8", "surrogateescape")
    upstream = replication.upstream
    if upstream is not None and (upstream.host, upstream.port) == (host, port):
        return Status("OK Already connected to specified master")
    replication.follow(host, port)
    return OK


def _take_over(replication: Replication, wanted: bytes) -> None:
    """Become a primary because ours asks for it."""
    if not replication.core.is_replica:
        raise ResponseError("ERR PSYNC FAILOVER can't be sent to a master.")
    if wanted.decode("utf-8", "replace") != replication.feed.id:
        raise ResponseError("ERR PSYNC FAILOVER replid must match my replid.")
    replication.promote()


def _check_source(replication: Replication) -> None:
    """Refuse replicas while we have nothing to give them ourselves."""
    upstream = replication.upstream
    if upstream is not None and not upstream.is_up:
        raise ResponseError(
            "NOMASTERLINK Can't SYNC while not connected with my master"
        )


# -- waiting for replicas


def waiting_family(replication: Replication) -> CommandFamily:
    """Return the commands of one engine that wait for its replicas."""
    family = CommandFamily("generic")
    command = family.command
    feed, waits = replication.feed, replication.waits

    @command("WAIT")
    def wait(s: Session, args: Args) -> Reply:
        """Waits until so many replicas have what was written before; tells how many have."""
        if s.core.is_replica:
            raise ResponseError(
                "ERR WAIT cannot be used with replica instances. Please also note that since"
                " Redis 4.0 if a replica is configured to be writable (which is not the"
                " default) writes to replicas are just local and are not propagated."
            )
        wanted, offset = to_int(args[1]), feed.offset
        timeout_s = _timeout_s(s, args[2])

        def count() -> int:
            return waits.acknowledged(offset)

        return waits.wait(s, lambda: count() >= wanted, count, timeout_s)

    @command("WAITAOF")
    def waitaof(s: Session, args: Args) -> Reply:
        """Waits until this client's writes are in the AOF, here and on replicas."""
        local, wanted = _within(args[1], 0, 1), to_int(args[2])
        if wanted < 0:
            raise ResponseError("ERR value is out of range, must be positive")
        timeout_s, offset = _timeout_s(s, args[3]), feed.offset
        if s.core.is_replica:
            raise ResponseError(
                "ERR WAITAOF cannot be used with replica instances. Please also note that"
                " writes to replicas are just local and are not propagated."
            )
        has_aof = s.core.config.values["appendonly"]
        if local and not has_aof:
            raise ResponseError(
                "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
            )
        here = int(has_aof and s.core.aof.sync())

        def count() -> int:
            return waits.acknowledged(offset, on_disk=True)

        return waits.wait(
            s, lambda: count() >= wanted, lambda: [here, count()], timeout_s
        )

    return family


def _within(text: bytes, low: int, high: int) -> int:
    value = to_int(text)
    if not low <= value <= high:
        raise ResponseError(
            f"ERR value is out of range, value must between {low} and {high}"
        )
    return value


def _timeout_s(s: Session, text: bytes) -> float:
    """Return a timeout in seconds, 0 for none."""
    timeout_ms = to_int(text, "ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise ResponseError("ERR timeout is negative")
    if timeout_ms > INT64_MAX - s.core.now_ms():
        raise ResponseError("ERR timeout is out of range")
    return timeout_ms / 1000
