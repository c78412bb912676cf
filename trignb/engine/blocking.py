"""Commands that wait for a key: who waits for what, in which order they are served.

A handler hands an `attempt` to `Blocking.serve`. When it finds nothing and may block, the command ends as
`Blocked`; the unit closes, the lock is released, and the calling thread sleeps on its `Waiter`. A later unit that
touches one of the keys ends by trying the waiters again, first come first served, each try a unit
of its own (docs/semantics.md, Blocked clients).
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from trignb.engine.args import to_float
from trignb.errors import EngineClosed, ResponseError
from trignb.reply import NO_REPLY

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.engine.session import Session
    from trignb.engine.spec import Command
    from trignb.reply import Reply

__all__ = ["NOTHING", "Blocked", "Blocking", "Waiter", "to_timeout"]

Place = tuple[int, bytes]

_DECIMAL: Final = re.compile(
    rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?"
)
_LARGEST_LONG: Final = Decimal("1.1897314953572317650e4932")


class _Nothing:
    """What an attempt answers when there is nothing to serve yet."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = _Nothing()

# Threads sleep in slices, so that an interrupt is seen soon on every platform.
_SLICE_S = 0.2


class Blocked(Exception):
    """Raised through a handler that has to wait; caught where the lock is released."""

    def __init__(self, waiter: Waiter) -> None:
        super().__init__()
        self.waiter = waiter


class Waiter:
    """One blocked command.

    ``kind`` is the type a key must hold for a retry, None to be retried whatever
    happened to the key (XREADGROUP, which has to hear of a deleted stream). ``late_reply``
    gives the answer when the time is up, where that is no null array (WAIT); ``hangs_up`` says
    that the client is disconnected with its answer; ``is_muted`` that it wants to hear none
    (CLIENT REPLY).
    """

    __slots__ = (
        "_done",
        "args",
        "attempt",
        "command",
        "error",
        "hangs_up",
        "is_muted",
        "kind",
        "late_reply",
        "on_done",
        "on_left",
        "places",
        "reply",
        "session",
        "timeout_s",
        "usec",
    )

    def __init__(
        self,
        session: Session,
        args: list[bytes],
        places: list[Place],
        attempt: Callable[[], Reply],
        timeout_s: float,
        kind: type | None,
    ) -> None:
        self.session = session
        self.args = args
        self.places = places
        self.attempt = attempt
        self.timeout_s = timeout_s
        self.kind = kind
        self.reply: Reply = None
        self.error: Exception | None = None
        self.on_done: Callable[[Waiter], None] | None = None
        # Called when whoever waits is interrupted: what works for nobody may stop.
        self.on_left: Callable[[], None] | None = None
        self.late_reply: Callable[[], Reply] | None = None
        self.hangs_up = self.is_muted = False
        # Known once the command has gone to wait; INFO and the slow log hear of it at its end.
        self.command: Command | None = None
        self.usec = 0
        self._done = threading.Event()

    @property
    def is_done(self) -> bool:
        """Whether the command has its reply."""
        return self._done.is_set()

    def reply_without_result(self) -> Reply:
        """Return the answer to a client whose time is up."""
        if self.is_muted:
            return NO_REPLY
        if self.late_reply is not None:
            return self.late_reply()
        return self.session.null_array

    def finish(self, reply: Reply, error: Exception | None = None) -> None:
        """Give the command its reply or its error."""
        if self.is_muted and (error is None or isinstance(error, ResponseError)):
            reply, error = NO_REPLY, None
        self.reply, self.error = reply, error
        self._done.set()
        self.end()
        if self.on_done is not None:
            self.on_done(self)

    def end(self) -> None:
        """Count the command, which waits no longer; once."""
        command, self.command = self.command, None
        if command is not None:
            core = self.session.core
            command.calls += 1
            if isinstance(self.error, ResponseError):
                core.note_failure(command, self.error)
            core.timing.waited(self.session, command, self.args, self.usec)

    def sleep(self) -> None:
        """Sleep until served or until the time is up (real time, whatever the clock)."""
        if not self.timeout_s:
            while not self._done.wait(_SLICE_S):
                pass
            return
        self._done.wait(self.timeout_s)


class Blocking:
    """All blocked commands of an engine."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.queues: dict[Place, dict[Waiter, None]] = {}
        self.ready: dict[Place, None] = {}
        self.sessions: dict[int, Waiter] = {}

    # -- from a handler

    def serve(
        self,
        session: Session,
        keys: Sequence[bytes],
        timeout_s: float,
        attempt: Callable[[], Reply],
        *,
        empty: Reply,
        kind: type | None,
    ) -> Reply:
        """Return what `attempt` finds, or wait for one of the keys.

        ``attempt`` returns `NOTHING` when there is nothing; it must leave everything as
        it was then. Inside MULTI, a script or a library the reply is `empty` at once;
        when the time is up it is a null array, whatever the command.
        """
        reply = attempt()
        if reply is not NOTHING:
            return reply
        if self.core.nesting > 1:
            return empty
        index = session.db.index
        waiter = Waiter(
            session,
            self.core.argv or [],
            [(index, key) for key in dict.fromkeys(keys)],
            attempt,
            timeout_s,
            kind,
        )
        blocked = Blocked(waiter)
        try:
            for place in waiter.places:
                self.queues.setdefault(place, {})[waiter] = None
            self.sessions[session.id] = waiter
        except BaseException:
            self.forget(waiter)
            raise
        raise blocked

    # -- from the keyspace

    def signal(self, db: Database, key: bytes) -> None:
        """Note that something happened to a key; its waiters are tried after the unit."""
        place = (db.index, key)
        if place in self.queues:
            self.ready[place] = None
            self.core.after = True

    def signal_all(self, db: Database) -> None:
        """Note that a whole database changed (FLUSHDB, SWAPDB, a restored snapshot)."""
        for index, key in list(self.queues):
            if index == db.index:
                self.signal(db, key)

    def serve_ready(self) -> None:
        """Try the waiters of the keys that were signalled; called at the end of a unit."""
        while self.ready:
            place = next(iter(self.ready))
            del self.ready[place]
            index, key = place
            data = self.core.databases[index].data
            for waiter in list(self.queues.get(place, ())):
                value = data.get(key)
                if waiter.kind is None or type(value) is waiter.kind:
                    self.retry(waiter)

    def retry(self, waiter: Waiter) -> None:
        """Serve a client that waits, if there is something for it now; a unit of its own."""
        core, session = self.core, waiter.session
        outer, core.argv = core.argv, waiter.args
        core.unit_ns = 0
        dirty = core.dirty
        reply: Reply = None
        error: ResponseError | None = None
        began = core.timing.now()
        try:
            # What the client may do has perhaps changed since it began to wait.
            if core.permission is not None and not session.is_primary:
                self._check_again(waiter)
            reply = waiter.attempt()
        except ResponseError as raised:
            error = raised.with_traceback(None)
        finally:
            core.argv = outer
            waiter.usec = core.timing.now() - began
            if core.sinks:
                core.collect(session.db.index, waiter.args, dirty)
            core.run_jobs()
            core.flush_effects()
        if error is not None or reply is not NOTHING:
            self.forget(waiter)
            waiter.finish(reply, error)

    def _check_again(self, waiter: Waiter) -> None:
        core, session = self.core, waiter.session
        command = core.table.find_for(waiter.args)
        if core.permission is not None and command is not None:
            session.last_command = command
            # Who is refused waits no more, and the log says so.
            del self.sessions[session.id]
            try:
                core.permission(session, command, waiter.args)
            except ResponseError as error:
                # As if it had come only now: rejected, neither run nor failed.
                waiter.command = None
                command.rejected += 1
                core.count_error(error)
                raise
            self.sessions[session.id] = waiter

    # -- for the waiting thread

    def wait(self, waiter: Waiter) -> Reply:
        """Sleep until the command has its reply; the lock is not held."""
        try:
            waiter.sleep()
        except BaseException:
            self.client_left(waiter)
            raise
        if not waiter.is_done:
            with self.core.lock:
                if not waiter.is_done:
                    self.forget(waiter)
                    waiter.end()
        if waiter.error is not None:
            raise waiter.error
        return waiter.reply if waiter.is_done else waiter.reply_without_result()

    def client_left(self, waiter: Waiter) -> None:
        """Take note of an interrupt: nobody may serve a client that went away."""
        # First, since it may be this that has the lock.
        if waiter.on_left is not None:
            waiter.on_left()
        with self.core.lock:
            self.forget(waiter)

    def time_out(self, waiter: Waiter) -> None:
        """End a wait whose time is up, for threads that do not sleep on the waiter."""
        self.core.acquire_in_background()
        try:
            if not waiter.is_done:
                self.forget(waiter)
                waiter.finish(waiter.reply_without_result())
        finally:
            self.core.lock.release()

    def forget(self, waiter: Waiter) -> None:
        """Take a waiter off all queues."""
        for place in waiter.places:
            queue = self.queues.get(place)
            if queue is not None:
                queue.pop(waiter, None)
                if not queue:
                    del self.queues[place]
        if self.sessions.get(waiter.session.id) is waiter:
            del self.sessions[waiter.session.id]

    def unblock(self, session_id: int, *, with_error: bool) -> bool:
        """End a client's wait (CLIENT UNBLOCK); tell whether it was blocked."""
        waiter = self.sessions.get(session_id)
        if waiter is None:
            return False
        self.forget(waiter)
        error = None
        if with_error:
            error = ResponseError("UNBLOCKED client unblocked via CLIENT UNBLOCK")
        waiter.finish(waiter.reply_without_result(), error)
        return True

    def abandon(self, text: str) -> int:
        """End every wait with an error and disconnect who waited on a socket.

        Returns how many there were.
        """
        waiters = list(self.sessions.values())
        for waiter in waiters:
            self.forget(waiter)
            waiter.hangs_up = True
            waiter.finish(None, ResponseError(text))
        return len(waiters)

    def close(self) -> None:
        """End every wait because the engine is closed."""
        for waiter in list(self.sessions.values()):
            self.forget(waiter)
            waiter.finish(None, EngineClosed("the engine is closed"))


def to_timeout(text: bytes, *, unit: float = 1.0) -> float:
    """Return a blocking command's timeout in seconds, 0 for ever.

    ``unit`` is the length of the argument's unit in seconds.
    """
    # What a double does not hold may still be a number to Redis, and too large a one.
    value = (
        math.copysign(math.inf, -1 if text[:1] == b"-" else 1)
        if _is_huge(text)
        else to_float(text, "ERR timeout is not a float or out of range") * unit
    )
    if value < 0:
        raise ResponseError("ERR timeout is negative")
    if value > (1 << 63) / 1000:
        raise ResponseError("ERR timeout is out of range")
    return value


def _is_huge(text: bytes) -> bool:
    """Whether a text is a number beyond doubles that a long double holds."""
    match = _DECIMAL.fullmatch(text)
    if match is None or not math.isinf(float(text)):
        return False
    return Decimal(text.decode()) < _LARGEST_LONG
