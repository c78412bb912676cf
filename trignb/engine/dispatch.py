"""The hot path: one command, from its arguments to its reply.

`make_run` and `make_execute` return closures: cell variables are read faster than attributes, and
the few lines they share are written twice on purpose, as a call in between costs a tenth of a GET.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from trignb.engine.args import encode_args
from trignb.engine.blocking import Blocked
from trignb.errors import ResponseError, SessionClosed
from trignb.reply import NO_REPLY

if TYPE_CHECKING:
    from trignb.engine.blocking import Waiter
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

__all__ = ["make_execute", "make_run"]


# Stands for a nesting once the call has let go of the lock.
RELEASED: Final = -2


class SessionHolder(Protocol):
    """What knows the calling thread's session."""

    session: Session


def make_run(
    core: Core, wait: Callable[[Waiter], Any] | None = None
) -> Callable[[Session, list[bytes]], Any]:
    """Return ``run(session, args)``: one command as this session, under the lock.

    ``wait(waiter)`` gives the reply of a command that has to wait; without it the thread
    sleeps on the waiter.
    """
    if wait is None:
        wait = core.blocking.wait
    find = core.table.get
    acquire, release = core.lock.acquire, core.lock.release

    def run(session: Session, args: list[bytes]) -> Any:
        command = find(args[0])
        n = len(args)
        if command is None or (
            n != command.arity and (command.arity > 0 or n < -command.arity)
        ):
            command = core.resolve_for_client(session, args)
            if command is None:
                return NO_REPLY
        depth = -1
        try:
            acquire()
            depth = core.nesting
            if depth:
                # The unit under way holds the lock until it ends.
                depth = RELEASED
                release()
                reply = core.run_unusual(session, command, args)
            else:
                if session.intercept is not None:
                    reply = core.run_unusual(session, command, args)
                else:
                    session.last_command = command
                    core.nesting = 1
                    core.unit_ns = 0
                    core.argv = args
                    dirty = core.dirty
                    command.calls += 1
                    reply = command.handler(session, args)
                    if core.after:
                        core.collect(session.db.index, args, dirty)
                        core.leave_unit()
                    core.nesting = 0
                depth = RELEASED
                release()
        except BaseException as error:
            state = [depth]
            try:
                _abandon(core, state, command, error)
                if isinstance(error, Blocked):
                    _goes_to_wait(command, error.waiter)
                    return wait(error.waiter)
            except BaseException as again:
                _abandon_at_last(core, state, again)
                if isinstance(error, Blocked) and not error.waiter.is_done:
                    core.blocking.client_left(error.waiter)
                raise
            raise
        if core.waiters:
            core.give_way()
        return reply

    return run


def make_execute(
    core: Core, holder: SessionHolder, new_session: Callable[[], Session]
) -> Callable[..., Any]:
    """Return ``execute(*args)``: one command as the calling thread's own session."""
    find = core.table.get
    acquire, release = core.lock.acquire, core.lock.release

    def execute(*args: Any) -> Any:
        n = len(args)
        try:
            # Spelled out for the usual lengths: 60 ns for three arguments, a map takes 140.
            if n == 3:
                a, b, c = args
                argv = [a.encode(), b.encode(), c.encode()]
            elif n == 2:
                a, b = args
                argv = [a.encode(), b.encode()]
            elif n == 4:
                a, b, c, d = args
                argv = [a.encode(), b.encode(), c.encode(), d.encode()]
            elif n == 5:
                a, b, c, d, e = args
                argv = [a.encode(), b.encode(), c.encode(), d.encode(), e.encode()]
            else:
                argv = [arg.encode() for arg in args]
            command = find(argv[0])
        except (AttributeError, IndexError, UnicodeEncodeError):
            argv = encode_args(args)
            command = find(argv[0])
        try:
            session = holder.session
        except AttributeError:
            session = holder.session = new_session()
        if command is None or (
            n != command.arity and (command.arity > 0 or n < -command.arity)
        ):
            command = core.resolve_for_client(session, argv)
            if command is None:
                return NO_REPLY
        depth = -1
        try:
            acquire()
            depth = core.nesting
            if depth:
                # The unit under way holds the lock until it ends.
                depth = RELEASED
                release()
                reply = core.run_unusual(session, command, argv)
            else:
                if session.intercept is not None:
                    reply = core.run_unusual(session, command, argv)
                else:
                    core.nesting = 1
                    core.unit_ns = 0
                    core.argv = argv
                    dirty = core.dirty
                    command.calls += 1
                    reply = command.handler(session, argv)
                    if core.after:
                        core.collect(session.db.index, argv, dirty)
                        core.leave_unit()
                    core.nesting = 0
                depth = RELEASED
                release()
        except BaseException as error:
            state = [depth]
            try:
                _abandon(core, state, command, error)
                if isinstance(error, Blocked):
                    _goes_to_wait(command, error.waiter)
                    return core.blocking.wait(error.waiter)
            except BaseException as again:
                _abandon_at_last(core, state, again)
                if isinstance(error, Blocked) and not error.waiter.is_done:
                    core.blocking.client_left(error.waiter)
                raise
            if isinstance(error, SessionClosed) and session.closed:
                # As a client library does: this thread connects anew.
                holder.session = new_session()
                return execute(*args)
            raise
        if core.waiters:
            core.give_way()
        return reply

    return execute


def _goes_to_wait(command: Command, waiter: Waiter) -> None:
    """Take back that a command has run: it is counted at its end."""
    command.calls -= 1
    waiter.command = command
    if waiter.is_done:
        waiter.end()


def _abandon(core: Core, state: list[int], command: Any, error: BaseException) -> None:
    """Put unit and lock right after a command raised, wherever an interrupt struck.

    CPython looks for signals after calls and where functions begin. So an interrupt comes before the
    lock is taken or when it is ours, and `state` tells exactly whether it still is: it is set
    in the same breath in which the lock is released.
    """
    if state[0] == RELEASED or not core.lock._is_owned():  # type: ignore[attr-defined]
        return
    # A unit that is still open is the fast path's: others close themselves.
    if state[0] == 0 and core.nesting:
        if isinstance(error, ResponseError):
            core.note_failure(command, error)
        # The jobs of a failed command still belong to its unit.
        core.fail_unit(error)
        core.nesting = 0
    state[0] = RELEASED
    core.lock.release()


def _abandon_at_last(core: Core, state: list[int], error: BaseException) -> None:
    """Do it again because an interrupt struck `_abandon` itself, or a job failed."""
    if state[0] == RELEASED or not core.lock._is_owned():  # type: ignore[attr-defined]
        return
    try:
        if state[0] == 0 and core.nesting:
            core.fail_unit(error)
    finally:
        if state[0] == 0:
            core.nesting = 0
        state[0] = RELEASED
        core.lock.release()
