"""Who caused what: spans for traces, made while one is open and by nobody else.

`Tracing` is armed by the first trace and disarmed by the last. Armed, it stands in for a few methods of
the core, wraps the handlers of the commands, hears every event before the triggers do, and has the layers
above put other classes to work (``switches``). Disarmed, nothing of that is there, so it costs nothing.

Everything happens under the engine's lock, except for commands that are not even found. What caused a
span is the span at work (``stack``); the end of a unit, when the triggers run, knows the unit's ``root``,
and a trigger's run the event that fired it (``events``). Something that nothing traced has
caused is recorded if a trace wants it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.blocking import NOTHING, Blocked
from trignb.engine.database import Database
from trignb.engine.differences import change_of
from trignb.engine.events import ALL, KEYMISS, NEW
from trignb.engine.images import clip, take_image
from trignb.engine.interrupts import undisturbed
from trignb.engine.keyspecs import keys_of
from trignb.engine.logs import mask_secrets
from trignb.engine.spans import (
    BLOCK,
    CHANGE,
    COMMAND,
    EVENT,
    EVICT,
    EXPIRE,
    SERVED,
    Recorder,
    Span,
    brief,
)
from trignb.engine.spec import WRITE
from trignb.errors import ResponseError
from trignb.reply import QUEUED

if TYPE_CHECKING:
    from trignb.engine.blocking import Waiter
    from trignb.engine.core import Core
    from trignb.engine.session import Session
    from trignb.engine.spec import Command, Handler

__all__ = ["Tracing"]

# Before the triggers: an event's span has to be there when they look for it.
_FIRST: Final = -1

# Arguments of a command that are kept, and keys of a database that is flushed.
_SHOWN_ARGS: Final = 32
_FLUSHED_KEYS: Final = 100

_OF_DATABASES: Final = frozenset({"flushall", "flushdb", "swapdb"})


class Tracing:
    """The open traces of one engine.

    Attributes
    ----------
    recorders : tuple of Recorder
        Of the open traces.
    stack : list of Span
        What is at work, innermost last.
    root : Span or None
        The command whose unit is under way.
    events : dict of int to Span
        Events by their number.
    origins : dict of int to Span
        What background work was begun by, by the number that its origin has.
    switches : list of callable
        Called with True when tracing begins and with False when it ends.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.recorders: tuple[Recorder, ...] = ()
        self.stack: list[Span] = []
        self.root: Span | None = None
        self.events: dict[int, Span] = {}
        self.origins: dict[int, Span] = {}
        self.switches: list[Callable[[bool], None]] = []
        self._units = 0
        # Commands that reached their handlers, and the last one that did not.
        self._reached = 0
        self._refusal: ResponseError | None = None
        # A command is under way that no other one called.
        self._is_top = False
        # An interrupt that struck when a command had done its work.
        self._interrupt: BaseException | None = None
        self._handlers: list[tuple[Command, Handler]] = []
        self._stop_listening: Callable[[], None] | None = None

    @property
    def is_armed(self) -> bool:
        """Whether a trace is open."""
        return bool(self.recorders)

    # -- opening and closing

    def open(self, recorder: Recorder) -> None:
        """Record for one more trace."""
        with undisturbed(), self.core.lock:
            self.recorders += (recorder,)
            if len(self.recorders) == 1:
                self._arm()

    def stop(self, recorder: Recorder) -> None:
        """Begin nothing new for a trace; what goes on in the background is still recorded."""
        with undisturbed(), self.core.lock:
            recorder.is_stopped = True
            if not recorder.pending:
                self.close(recorder)

    def close(self, recorder: Recorder) -> None:
        """Record no more for a trace."""
        with undisturbed(), self.core.lock:
            recorder.is_stopped = recorder.is_closed = True
            recorder.idle.set()
            if recorder in self.recorders:
                self.recorders = tuple(r for r in self.recorders if r is not recorder)
                if not self.recorders:
                    self._disarm()

    def _arm(self) -> None:
        core = self.core
        self._units = 0
        for command in core.table.by_name.values():
            self._handlers.append((command, command.handler))
            command.handler = self._traced(command)
        vars(core).update(
            run_unusual=self._run_unusual,
            leave_unit=self._leave_unit,
            resolve=self._resolve,
        )
        vars(core.blocking).update(retry=self._retry)
        for db in core.databases:
            db.__class__ = _TracedDatabase
        self._stop_listening = core.listen(self._on_event, ALL | KEYMISS | NEW, _FIRST)
        for switch in self.switches:
            switch(True)
        core.observers_changed()

    def _disarm(self) -> None:
        core = self.core
        for command, handler in self._handlers:
            command.handler = handler
        self._handlers.clear()
        for name in ("run_unusual", "leave_unit", "resolve"):
            del vars(core)[name]
        del vars(core.blocking)["retry"]
        for db in core.databases:
            db.__class__ = Database
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        for switch in self.switches:
            switch(False)
        self.events.clear()
        self.origins.clear()
        core.observers_changed()

    # -- spans

    def begin(self, span: Span, parent: Span | None = None) -> Span | None:
        """Start a span below what caused it; None if no trace wants it.

        Without `parent` that is what is at work, or the command whose unit is under way.
        """
        if parent is None:
            parent = self.stack[-1] if self.stack else self.root
        known = () if parent is None else parent.recorders
        kept = tuple(
            recorder
            for recorder in self.recorders
            if (recorder in known or recorder.wants_root()) and recorder.take(span)
        )
        if not kept:
            return None
        span.recorders, span.parent = kept, parent
        if parent is None or span.kind in (BLOCK, SERVED):
            self._units += 1
            span.unit = self._units
        else:
            span.unit = parent.unit
        span.start_ns = time.perf_counter_ns()
        return span

    def job_began(self, span: Span) -> None:
        """Take note that a run goes on in the background; the lock is held."""
        span.outcome = "pending"
        for recorder in span.recorders:
            recorder.job_began()

    def job_ended(self, span: Span) -> None:
        """Take note that it has ended; the lock is held."""
        for recorder in span.recorders:
            if recorder.is_closed:
                continue
            recorder.job_ended()
            if recorder.is_stopped and not recorder.pending:
                self.close(recorder)

    # -- commands

    def _traced(self, command: Command) -> Handler:
        """Return the command's handler with a span around it."""
        handler, stack = command.handler, self.stack
        begin, end = self._command_begins, self._command_ended
        core = self.core

        def traced(session: Session, args: list[bytes]) -> Any:
            if core.argv is not args:
                # Somebody borrows the handler; no client sent this.
                return handler(session, args)
            self._reached += 1
            span = begin(session, command, args)
            if span is None:
                return handler(session, args)
            depth = len(stack)
            try:
                stack.append(span)
                reply = handler(session, args)
            except BaseException as error:
                del stack[depth:]
                _note_error(span, error)
                end(span)
                raise
            del stack[depth:]
            try:
                span.reply = brief(reply)
                end(span)
            except BaseException as interrupt:  # noqa: BLE001 - raised by `_run_unusual`
                # What the command did must be propagated first.
                self._interrupt = interrupt
            return reply

        traced.__doc__ = handler.__doc__
        return traced

    def _command_begins(
        self, session: Session, command: Command, args: list[bytes]
    ) -> Span | None:
        span = self.begin(_command_span(COMMAND, session, args))
        if span is None:
            return None
        keys = keys_of(command, args)
        span.key = _first(keys)
        if span.parent is None and self._is_top:
            self.root = span
        if command.flags & WRITE:
            self._take_images(span, session, command, args, keys)
        return span

    def _take_images(
        self,
        span: Span,
        session: Session,
        command: Command,
        args: list[bytes],
        keys: list[bytes],
    ) -> None:
        """Keep how the keys are that a command may change."""
        places = [(session.db, key) for key in keys]
        if command.name in ("copy", "move"):
            places += self._elsewhere(command, args, keys)
        elif command.name in _OF_DATABASES:
            places = self._flushed(span, session, command, args)
        span.images = [
            (db, key, take_image(db, key)) for db, key in dict.fromkeys(places)
        ]

    def _elsewhere(
        self, command: Command, args: list[bytes], keys: list[bytes]
    ) -> list[tuple[Database, bytes]]:
        """Return the key in another database that COPY and MOVE are about."""
        given = args[2:3]
        if command.name == "copy":
            options = [arg.upper() for arg in args[:-1]]
            given = [args[i + 1] for i, word in enumerate(options) if word == b"DB"]
        found = [db for db in self.core.databases if b"%d" % db.index in given]
        return [(db, keys[-1]) for db in found]

    def _flushed(
        self, span: Span, session: Session, command: Command, args: list[bytes]
    ) -> list[tuple[Database, bytes]]:
        """Return some keys of the databases that a command replaces, all that are known."""
        databases = self.core.databases
        if command.name == "flushdb":
            databases = [session.db]
        elif command.name == "swapdb":
            databases = [db for db in databases if b"%d" % db.index in args[1:]]
        places = []
        # What is in one of two databases that change places will be in the other.
        shared = [k for db in databases for k in islice(db.data, _FLUSHED_KEYS)]
        for db in databases:
            is_swap = command.name == "swapdb"
            keys = shared[:] if is_swap else list(islice(db.data, _FLUSHED_KEYS))
            for recorder in span.recorders:
                keys += [key for index, key in recorder.last if index == db.index]
            places += [(db, key) for key in keys]
        return places

    def _command_ended(self, span: Span) -> None:
        span.end()
        images, span.images = span.images, []
        for db, key, before in images:
            after = take_image(db, key)
            heard = (db.index, key) in span.heard
            self._note_change(span, db, key, before, after, heard=heard)
        span.heard = _NONE

    def _note_change(
        self,
        parent: Span,
        db: Database,
        key: bytes,
        before: Any,
        after: Any,
        *,
        heard: bool = False,
    ) -> None:
        change = change_of(db.index, key, before, after, was_heard=heard)
        if change is None:
            return
        span = Span(CHANGE, "", db=db.index, key=clip(key))
        span.change = change
        if self.begin(span, parent) is not None:
            span.end()
        for recorder in parent.recorders:
            recorder.note((db.index, key), before, after)

    # -- what no handler hears of

    def refused(
        self, session: Session, args: list[bytes], error: ResponseError
    ) -> None:
        """Record a command that was refused before it began; any thread."""
        with self.core.lock:
            if self._refusal is error or not self.recorders:
                return
            self._refusal = error
            span = self.begin(_command_span(COMMAND, session, args))
            if span is not None:
                span.fail(str(error))
                span.end()

    def _resolve(self, session: Session, args: list[bytes]) -> Command:
        core = self.core
        try:
            return type(core).resolve(core, session, args)
        except ResponseError as error:
            self.refused(session, args, error)
            raise

    def _run_unusual(
        self, session: Session, command: Command, args: list[bytes]
    ) -> Any:
        core, reached = self.core, self._reached
        is_top = not core.nesting
        self._is_top = self._is_top or is_top

        def run() -> Any:
            return type(core).run_unusual(core, session, command, args)

        try:
            reply = self.guard(session, args, run)
        finally:
            if is_top:
                self._is_top, self.root = False, None
        if is_top and self._interrupt is not None:
            interrupt, self._interrupt = self._interrupt, None
            raise interrupt
        if reply is QUEUED and self._reached == reached:
            self._queued(session, command, args)
        return reply

    def guard(self, session: Session, args: list[bytes], run: Callable[[], Any]) -> Any:
        """Run a command; one that is refused before it reaches its handler is recorded."""
        reached = self._reached
        try:
            return run()
        except ResponseError as error:
            if self._reached == reached:
                self.refused(session, args, error)
            raise

    def _queued(self, session: Session, command: Command, args: list[bytes]) -> None:
        span = self.begin(_command_span(COMMAND, session, args))
        if span is not None:
            span.outcome = "queued"
            span.key = _first(keys_of(command, args))
            span.end()

    def _leave_unit(self) -> None:
        root = self.root
        try:
            type(self.core).leave_unit(self.core)
        finally:
            if root is not None:
                root.end()

    # -- clients that waited

    def _retry(self, waiter: Waiter) -> None:
        """Serve a client that waits, if there is something for it now."""
        blocking = self.core.blocking
        attempt, stack = waiter.attempt, self.stack

        def traced() -> Any:
            span = self._served_begins(waiter)
            if span is None:
                return attempt()
            depth = len(stack)
            try:
                stack.append(span)
                reply = attempt()
            except BaseException as error:
                del stack[depth:]
                _note_error(span, error)
                self._command_ended(span)
                raise
            del stack[depth:]
            if reply is NOTHING:
                for recorder in span.recorders:
                    recorder.give_back(span)
                return reply
            span.reply = brief(reply)
            self._command_ended(span)
            return reply

        waiter.attempt = traced
        try:
            type(blocking).retry(blocking, waiter)
        finally:
            waiter.attempt = attempt

    def _served_begins(self, waiter: Waiter) -> Span | None:
        command = self.core.table.find(waiter.args[0]) if waiter.args else None
        if command is None:
            return None
        session = waiter.session
        span = self.begin(_command_span(SERVED, session, waiter.args))
        if span is not None:
            keys = keys_of(command, waiter.args)
            span.key = _first(keys)
            self._take_images(span, session, command, waiter.args, keys)
        return span

    # -- events, and keys that go by themselves

    def _on_event(self, db: Database, kind: int, event: bytes, key: bytes) -> None:
        name = event.decode("utf-8", "replace")
        span = self.begin(Span(EVENT, name, db=db.index, key=clip(key)))
        if span is None:
            return
        span.event_class = kind
        span.end()
        self.events[self.core.event_seq] = span
        if span.parent is not None and span.parent.images:
            span.parent.heard.add((db.index, key))

    def dropped(
        self, db: Database, key: bytes, origin: str, drop: Callable[[], None]
    ) -> None:
        """Record that a key expires or is evicted."""
        kind = EXPIRE if origin == "expire" else EVICT
        self.watch_key(Span(kind, db=db.index, key=clip(key)), db, key, drop)

    def watch_key(
        self, span: Span, db: Database, key: bytes, work: Callable[[], None]
    ) -> None:
        """Record what some work that is no command does to a key."""
        if self.begin(span) is None:
            work()
            return
        # A key whose time has come is still what it was.
        before = take_image(db, key, due_too=True)
        depth = len(self.stack)
        try:
            self.stack.append(span)
            work()
        finally:
            del self.stack[depth:]
            span.end()
            self._note_change(span, db, key, before, take_image(db, key))


class _TracedDatabase(Database):
    """A database of an engine that is traced: the same, but tells what it drops."""

    __slots__ = ()

    def _drop(
        self, key: bytes, laziness: str, kind: int, event: bytes, origin: str
    ) -> None:
        drop = super()._drop
        self.core.tracing.dropped(
            self, key, origin, lambda: drop(key, laziness, kind, event, origin)
        )


_NONE: Final[set[tuple[int, bytes]]] = set()


def _command_span(kind: str, session: Session, args: list[bytes]) -> Span:
    shown = mask_secrets(args)[:_SHOWN_ARGS] if args else []
    span = Span(kind, db=session.db.index)
    span.args = tuple(map(clip, shown))
    span.hidden_args = len(args) - len(shown)
    span.name = span.args[0].decode("utf-8", "replace").upper() if span.args else ""
    span.client = session.name.decode("utf-8", "replace") or str(session.id)
    return span


def _first(keys: list[bytes]) -> bytes | None:
    return clip(keys[0]) if keys else None


def _note_error(span: Span, error: BaseException) -> None:
    if isinstance(error, ResponseError):
        span.fail(str(error), getattr(error, "line", None))
    elif isinstance(error, Blocked):
        span.outcome = "waiting"
    elif isinstance(error, KeyboardInterrupt):
        span.outcome, span.error = "interrupted", "KeyboardInterrupt"
    else:
        span.fail(str(error) or type(error).__name__)
