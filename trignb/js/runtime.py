"""The seam between JavaScript and whoever runs it: what each side promises the other.

`trignb.functions` writes against this module; `trignb.js.v8.LibraryRuntime` is the
`Runtime` that runs on V8, and a fake in a test may be another. The other direction is
`Host`: what a runtime needs from the engine it is part of. Nothing here knows of keys,
sessions or commands, so a section, an origin and a job's tag are opaque to the runtime.

How it is used
--------------
One `Runtime` runs one library::

    runtime = LibraryRuntime(host, "lib", source, RuntimeLimits(), config_json=None)
    runtime.compile()                         # JsError: not JavaScript
    registrations = runtime.load(500)         # JsError, JsTerminated: threw, or hung
    reply = runtime.call(r.callback, section, [b"key", b"arg"], 500)
    if type(reply) is Job: ...                # it returned a promise that is pending
    job = runtime.start(r.callback, origin, [b"key"])      # in the background

**The lock.** Every method but `dispose` is called by a thread that holds the engine's
lock, and every method of `Host` but `log` is called under it: on the thread that called
the runtime, or on the runtime's background thread, which takes the lock with
`Host.acquire`. Never wait for a `Job` while you hold the lock: its code may be waiting
for the lock in `client.block`.

**Sections.** A `Section` is whatever the host wants to know when a command arrives:
user, database, whether writes are allowed. `call` and the triggers get one from the
host, `client.block` asks `Host.enter_block` for one. Commands are always run for the
innermost section; clients of others are refused before they reach the host.

**Re-entrance.** `Host.execute` may come back into the same runtime (an expired key with
an ``onTriggerFired``), to any depth. A run that is terminated takes the runs around it
along, because they share one JavaScript stack: the outer `call` raises `JsTerminated`
as soon as its command returns.

**Trigger data.** ``onTriggerFired`` and the main callback get one live object. `fire`
runs the former and returns a `TriggerData` to be given to `run_trigger` or
`start_trigger` later, each of which consumes it; `drop_data` frees one that nobody will
use. Without ``onTriggerFired`` pass ``None``.

**Origins.** An origin says on whose behalf background work runs (user, flags). It must
be hashable and there should be few different ones, since a runtime keeps each it saw.
A section's ``origin`` is what ``executeAsync`` inside that section inherits.

**Lost isolates.** JavaScript that cannot be interrupted is killed with its isolate; the
next use of the runtime builds a new one from the same source. Registrations keep their
callback numbers, globals are lost, `Host.isolate_lost` tells.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NewType, Protocol, TypeAlias

from trignb.errors import TrignbError
from trignb.reply import Reply

if TYPE_CHECKING:
    from trignb.clock import Clock

__all__ = [
    "API_VERSION",
    "CLUSTER_FUNCTION",
    "FUNCTION",
    "KEYSPACE_TRIGGER",
    "STREAM_TRIGGER",
    "TERMINATED",
    "HeapStatistics",
    "Host",
    "Job",
    "JsError",
    "JsOom",
    "JsTerminated",
    "JsTimeout",
    "Registration",
    "Runtime",
    "RuntimeLimits",
    "Section",
    "StreamRecord",
    "TriggerData",
]

API_VERSION: Final = "1.1"

FUNCTION: Final = "function"
CLUSTER_FUNCTION: Final = "cluster_function"
KEYSPACE_TRIGGER: Final = "keyspace_trigger"
STREAM_TRIGGER: Final = "stream_trigger"

TERMINATED: Final = "Err Execution was terminated due to OOM or timeout"


# Errors ----------------------------------------------------------------------------


# The original's scripts have no name, and its constructor of promises no frame.
_FILE: Final = re.compile(r"(?<=[ (])\w+\.js(?=:\d+:\d+\)?$)", re.MULTILINE)
_OURS: Final = re.compile(r"\n    at new Promise \(<anonymous>\)$", re.MULTILINE)


class JsError(TrignbError):
    """JavaScript threw, or its result has no reply.

    ``str(error)`` is the string form of what was thrown: ``x`` for ``throw "x"``,
    ``Error: x`` for ``throw new Error("x")``, Redis's own line for a failing command
    that was not caught.

    Attributes
    ----------
    name : str
        ``TypeError`` and so on; empty when no ``Error`` object was thrown.
    stack : str
        The exception's own stack, frames of the library only; empty when it has none,
        as strings have.
    trace : str
        Where it happened, whether the exception knows or not: ``stack``, or the frames
        at which the runtime itself threw (a failing command, a refused argument).
    line, column : int or None
        Innermost position in the library, from 1; line 1 is the prologue.
    syntax : bool
        The source is not JavaScript.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        stack: str = "",
        trace: str = "",
        line: int | None = None,
        column: int | None = None,
        syntax: bool = False,
    ) -> None:
        super().__init__(message)
        self.name = name
        self.stack = stack
        self.trace = trace or stack
        self.line = line
        self.column = column
        self.syntax = syntax

    def after(self, words: str) -> JsError:
        """Return the same error with words before both of its forms."""
        return JsError(
            words + str(self),
            name=self.name,
            stack=words + self.stack if self.stack else "",
            trace=self.trace,
            line=self.line,
            column=self.column,
            syntax=self.syntax,
        )

    @property
    def message(self) -> str:
        """The short form."""
        return str(self)

    @property
    def verbose(self) -> str:
        """The long form: the stack on one line, or the message when there is none."""
        if not self.stack:
            return str(self)
        return _FILE.sub("<anonymous>", _OURS.sub("", self.stack)).replace("\n", "|")


class JsTerminated(TrignbError):
    """JavaScript was stopped; ``str(error)`` is what Redis says to clients.

    Attributes
    ----------
    reason : str
        What happened, for people: the timeout, the heap limit, an unloaded library.
    """

    def __init__(self, reason: str = "", message: str = TERMINATED) -> None:
        super().__init__(message)
        self.reason = reason


class JsTimeout(JsTerminated):
    """It ran for longer than it may."""


class JsOom(JsTerminated):
    """It wanted more memory than it may have."""


# What a library is allowed and what it registered -----------------------------------


@dataclass(frozen=True, slots=True)
class RuntimeLimits:
    """What one library may use.

    Attributes
    ----------
    heap_bytes : int
        Heap of the isolate; JavaScript is terminated above it.
    slack_bytes : int
        How much the process may grow beyond that while a script runs: typed arrays live
        outside the heap and V8 does not count them.
    all_globals : bool
        Globals outside RedisGears' allow list stay, all but WebAssembly.
    spin : bool or None
        Whether to wait actively for a moment before sleeping. None decides by the number
        of processors: active waiting on one only keeps the other side from running.
    """

    heap_bytes: int = 200_000_000
    slack_bytes: int = 256 << 20
    all_globals: bool = False
    spin: bool | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """One ``redis.register…`` call, in the order of the calls.

    Attributes
    ----------
    kind : str
        `FUNCTION`, `CLUSTER_FUNCTION`, `KEYSPACE_TRIGGER` or `STREAM_TRIGGER`.
    name : str
        Unique within its kind.
    callback : int
        Number to give to `Runtime.call`, `Runtime.start` and the triggers.
    is_async : bool
        The callback is an ``async`` function: it belongs into the background.
    declared_async : bool
        Registered by ``registerAsyncFunction``.
    description : str or None
        Option ``description``.
    flags : tuple of str
        Option ``flags`` of a function, each once, in the order ``no-writes``,
        ``allow-oom``, ``raw-arguments``.
    prefix : bytes
        What keys of a trigger begin with.
    on_fired : int or None
        Number of a keyspace trigger's ``onTriggerFired``.
    window : int
        Option of a stream trigger.
    trimmed : bool
        Option ``isStreamTrimmed`` of a stream trigger.
    line : int or None
        Line of the library in which it was registered.
    """

    kind: str
    name: str
    callback: int
    is_async: bool
    declared_async: bool = False
    description: str | None = None
    flags: tuple[str, ...] = ()
    prefix: bytes = b""
    on_fired: int | None = None
    window: int = 1
    trimmed: bool = False
    line: int | None = None


class StreamRecord(NamedTuple):
    """One record as a stream trigger gets it."""

    stream: bytes
    ms: int
    seq: int
    fields: Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class HeapStatistics:
    """What V8 says of one isolate, in bytes."""

    total: int
    used: int
    limit: int


# The live ``data`` object of one event, kept in JavaScript until it is used: a number,
# because making anything else costs more than the trigger's own bookkeeping.
TriggerData = NewType("TriggerData", int)


class Job:
    """Background work: a coroutine, or a promise that a function returned.

    Attributes
    ----------
    origin : Hashable
        On whose behalf it runs.
    tag : object
        The host's own; the runtime never looks at it. Set it right after the call that
        returned the job, under the same hold of the lock: `Host.job_done` comes later.
    value : Reply
        The result, once done without an error.
    error : JsError, JsTerminated or None
        Why there is no result.
    """

    __slots__ = ("_callbacks", "_done", "_guard", "error", "origin", "tag", "value")

    def __init__(self, origin: Hashable) -> None:
        self.origin = origin
        self.tag: Any = None
        self.value: Reply = None
        self.error: JsError | JsTerminated | None = None
        self._done = threading.Event()
        self._guard = threading.Lock()
        self._callbacks: list[Callable[[Job], None]] = []

    @property
    def done(self) -> bool:
        """Whether it has finished, one way or the other."""
        return self._done.is_set()

    def result(self, timeout: float | None = None) -> Reply:
        """Wait for the result; never while holding the engine's lock.

        Raises
        ------
        JsError, JsTerminated
            The job's error.
        TimeoutError
            It did not finish within `timeout` seconds.
        """
        if not self._done.wait(timeout):
            raise TimeoutError("the job is still running")
        if self.error is not None:
            raise self.error
        return self.value

    def add_done_callback(self, callback: Callable[[Job], None]) -> None:
        """Call `callback` with the job when it is done, at once if it is already.

        It is called on the runtime's background thread, after `Host.job_done` and
        without the lock.
        """
        with self._guard:
            if not self._done.is_set():
                self._callbacks.append(callback)
                return
        callback(self)

    def finish(self) -> None:
        """Tell everybody that `value` or `error` is there. The runtime calls this."""
        with self._guard:
            self._done.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)


# The two sides ----------------------------------------------------------------------


class Section(Protocol):
    """What the commands of one stretch of synchronous JavaScript run under.

    The runtime reads the two attributes and passes the section back; they must not
    change while it is in use. One section may serve many calls, one after another.
    """

    @property
    def origin(self) -> Hashable:
        """What background work started in here inherits."""

    @property
    def block_allowed(self) -> bool:
        """What ``client.isBlockAllowed()`` answers."""


Done: TypeAlias = Callable[[Reply], None]


class Host(Protocol):
    """What a runtime needs from its engine. Functions are called under the lock."""

    def acquire(self) -> None:
        """Take the engine's lock for the background thread.

        Called without the lock. The host makes the hand-over fair: foreground threads
        that see somebody waiting yield after their unit.
        """

    def release(self) -> None:
        """Give the lock back."""

    @property
    def clock(self) -> Clock:
        """What ``Date`` follows."""

    def chance_state(self) -> bytes:
        """Return 16 bytes for a new isolate's ``Math.random`` to start with."""

    def execute(self, section: Any, argv: list[bytes]) -> Reply:
        """Run one command, never blocking.

        A `ResponseError` is thrown into JavaScript as its text; any other exception
        terminates the script and surfaces from the runtime's method. `argv` belongs to
        the callee.
        """

    def execute_async(self, section: Any, argv: list[bytes], done: Done) -> None:
        """Run one command that may block; call `done` once with the reply.

        `done` takes a `ResponseError` instance for an error. It may be called at once
        or later, by any thread. Raising a `ResponseError` is the same as passing it.
        """

    def enter_block(self, origin: Any) -> Section:
        """Open the section of ``client.block``; the background thread has the lock.

        A `ResponseError` is thrown from ``block`` as its text.
        """

    def block_timeout_ms(self) -> int:
        """Return how long one ``client.block`` may hold the lock; 0: for ever."""

    def remote_timeout_ms(self) -> int:
        """Return after how long ``runOnShards`` answers with what it has."""

    def leave_block(self, section: Any) -> None:
        """Close it: queued triggers run now, JavaScript goes on afterwards."""

    def cluster_origin(self, origin: Any) -> Hashable:
        """Return the origin of a cluster function called on behalf of `origin`."""

    def log(self, text: str) -> None:
        """Write to the library's log. Any thread, with or without the lock."""

    def job_done(self, job: Job) -> None:
        """Take note of a finished job; ``job.done`` turns true after this returned."""

    def ran_out_of_memory(self) -> None:
        """Take note that background work was terminated for its memory. Without the lock."""

    def isolate_lost(self, reason: str) -> None:
        """Take note that the library's globals are gone and its jobs have failed."""


class Runtime(Protocol):
    """One library. Called under the engine's lock, see the module's description.

    `timeout_ms` of 0 means no limit.
    """

    def compile(self) -> None:
        """Check the syntax; nothing is evaluated.

        Raises
        ------
        JsError
            With ``syntax`` true.
        """

    def load(self, timeout_ms: int) -> list[Registration]:
        """Evaluate the library and return what it registered.

        Raises
        ------
        JsError
            It threw; ``syntax`` is true when it does not compile.
        JsTerminated
            It took too long or too much memory.
        """

    def call(
        self,
        callback: int,
        section: Section,
        args: Sequence[bytes],
        timeout_ms: int,
        raw: bool = False,
    ) -> Reply | Job:
        """Run a function with a sync client; a pending promise comes back as a `Job`.

        `raw` gives it its arguments as ``ArrayBuffer``. Without it an argument that is
        not UTF-8 is refused with `ResponseError`.
        """

    def fire(
        self, callback: int, section: Section, event: str, key: bytes, timeout_ms: int
    ) -> TriggerData:
        """Run ``onTriggerFired`` and keep its ``data`` for the main callback."""

    def run_trigger(
        self,
        callback: int,
        section: Section,
        event: str,
        key: bytes,
        timeout_ms: int,
        data: TriggerData | None = None,
    ) -> Job | None:
        """Run a keyspace trigger's callback; its result does not matter.

        A pending promise comes back as a `Job`, a rejected one is raised.
        """

    def run_record(
        self, callback: int, section: Section, record: StreamRecord, timeout_ms: int
    ) -> Job | None:
        """Run a stream trigger's callback, as `run_trigger` does."""

    def start(
        self,
        callback: int,
        origin: Hashable,
        args: Sequence[bytes] = (),
        raw: bool = False,
    ) -> Job:
        """Queue a function for the background; it gets an async client."""

    def start_trigger(
        self,
        callback: int,
        origin: Hashable,
        event: str,
        key: bytes,
        data: TriggerData | None = None,
    ) -> Job:
        """Queue a keyspace trigger's callback for the background."""

    def start_record(
        self, callback: int, origin: Hashable, record: StreamRecord
    ) -> Job:
        """Queue a stream trigger's callback for the background."""

    def drop_data(self, data: TriggerData) -> None:
        """Free trigger data that nobody is going to use."""

    def stop(self, job: Job) -> None:
        """Terminate what a job computes right now; any thread, without the lock."""

    def stop_unclaimed(self) -> None:
        """Terminate jobs that were started but never got to who wanted them (no ``tag``).

        Called under the lock after an interrupt, which may strike anywhere.
        """

    @property
    def pending_jobs(self) -> int:
        """Length of the background queue, the running job excluded."""

    def chance_state(self) -> bytes:
        """Return what ``Math.random`` is about to draw from, 16 bytes or none."""

    def set_chance_state(self, state: bytes) -> None:
        """Have ``Math.random`` draw from this; nothing changes nothing."""

    def heap_statistics(self) -> HeapStatistics:
        """Ask V8; zeros when there is no isolate at the moment."""

    def collect_garbage(self) -> bool:
        """Have V8 collect; False if it is busy or there is no isolate."""

    def orphan(self) -> None:
        """Take note that the library was deleted: its cluster functions are not found any more.

        Its background work goes on.
        """

    def dispose(self) -> None:
        """Unload. Background work that has not finished fails."""
