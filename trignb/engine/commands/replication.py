"""REPLICAOF and FAILOVER, as on a primary without replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trignb.engine.args import syntax_error
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import OK, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("server")
command = family.command

Args = list[bytes]


@command("REPLICAOF")
def replicaof(s: Session, args: Args) -> Status:
    """Makes this server a primary, which it is; it cannot be a replica of another."""
    return _change_role(args)


@command("SLAVEOF")
def slaveof(s: Session, args: Args) -> Status:
    """Makes this server a primary, under the old name."""
    return _change_role(args)


def _change_role(args: Args) -> Status:
    if [arg.lower() for arg in args[1:]] == [b"no", b"one"]:
        return OK
    raise ResponseError("ERR REPLICAOF not allowed: this engine cannot be a replica.")


@command("FAILOVER")
def failover(s: Session, args: Args) -> Status:
    """Hands over to a replica, of which there is none."""
    if [arg.lower() for arg in args[1:]] == [b"abort"]:
        raise ResponseError("ERR No failover in progress.")
    known = (b"abort", b"to", b"force", b"timeout")
    if len(args) > 1 and args[1].lower() not in known:
        raise syntax_error()
    raise ResponseError("ERR FAILOVER requires connected replicas.")
