"""MULTI, EXEC, DISCARD, WATCH, UNWATCH. See docs/semantics.md, Transactions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trignb.engine.acl import Denial
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import NO_REPLY, OK, Encoded, Reply, Status
from trignb.resp.encode import encode

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

family = CommandFamily("transactions")
command = family.command

Args = list[bytes]


@command("MULTI")
def multi(s: Session, args: Args) -> Status:
    """Begins a transaction: commands are queued until EXEC."""
    if s.queue is not None:
        raise ResponseError("ERR MULTI calls can not be nested")
    s.queue = []
    s.rearm()
    return OK


@command("EXEC")
def exec_(s: Session, args: Args) -> Reply:
    """Runs the queued commands as one unit."""
    if s.queue is None:
        raise ResponseError("ERR EXEC without MULTI")
    failed, broken = s.queue_failed, s.watch_failed()
    if failed or broken:
        s.discard_transaction()
    if failed:
        raise ResponseError(
            "EXECABORT Transaction discarded because of previous errors."
        )
    if broken:
        return s.null_array
    core = s.core
    replies: list[Reply] = []
    # What the transaction itself changes breaks no watch.
    s.unwatch()
    try:
        for cmd, argv in s.queue:
            is_heard, protocol = not s.closed, s.protocol
            try:
                reply = _run_queued(s, cmd, argv)
            except ResponseError as error:
                # Kept as a value: without its traceback, which would hold every frame alive.
                reply = error.with_traceback(None)
            is_heard = is_heard and s.reply_mode != "off"
            if s.protocol != protocol and s.link is not None:
                # After a HELLO: what came before it is written in the protocol of that time.
                replies = [Encoded(encode(earlier, protocol)) for earlier in replies]
            replies.append(reply if is_heard else NO_REPLY)
    finally:
        # Until now CLIENT INFO and the log of refusals show a client in MULTI.
        s.discard_transaction()
        # What the commands did is propagated command by command, never the EXEC itself.
        core.propagate_as()
    if s.link is None:
        # Only on a connection do others stand for what is not sent.
        return [reply for reply in replies if reply is not NO_REPLY]
    return replies


def _run_queued(s: Session, cmd: Command, argv: Args) -> Reply:
    core = s.core
    if core.permission is not None:
        _check_again(s, cmd, argv)
    if not core.commands.enabled:
        return core.call(s, cmd, argv)
    run = partial(core.call, s, cmd, argv)
    return core.commands.record(core, s, argv, run, in_multi=True)


_NO_LONGER = {
    "command": "no permission to execute the command or subcommand",
    "key": "no permission to touch the specified keys",
    "channel": "no permission to access one of the channels used as arguments",
}


def _check_again(s: Session, cmd: Command, argv: Args) -> None:
    """Refuse what the user may no longer do since it was queued."""
    try:
        s.core.permissions.deny(s.user, cmd, argv)
    except Denial as denial:
        core = s.core
        core.permissions.note_denial(s, cmd, denial)
        error = ResponseError(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated "
            "and the EXEC call. This command is no longer allowed for the following "
            f"reason: {_NO_LONGER[denial.reason]}"
        )
        # It is the EXEC that failed: the command was not run.
        core.note_failure(core.table.by_name["exec"], error)
        raise error from None


@command("DISCARD")
def discard(s: Session, args: Args) -> Status:
    """Drops the transaction."""
    if s.queue is None:
        raise ResponseError("ERR DISCARD without MULTI")
    s.discard_transaction()
    return OK


@command("WATCH")
def watch(s: Session, args: Args) -> Status:
    """Makes EXEC fail if one of these keys changes before it."""
    if s.queue is not None:
        raise ResponseError("ERR WATCH inside MULTI is not allowed")
    for key in args[1:]:
        s.watch(key)
    return OK


@command("UNWATCH")
def unwatch(s: Session, args: Args) -> Status:
    """Forgets the watched keys."""
    s.unwatch()
    return OK
