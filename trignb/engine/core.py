"""The engine's heart: sessions, the unit of execution, events, propagation.

`Core.run` is the one way in. A unit is one top-level command, one EXEC, one expired key or one section
of background JavaScript; when the outermost unit ends, `leave_unit` runs the jobs that triggers queued
and hands the unit's effects to the sinks. Layers above add to it by registering: `listen` for events,
`sinks` for effects, `gates` for checks before a command, `add_family` for commands.

Long because the state of a unit is kept in one place: who changes nesting, jobs, effects or the frame
stands here, side by side.
"""

from __future__ import annotations

import secrets
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from trignb.clock import Clock
from trignb.datatypes import copy_value
from trignb.engine.access import AccessNotes
from trignb.engine.args import unknown_command, unknown_subcommand, wrong_arity
from trignb.engine.blocking import Blocked, Blocking
from trignb.engine.chance import Chance
from trignb.engine.config import Config
from trignb.engine.database import Database
from trignb.engine.dispatch import make_run
from trignb.engine.eviction import Eviction
from trignb.engine.expiry import ExpiryCycle
from trignb.engine.latency import LatencyMonitor
from trignb.engine.limits import Limits
from trignb.engine.logs import CLIENT_FRAME, CommandLog, Frame, NotificationLog
from trignb.engine.memory import Memory
from trignb.engine.monitor import Monitors
from trignb.engine.pause import Pause
from trignb.engine.permissions import Permissions
from trignb.engine.pubsub import PubSub
from trignb.engine.saves import AofState, SaveState
from trignb.engine.scan import Cursors
from trignb.engine.slowlog import SlowLog
from trignb.engine.spec import ALLOW_BUSY
from trignb.engine.table import CommandTable
from trignb.engine.timing import Timing
from trignb.engine.tracing import Tracing
from trignb.engine.tracking import TrackingTable
from trignb.engine.traffic import Traffic
from trignb.errors import EngineClosed, ResponseError
from trignb.reply import NO_REPLY

if TYPE_CHECKING:
    from trignb.engine.commands.internals import Subcommand
    from trignb.engine.kept import Kept
    from trignb.engine.session import Session
    from trignb.engine.spec import Command, CommandFamily
    from trignb.engine.stats import ModuleSection

__all__ = ["Core", "Effect", "Listener", "Sink"]

Listener = Callable[[Database, int, bytes, bytes], None]
Effect = tuple[int, list[bytes]]
Sink = Callable[[list[Effect]], None]
Job = Callable[[], None]

# The database of the MULTI and EXEC around a batch: as in Redis, SELECT goes inside.
NO_DB: Final = -1

# Order of listeners to one event (architecture, "the unit of execution").
TRIGGERS_FIRST: Final = 0
PUBSUB_NEXT: Final = 1
LOG_LAST: Final = 2

_LOG_SIZE: Final = 10_000


class Core:
    """Databases and the machinery around them.

    Attributes
    ----------
    lock : threading.RLock
        Held while a unit runs.
    nesting : int
        0 outside a unit, 1 in a top-level command, more in EXEC, scripts and triggers.
    dirty : int
        Changes since the engine started.
    jobs : deque
        Callbacks that run at the end of the outermost unit, first in, first out.
    effects : list of (db, argv)
        What this unit propagates; gathered only while there are sinks.
    waiters : int
        Background threads that want the lock.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        databases: int = 16,
        chance: Chance | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.chance = chance or Chance()
        self.lock = threading.RLock()
        self.waiters = 0
        self._handovers = 0
        self.closed = False

        # -- the unit
        self.nesting = 0
        self.unit_ns = 0
        self.argv: list[bytes] | None = None
        self.command_seq: int | None = None
        self.frame: Frame = CLIENT_FRAME
        self.jobs: deque[Job] = deque()
        self.effects: list[Effect] = []
        # Of them, those that not every sink is to have, by their places: see `withhold`.
        self.withheld: dict[int, int] = {}
        self.rewritten: list[list[bytes]] | None = None
        self.unwrapped = False
        # True when the end of a unit has work to do: sinks, or a job was queued.
        self.after = False

        # -- counters
        self.dirty = 0
        self.hits = self.misses = self.expired_keys = self.evicted_keys = 0
        self.lazyfreed = 0
        self.errors: Counter[str] = Counter()
        self.event_seq = 0
        self.started_ns = self.clock.read()
        self.run_id = secrets.token_hex(20)
        self.replication_id = secrets.token_hex(20)
        self.connections_received = 0
        self.peak_bytes = 0
        self._session_ids = count(1)

        # -- events
        self.event_mask = 0
        self.emit: Listener = _nobody
        self._listeners: list[tuple[int, int, Listener]] = []
        # Trigger runs of the event at work; a listener that comes first sets it.
        self.fired: Sequence[Any] = ()
        self._stop_notifications: Callable[[], None] | None = None

        # -- state of the server
        self.is_loading = False
        self.is_replica = False
        # While our primary's commands run: keys past their deadline are there for them.
        self.obeys = False
        self.active_expire = True
        self.expire_pauses = 0
        # Whether RESTORE takes payloads with a wrong checksum (DEBUG).
        self.skips_checksums = False
        self.gates: list[Callable[[Session, Command, list[bytes]], None]] = []
        # Asked before a script or function of Lua runs, with the flags it declares (None: it
        # declares none).
        self.script_gates: list[Callable[[Collection[str] | None], None]] = []
        # Set once a user is restricted: raises NOPERM for what a session's user may not do.
        self.permission: Callable[[Session, Command, list[bytes]], None] | None = None
        self.sinks: list[Sink] = []
        # Called when a database loses all its keys at once.
        self.flush_listeners: list[Callable[[], None]] = []
        # Set while a script that runs too long lets others in: returns the text of BUSY for
        # them, None for the script itself. What they may do then runs beside its unit.
        self.busy: Callable[[], str | None] | None = None
        # Ends the process at once; where it is the server's own.
        self.leave: Callable[[], None] | None = None

        # Servers on this engine, and what has to be done before their clients get replies.
        self.servers: list[Any] = []
        self.traffic = Traffic()
        # Replicas that have not got everything, each with what the log is to say of it.
        self.lagging_replicas: Callable[[], list[str]] = list
        # Whether the process was asked to end: who would only wait does not.
        self.is_ending = False
        self.before_replies: list[Callable[[], None]] = []
        # How a script that runs too long lets others in for some seconds.
        self.breathe: Callable[[float], object] = time.sleep

        self.saves = SaveState(self.started_ns)
        self.aof = AofState()
        # Snapshots that are being written: each has to be alone.
        self.snapshots = 0
        # Called when contents came or went and nothing was propagated.
        self.replaced_listeners: list[Callable[[], None]] = []
        # What layers above have in RDB files.
        self.kept: list[Kept] = []
        # What they add to DEBUG.
        self.debug_subcommands: dict[bytes, Subcommand] = {}

        # What layers above present as modules, as MODULE LIST shows them.
        self.modules: list[dict[bytes, Any]] = []
        # What they know for INFO MEMORY: how many scripts and functions there are.
        self.info_counts: dict[str, Callable[[], int]] = {}
        # What they know of sections of INFO that are Redis's own.
        self.info_facts: dict[str, Callable[[], dict[str, Any]]] = {}
        # Their sections of INFO.
        self.info_sections: list[ModuleSection] = []

        self.config = Config(databases)
        self.limits = Limits(self.config)
        self.access = AccessNotes(self)
        self.databases = [Database(self, i) for i in range(databases)]
        self.sessions: weakref.WeakValueDictionary[int, Session] = (
            weakref.WeakValueDictionary()
        )
        self.permissions = Permissions(self)
        self.pubsub = PubSub()
        self.cursors = Cursors()
        self.tracking = TrackingTable(self)
        self.monitors = Monitors(self)
        # Who looks by MONITOR; empty, it costs a command one test.
        self.monitoring = self.monitors.sessions
        self.pause = Pause(self)
        self.blocking = Blocking(self)
        # The queues of blocked commands; empty, it costs a write one test.
        self.waited_keys = self.blocking.queues
        self.memory = Memory(self)
        self.eviction = Eviction(self)
        self.table = CommandTable()
        self.cycle = ExpiryCycle(self)
        self.clock.travel = self.cycle.travel
        self.notifications = NotificationLog(self, _LOG_SIZE)
        self.commands = CommandLog(_LOG_SIZE)
        self.timing = Timing(self)
        self.slowlog = SlowLog(self)
        self.latency = LatencyMonitor(self)
        self.tracing = Tracing(self)
        self.run = make_run(self)
        self.config.attach(self)

    # -- commands

    def add_family(self, family: CommandFamily) -> None:
        """Add a layer's own commands to the table."""
        self.table.add(family)

    def resolve_for_client(self, session: Session, args: list[bytes]) -> Command | None:
        """`resolve`, or None for an error the client does not want to hear (CLIENT REPLY)."""
        try:
            return self.resolve(session, args)
        except ResponseError:
            if session.reply_mode == "on":
                raise
            session.reply_ended()
            return None

    def resolve(self, session: Session, args: list[bytes]) -> Command:
        """Return the command, or raise the error for a name or a count that is wrong.

        The slow way: other spellings, subcommands, and everything that ends in an error.
        """
        command = self.table.find(args[0])
        if command is None:
            raise session.refuse(None, unknown_command(args))
        if command.subcommands is not None:
            if len(args) == 1 and command.declared_arity == -1:
                return command
            command = self._resolve_subcommand(session, command, args)
        n = len(args)
        if n != command.arity and (command.arity > 0 or n < -command.arity):
            raise session.refuse(command, str(wrong_arity(command.name)))
        return command

    def _resolve_subcommand(
        self, session: Session, container: Command, args: list[bytes]
    ) -> Command:
        subcommands = container.subcommands or {}
        if len(args) < 2:
            raise session.refuse(container, str(wrong_arity(container.name)))
        command = subcommands.get(args[1]) or subcommands.get(args[1].upper())
        if command is None:
            raise session.refuse(None, unknown_subcommand(container.name, args))
        return command

    def call(self, session: Session, command: Command, args: list[bytes]) -> Any:
        """Run a command inside the unit that is under way (EXEC, a script, a trigger)."""
        argv, self.argv = self.argv, args
        dirty = self.dirty
        self.nesting += 1
        command.calls += 1
        try:
            if self.monitoring:
                self.monitors.starts(session, command, args)
            if self.timing.enabled:
                return self.timing.measure(session, command, args)
            return command.handler(session, args)
        except ResponseError as error:
            self.note_failure(command, error)
            raise
        finally:
            if self.monitoring:
                self.monitors.ended(session, command, args)
            if session.tracking is not None:
                self.tracking.remember(session, command, args)
            self.nesting -= 1
            self.argv = argv
            if self.sinks:
                self.collect(session.db.index, args, dirty)

    def note_failure(self, command: Command, error: ResponseError) -> None:
        """Count an error reply for INFO."""
        command.failed += 1
        self.count_error(error)

    def count_error(self, error: ResponseError) -> None:
        """Count an error reply for INFO ERRORSTATS, once on its way through a script."""
        if not error.counted:
            error.counted = True
            self.errors[error.code] += 1

    def run_unusual(self, session: Session, command: Command, args: list[bytes]) -> Any:
        """Run a command of a session whose `intercept` is set, or inside a running unit."""
        if self.closed:
            raise EngineClosed("the engine is closed")
        if session.reply_mode != "on":
            return self._run_muted(session, command, args)
        return self._run_gated(session, command, args)

    def _run_gated(self, session: Session, command: Command, args: list[bytes]) -> Any:
        busy = None if self.busy is None else self.busy()
        if busy is not None and not command.flags & ALLOW_BUSY:
            raise session.refuse_busy(command, args, busy)
        if session.intercept is not None:
            instead = session.intercept(command, args)
            if instead is not None:
                return instead
        if busy is not None:
            return self._run_beside(session, command, args)
        if self.nesting:
            return self.call(session, command, args)
        if self.commands.enabled:
            return self.commands.record(
                self, session, args, lambda: self._run_top(session, command, args)
            )
        return self._run_top(session, command, args)

    def _run_beside(self, session: Session, command: Command, args: list[bytes]) -> Any:
        """Run a command while a script runs too long, of whose unit it is no part."""
        command.calls += 1
        try:
            return command.handler(session, args)
        except ResponseError as error:
            self.note_failure(command, error)
            raise

    def _run_muted(self, session: Session, command: Command, args: list[bytes]) -> Any:
        """Run a command whose reply is not to be sent (CLIENT REPLY OFF and SKIP)."""
        was_off = session.reply_mode == "off"
        session.reply_ended()
        try:
            reply = self._run_gated(session, command, args)
        except ResponseError:
            return NO_REPLY
        except Blocked as blocked:
            blocked.waiter.is_muted = True
            raise
        # What CLIENT REPLY says of itself holds at once, and RESET has turned replies on.
        is_heard = command.name == "client|reply" or (
            command.name == "reset" and was_off
        )
        return reply if is_heard else NO_REPLY

    def _run_top(self, session: Session, command: Command, args: list[bytes]) -> Any:
        def body() -> Any:
            dirty = self.dirty
            self.argv = args
            command.calls += 1
            if self.monitoring:
                self.monitors.starts(session, command, args)
            try:
                if self.timing.enabled:
                    reply = self.timing.measure(session, command, args)
                else:
                    reply = command.handler(session, args)
            except ResponseError as error:
                self.note_failure(command, error)
                raise
            finally:
                if self.monitoring:
                    self.monitors.ended(session, command, args)
            if self.after:
                self.collect(session.db.index, args, dirty)
            return reply

        session.last_command = command
        if session.tracking is None:
            return self.run_unit(body)
        self.tracking.caller = session
        try:
            return self.run_unit(body)
        finally:
            self.tracking.caller = None
            self.tracking.command_ended(session, command, args)

    # -- the unit

    def run_unit(self, body: Callable[[], Any]) -> Any:
        """Run `body` as one unit, or as part of the unit under way; the lock is held."""
        if self.nesting:
            return body()
        self.nesting = 1
        self.unit_ns = 0
        self.argv = None
        try:
            reply = body()
            if self.after:
                self.leave_unit()
        except BaseException as error:
            try:
                self.fail_unit(error)
            except BaseException as again:
                # An interrupt struck the clearing up, or a job failed.
                self.fail_unit(again)
                raise
            raise
        finally:
            self.nesting = 0
        return reply

    def leave_unit(self) -> None:
        """End the outermost unit: queued jobs, one batch to the sinks, then who waited."""
        if self.jobs:
            self.run_jobs()
        self.flush_effects()
        if self.blocking.ready:
            self.blocking.serve_ready()

    def run_jobs(self) -> None:
        """Run the queued jobs, and those they queue, first in, first out."""
        jobs = self.jobs
        while jobs:
            jobs.popleft()()

    def fail_unit(self, error: BaseException) -> None:
        """End a unit whose command raised.

        An error reply ends it as a reply would, and so does going to wait. Anything else (an interrupt, a bug) drops the
        jobs still queued; what was already done is propagated, so replicas stay equal.
        """
        # What the failed command was to be propagated as is not what the jobs' first one is.
        self.rewritten = None
        try:
            if self.after and isinstance(error, (ResponseError, Blocked)):
                self.leave_unit()
        finally:
            while self.jobs:
                # A trigger's run wants to be counted even when it does not come about.
                drop = getattr(self.jobs.popleft(), "drop", None)
                if drop is not None:
                    drop()
            self.fired = ()
            self.frame = CLIENT_FRAME
            self.argv = None
            self.flush_effects()

    def queue_job(self, job: Job) -> None:
        """Run a callable at the end of the outermost unit."""
        self.jobs.append(job)
        self.after = True

    def now_ns(self) -> int:
        """Return this unit's time in ns; the clock is read at its first need."""
        if not self.nesting:
            return self.clock.read()
        ns = self.unit_ns
        if not ns:
            ns = self.unit_ns = self.clock.read()
        return ns

    def now_ms(self) -> int:
        """Return this unit's time in ms since the epoch."""
        return self.now_ns() // 1_000_000

    # -- propagation

    def propagate_as(self, *commands: list[bytes]) -> None:
        """Propagate these instead of the command at work; none means nothing."""
        # Without sinks nobody would take the note away again.
        if self.sinks:
            self.rewritten = list(commands)

    def add_effect(self, db: int, args: list[bytes]) -> None:
        """Propagate one more command before the one at work."""
        if self.sinks:
            self.effects.append((db, args))

    def collect(self, db: int, args: list[bytes], dirty_before: int) -> None:
        """Note what a command that ended is propagated as."""
        rewritten = self.rewritten
        if rewritten is not None:
            self.rewritten = None
            self.effects.extend((db, argv) for argv in rewritten)
        elif self.dirty != dirty_before:
            self.effects.append((db, args))

    def flush_effects(self) -> None:
        """Hand the unit's effects to the sinks, in MULTI/EXEC when there are several.

        The MULTI and the EXEC have the database `NO_DB`.
        """
        self.rewritten = None
        effects = self.effects
        if not effects:
            self.after = bool(self.sinks)
            return
        self.effects = []
        self.after = True
        if self.withheld:
            self._flush_apart(effects)
            return
        if len(effects) > 1 and not self.unwrapped:
            effects = [(NO_DB, [b"MULTI"]), *effects, (NO_DB, [b"EXEC"])]
        self.unwrapped = False
        sinks = self.sinks
        if len(sinks) == 1:
            sinks[0](effects)
        else:
            _tell_all(sinks, effects)

    def withhold(self, first: int, target: int) -> None:
        """Keep a unit's effects from `first` on from some sinks (``redis.set_repl``).

        `target` is a sum of 1, the append-only file, and 2, replicas.
        """
        if target:
            here = range(first, len(self.effects))
            self.withheld.update(dict.fromkeys(here, target))
        else:
            del self.effects[first:]

    def _flush_apart(self, effects: list[Effect]) -> None:
        """Hand every sink the effects that are for it."""
        targets, self.withheld = self.withheld, {}
        for sink in self.sinks:
            wanted = getattr(getattr(sink, "__self__", None), "target", 3)
            its = [
                each for at, each in enumerate(effects) if targets.get(at, 3) & wanted
            ]
            if len(its) > 1 and not self.unwrapped:
                its = [(NO_DB, [b"MULTI"]), *its, (NO_DB, [b"EXEC"])]
            if its:
                _tell_all([sink], its)
        self.unwrapped = False

    def sinks_changed(self) -> None:
        """Take note that `sinks` was changed."""
        self.after = bool(self.sinks or self.jobs)

    # -- events

    def listen(
        self, listener: Listener, mask: int, order: int = PUBSUB_NEXT
    ) -> Callable[[], None]:
        """Call `listener(db, kind, event, key)` for events of the classes in `mask`.

        Returns a callable that ends it. A mask of 0 is allowed and hears nothing.
        """
        entry = (order, mask, listener)
        self._listeners.append(entry)
        self._choose_emit()

        def stop() -> None:
            if entry in self._listeners:
                self._listeners.remove(entry)
                self._choose_emit()

        return stop

    def _choose_emit(self) -> None:
        """Pick the cheapest way to tell the listeners there are now."""
        hearing = sorted((e for e in self._listeners if e[1]), key=lambda e: e[0])
        self.event_mask = 0
        for _, mask, _ in hearing:
            self.event_mask |= mask
        if not hearing:
            self.emit = _nobody
            return
        pairs = tuple((mask, listener) for _, mask, listener in hearing)
        (mask_1, first), (mask_2, second) = (*pairs, (0, _nobody))[:2]

        # Triggers come first and leave their runs in `fired`, the log comes last and keeps
        # them; then the next event starts from none. Unrolled: a loop is a tenth of a SET.
        def emit_to_one(db: Database, kind: int, event: bytes, key: bytes) -> None:
            self.event_seq += 1
            first(db, kind, event, key)
            if self.fired:
                self.fired = ()

        def emit_to_two(db: Database, kind: int, event: bytes, key: bytes) -> None:
            self.event_seq += 1
            if kind & mask_1:
                first(db, kind, event, key)
            if kind & mask_2:
                second(db, kind, event, key)
            if self.fired:
                self.fired = ()

        def emit(db: Database, kind: int, event: bytes, key: bytes) -> None:
            self.event_seq += 1
            for mask, listener in pairs:
                if kind & mask:
                    listener(db, kind, event, key)
            if self.fired:
                self.fired = ()

        self.emit = {1: emit_to_one, 2: emit_to_two}.get(len(pairs), emit)

    # -- what happened

    def record_notifications(self, size: int | None = None) -> None:
        """Note events from now on; `size` changes how many are kept (0: none)."""
        with self.lock:
            log = self.notifications
            if size is not None and size != log.records.maxlen:
                log.records = deque(log.records, maxlen=size)
            if self._stop_notifications is not None:
                self._stop_notifications()
                self._stop_notifications = None
            if log.records.maxlen:
                self._stop_notifications = self.listen(log.on_event, log.mask, LOG_LAST)

    @property
    def is_noting(self) -> bool:
        """Whether the notification log is filled."""
        return self._stop_notifications is not None

    def record_commands(self, size: int | None = None) -> None:
        """Note commands from now on; `size` changes how many are kept (0: none)."""
        with self.lock:
            log = self.commands
            if size is not None and size != log.records.maxlen:
                log.records = deque(log.records, maxlen=size)
            log.enabled = bool(log.records.maxlen)
            self.observers_changed()

    def observers_changed(self) -> None:
        """Take note that the command log or a trace begins or ends."""
        self.commands.watched = self.commands.enabled or self.tracing.is_armed
        self.rearm_sessions()

    @property
    def observed(self) -> bool:
        """Whether somebody looks at every command: log, clock, MONITOR, a trace."""
        return (
            self.commands.enabled
            or self.timing.enabled
            or self.tracing.is_armed
            or bool(self.monitoring)
        )

    def rearm_sessions(self) -> None:
        """Let every session see that gates or observers have changed."""
        for session in list(self.sessions.values()):
            session.rearm()

    # -- sessions

    def next_session_id(self) -> int:
        """Return the id of a new session."""
        self.connections_received += 1
        return next(self._session_ids)

    def default_user_is_open(self) -> bool:
        """Whether a new session is authenticated from the start."""
        return self.permissions.is_open()

    # -- expiry

    def may_expire(self) -> bool:
        """Whether a key found past its deadline may be deleted now."""
        return not (self.is_replica or self.expire_pauses)

    def wake_cycle(self) -> None:
        """Make sure the expiry cycle runs, now that a key has a deadline."""
        if not self.cycle.is_running:
            self.cycle.start()

    # -- contents

    def restore(
        self, contents: list[tuple[dict[bytes, Any], dict[bytes, int]]]
    ) -> None:
        """Take the contents that `Database.copy_data` gave, one pair per database."""
        if len(contents) != len(self.databases):
            raise ValueError(
                f"the snapshot has {len(contents)} databases, "
                f"the engine {len(self.databases)}"
            )
        with self.lock:
            for db, (data, expires) in zip(self.databases, contents, strict=True):
                copied = {key: copy_value(value) for key, value in data.items()}
                db.replace_data(copied, dict(expires))
                if expires:
                    self.wake_cycle()
            self.contents_replaced()

    def contents_replaced(self) -> None:
        """Tell who keeps a copy that contents came or went and nothing was propagated."""
        for listener in self.replaced_listeners:
            listener()

    # -- the lock

    def acquire_in_background(self) -> None:
        """Take the lock on a background thread, without starving behind a busy one."""
        self.waiters += 1
        try:
            self.lock.acquire()
        finally:
            self.waiters -= 1
        self._handovers += 1

    def give_way(self) -> None:
        """Let one waiting background thread have the lock; called without holding it."""
        seen = self._handovers
        for _ in range(50):
            if not self.waiters or self._handovers != seen:
                return
            time.sleep(2e-5)

    # -- the end

    def close(self) -> None:
        """Stop the background thread and refuse further commands."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            for session in list(self.sessions.values()):
                self.pubsub.leave(session)
                session.intercept = _closed
        self.blocking.close()
        self.cycle.stop()


def _tell_all(sinks: list[Sink], effects: list[Effect]) -> None:
    remaining = iter(sinks)
    try:
        for sink in remaining:
            sink(effects)
    except ResponseError:
        # One that cannot keep its promise concerns the client, not the others.
        for sink in remaining:
            sink(effects)
        raise


def _nobody(_db: Database, _kind: int, _event: bytes, _key: bytes) -> None:
    """Hear nothing."""


def _closed(_command: Command, _args: list[bytes]) -> None:
    raise EngineClosed("the engine is closed")
