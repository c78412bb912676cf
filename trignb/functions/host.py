"""What a library's JavaScript sees of the engine: commands, `client.block`, the log.

`LibraryHost` is the engine's side of the seam in `trignb.js.runtime`; a loaded library has one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trignb.engine.blocking import Blocked, Waiter
from trignb.engine.session import Session
from trignb.engine.spec import NOSCRIPT
from trignb.errors import ResponseError
from trignb.functions.sections import LibrarySection, Origin
from trignb.js.runtime import JsOom

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.logs import Frame
    from trignb.engine.spec import Command
    from trignb.functions.registry import Registry
    from trignb.js.runtime import Job, Runtime
    from trignb.reply import Reply

__all__ = ["LibraryHost", "LogLine", "PendingCall"]

logger = logging.getLogger(__name__)

LOG_SIZE = 1000

NOT_MASTER = (
    "Can not lock Redis, Can not lock redis for write on replica or when the "
    '"avoid replication traffic" option is enabled'
)
ABORTED = "Command was aborted"
NO_MASTER_ANY_MORE = (
    "UNBLOCKED force unblock from blocking operation, instance state changed "
    "(master -> replica?)"
)
OUT_OF_MEMORY = "Can not lock Redis, OOM Can not lock redis for write"


class LogLine(NamedTuple):
    """One line of a library's log.

    ``seq`` counts the lines of all libraries, from 1; ``thread`` is the one on which it was
    written: that of the caller, or one of the background.
    """

    time_ns: int
    text: str
    seq: int = 0
    thread: int = 0


class Run(Protocol):
    """What a job belongs to."""

    def job_done(self, job: Job) -> None:
        """Take note that the job has finished."""


class PendingCall:
    """A command of ``callAsync`` that waits for a key."""

    __slots__ = ("argv", "timer", "waiter")

    def __init__(self, argv: list[bytes], waiter: Waiter) -> None:
        self.argv = argv
        self.waiter = waiter
        self.timer: threading.Timer | None = None

    @property
    def text(self) -> str:
        """The command as TFUNCTION LIST shows it."""
        return b" ".join(self.argv).decode("utf-8", "replace")


class LibraryHost:
    """One loaded library's way into the engine.

    Attributes
    ----------
    execute : callable
        ``execute(section, argv)`` runs one command, see `make_execute`.
    is_gone : bool
        The library was replaced or deleted; its background code goes on until it needs
        the engine.
    is_full : bool
        It was terminated because of its memory, which is taken for as long as it is loaded.
    logs : deque of LogLine
        What ``redis.log`` wrote, oldest first.
    live_jobs : dict
        Background work that was begun here and has not finished; their tags are what they
        belong to.
    pending_calls : dict
        Commands of ``callAsync`` that have not been answered.
    """

    def __init__(self, registry: Registry, library: str) -> None:
        self.registry = registry
        self.core: Core = registry.core
        self.clock = self.core.clock
        self.library = library
        self.is_gone = False
        self.is_full = False
        self.live_jobs: dict[Job, None] = {}
        self.logs: deque[LogLine] = deque(maxlen=LOG_SIZE)
        self.pending_calls: dict[PendingCall, None] = {}
        self.runtime: Runtime | None = None
        self._sessions: dict[str, Session] = {}
        self._before_block: tuple[bool, Frame] | None = None
        self.execute = make_execute(self)

    def session(self, user: str) -> Session:
        """Return the session in which the library acts as `user`."""
        session = self._sessions.get(user)
        if session is None:
            session = self._sessions[user] = self.new_session(user)
        return session

    def new_session(self, user: str) -> Session:
        """Return another session of `user`; CLIENT LIST does not show it."""
        session = Session(self.core)
        session.user = user
        session.name = self.library.encode()
        del self.core.sessions[session.id]
        return session

    # -- the lock, for the background thread

    def acquire(self) -> None:
        """Take the engine's lock without starving behind a busy thread."""
        self.core.acquire_in_background()

    def release(self) -> None:
        """Give the lock back."""
        self.core.lock.release()

    def chance_state(self) -> bytes:
        """Return what ``Math.random`` of a new isolate starts with."""
        return self.core.chance.library_state()

    # -- commands

    def check(self, section: LibrarySection, argv: list[bytes]) -> Command:
        """Return the command if this section may call it (docs/semantics.md, Permitted commands)."""
        core = self.core
        access = self.registry.access
        if access is not None and not access.user_exists(section.origin.user):
            raise ResponseError("User does not exists or disabled")
        command = core.table.get(argv[0])
        n = len(argv)
        if command is None or (
            n != command.arity and (command.arity > 0 or n < -command.arity)
        ):
            command = core.resolve(section.session, argv)
            # None is for clients that turned replies off; a library's session never did.
            assert command is not None
        if command.flags & section.refused:
            if command.flags & NOSCRIPT and not self.registry.unsafe_commands:
                raise ResponseError(
                    f"ERR command '{command.name}' is not allowed on script mode"
                )
            if command.flags & section.refused & ~NOSCRIPT:
                raise ResponseError(
                    f"ERR Write command '{command.name}' was called while write is "
                    "not allowed."
                )
        if core.permission is not None:
            core.permission(section.session, command, argv)
        for gate in core.gates:
            gate(section.session, command, argv)
        return command

    def execute_watched(self, section: LibrarySection, argv: list[bytes]) -> Reply:
        """Run a command for the command log, for a trace, or for both."""
        core = self.core
        recorded = core.commands.enabled
        run = self.execute_recorded if recorded else self.execute_checked
        return core.tracing.guard(section.session, argv, partial(run, section, argv))

    def execute_checked(self, section: LibrarySection, argv: list[bytes]) -> Reply:
        """Run a command."""
        command = self.check(section, argv)
        section.session.db = section.db
        return self.core.call(section.session, command, argv)

    def execute_recorded(self, section: LibrarySection, argv: list[bytes]) -> Reply:
        """Run a command and note it in the command log."""
        core, log = self.core, self.core.commands
        outer, core.command_seq = core.command_seq, log.next_seq()
        events, started = core.event_seq, time.perf_counter_ns()
        reply: Reply = None
        failure: str | None = None
        try:
            reply = self.execute_checked(section, argv)
            return reply
        except BaseException as error:
            failure = str(error) or type(error).__name__
            raise
        finally:
            elapsed = 0 if core.clock.frozen else time.perf_counter_ns() - started
            log.note(
                seq=core.command_seq,
                time_ns=core.clock.read(),
                db=section.db.index,
                client=self.library,
                args=argv,
                reply=reply,
                error=failure,
                elapsed_ns=elapsed,
                in_multi=False,
                from_library=self.library,
                n_notifications=core.event_seq - events,
            )
            core.command_seq = outer

    # -- commands that may wait

    def execute_async(
        self, section: LibrarySection, argv: list[bytes], done: Callable[[Reply], None]
    ) -> None:
        """Run a command of ``callAsync``; it may wait for a key, then `done` comes later."""
        core = self.core
        try:
            command = self.check(section, argv)
        except ResponseError as error:
            core.tracing.refused(section.session, argv, error)
            raise
        # A session of its own: one session waits for one thing.
        session = self.new_session(section.origin.user)
        session.db = section.db
        # Depth 1 tells the command that it may wait.
        outer, core.nesting = core.nesting, 0
        try:
            reply = core.call(session, command, argv)
        except ResponseError as error:
            reply = error.with_traceback(None)
        except Blocked as blocked:
            self._wait_for(blocked.waiter, argv, done)
            return
        finally:
            core.nesting = outer
        done(reply)

    def _wait_for(
        self, waiter: Waiter, argv: list[bytes], done: Callable[[Reply], None]
    ) -> None:
        pending = PendingCall(argv, waiter)
        self.pending_calls[pending] = None

        def finished(waiter: Waiter) -> None:
            if pending.timer is not None:
                pending.timer.cancel()
            del self.pending_calls[pending]
            # Of a library that is gone the result is dropped.
            if not self.is_gone:
                done(waiter.error or waiter.reply)

        waiter.on_done = finished
        if waiter.timeout_s:
            time_out = self.core.blocking.time_out
            pending.timer = threading.Timer(waiter.timeout_s, time_out, [waiter])
            pending.timer.daemon = True
            pending.timer.start()

    @property
    def is_busy(self) -> bool:
        """Whether background work is under way, or waits for its turn or for a key."""
        queued = self.runtime is not None and self.runtime.pending_jobs
        return bool(self.live_jobs or self.pending_calls or queued)

    # -- client.block

    def enter_block(self, origin: Origin) -> LibrarySection:
        """Open a unit of its own in database 0; the background thread has the lock."""
        core, registry = self.core, self.registry
        if not origin.no_writes:
            if registry.refuses_writes():
                raise ResponseError(NOT_MASTER)
            if not origin.allow_oom and registry.out_of_memory():
                raise ResponseError(OUT_OF_MEMORY)
        if self.is_gone:
            raise ResponseError("Function were unregistered")
        section = LibrarySection(origin, self.session(origin.user), block_allowed=True)
        section.db = core.databases[0]
        self._before_block = registry.in_library, core.frame
        registry.in_library, core.frame = True, section.frame
        core.nesting = 1
        core.unit_ns = 0
        core.argv = None
        registry.block_began(section)
        return section

    def block_timeout_ms(self) -> int:
        """Return how long one ``client.block`` may hold the lock."""
        return self.registry.timeout_ms

    def remote_timeout_ms(self) -> int:
        """Return how long ``runOnShards`` waits."""
        timeout: int = self.registry.setting("remote-task-default-timeout")
        return timeout

    def leave_block(self, section: LibrarySection) -> None:
        """Close the unit: jobs, propagation, whoever waited for a key."""
        core = self.core
        if self._before_block is None:
            return
        self.registry.in_library, core.frame = self._before_block
        self._before_block = None
        try:
            if core.after:
                core.leave_unit()
        except BaseException as error:
            core.fail_unit(error)
            raise
        finally:
            core.nesting = 0
            self.registry.block_ended(section)

    def cluster_origin(self, origin: Origin) -> Origin:
        """Return the origin of a cluster function: the caller's, without writes."""
        return replace(origin, no_writes=True, allow_oom=False)

    # -- what JavaScript tells

    def log(self, text: str) -> None:
        """Keep a line of the library's log; any thread."""
        number, thread = next(self.registry.line_numbers), threading.get_ident()
        line = LogLine(self.core.clock.read(), text, number, thread)
        self.logs.append(line)
        self.registry.lines.append((self.library, line))
        logger.info("%s: %s", self.library, text)

    def adopt(self, job: Job, run: Run) -> None:
        """Have `run` hear of the end of a job."""
        job.tag = run
        self.live_jobs[job] = None

    def job_done(self, job: Job) -> None:
        """Finish what a job belongs to: a trigger's run or a function's."""
        if isinstance(job.error, JsOom):
            self.registry.ran_out_of_memory(self)
        if job.tag is not None:
            self.live_jobs.pop(job, None)
            job.tag.job_done(job)
        if self.is_gone and not self.live_jobs:
            self.registry.job_finished(self)

    def give_up(self) -> None:
        """Abort what waits, as this engine is a replica now."""
        for pending in list(self.pending_calls):
            self.core.blocking.forget(pending.waiter)
            pending.waiter.finish(None, ResponseError(ABORTED))
        for job in list(self.live_jobs):
            # Of a function; nobody waits for a trigger.
            waiter = getattr(job.tag, "waiter", None)
            if waiter is not None and not waiter.is_done:
                waiter.hangs_up = True
                waiter.finish(None, ResponseError(NO_MASTER_ANY_MORE))

    def ran_out_of_memory(self) -> None:
        """Refuse every run from now on; see `Registry.ran_out_of_memory`."""
        self.registry.ran_out_of_memory(self)

    def isolate_lost(self, reason: str) -> None:
        """Say in the log that the library's globals are gone."""
        self.log(f"the library's state was lost, it starts afresh: {reason}")


def make_execute(
    host: LibraryHost,
) -> Callable[[LibrarySection, list[bytes]], Reply]:
    """Return ``execute(section, argv)``, the hot path of ``client.call``."""
    core, registry = host.core, host.registry
    find, call = core.table.get, core.call
    commands = core.commands

    def execute(section: LibrarySection, argv: list[bytes]) -> Reply:
        command = find(argv[0])
        n = len(argv)
        if commands.watched:
            return host.execute_watched(section, argv)
        if (
            command is None
            or (n != command.arity and (command.arity > 0 or n < -command.arity))
            or command.flags & section.refused
            or core.gates
            or registry.access is not None
        ):
            command = host.check(section, argv)
        session = section.session
        session.db = section.db
        return call(session, command, argv)

    return execute
