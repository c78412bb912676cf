"""The libraries of one engine: loading, replacing, deleting, and what they share."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

from trignb.engine.session import Session
from trignb.errors import ResponseError
from trignb.functions import commands, config
from trignb.functions.calls import JS_OUT_OF_MEMORY
from trignb.functions.cluster import cluster_family
from trignb.functions.failures import (
    ErrorRecord,
    Failure,
    advise,
    error_line,
    load_error_line,
)
from trignb.functions.host import LibraryHost, LogLine
from trignb.functions.information import info_sections
from trignb.functions.isolates import IsolateList
from trignb.functions.keeping import LibraryKeeper
from trignb.functions.library import (
    ClusterFunction,
    Function,
    Library,
    LibrarySource,
)
from trignb.functions.listing import ListRequest, describe
from trignb.functions.prologue import check_api_version, parse_prologue
from trignb.functions.streams import Streams, StreamTrigger, check_same_prefix
from trignb.functions.tracing import Runs, RunTracer
from trignb.functions.triggers import KeyspaceTrigger, Triggers, TriggerStatistics
from trignb.js.runtime import (
    CLUSTER_FUNCTION,
    FUNCTION,
    KEYSPACE_TRIGGER,
    JsError,
    JsOom,
    JsTerminated,
    RuntimeLimits,
)
from trignb.reply import OK, Status

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.js.runtime import Host, Registration, Runtime

__all__ = ["Access", "Registry"]

ERRORS_KEPT: Final = 1000
LINES_KEPT: Final = 10_000
FEW: Final = 32
_NOT_COMPILED: Final = "Failed library compilation"

# How MODULE LIST and HELLO name it; 2.0.20 was the last of its kind.
MODULE_NAME: Final = b"redisgears_2"
MODULE_VERSION: Final = 20020

RuntimeFactory = Callable[["Host", LibrarySource, RuntimeLimits], "Runtime"]


class Access(Protocol):
    """What users may do; an engine without users has none of it."""

    def user_exists(self, user: str) -> bool:
        """Whether the user is there and enabled."""

    def key_denial(self, user: str, key: bytes) -> str | None:
        """Return why the user may not do everything with a key, None if he may."""


class Registry(Runs):
    """All libraries, and what their runs ask for.

    Attributes
    ----------
    libraries : dict
        `Library` by name, in the order of their first load.
    triggers, streams : Triggers, Streams
        The keyspace and the stream triggers of all of them, in firing order.
    errors : deque of ErrorRecord
        The last errors of JavaScript, oldest first.
    errors_noted : int
        How many there were in all.
    lines : deque of (str, LogLine)
        What libraries logged last, each line with its library's name, oldest first.
    in_library : bool
        Library code is running: its writes fire no keyspace triggers.
    is_guarded : bool
        A run needs a look at rights or at memory before it starts.
    unsafe_commands : bool
        Libraries may call what scripts may not (TFUNCTION DEBUG).
    all_globals : bool
        Libraries loaded from now on keep all globals (TFUNCTION DEBUG).
    access : Access or None
        Set by a layer that knows users.
    out_of_memory : callable
        Tells whether the keyspace is above ``maxmemory``.
    timeout_ms, error_verbosity : int
        From the configuration.
    """

    def __init__(self, core: Core, make_runtime: RuntimeFactory | None = None) -> None:
        self.core = core
        self.clock = core.clock
        self.libraries: dict[str, Library] = {}
        self.errors: deque[ErrorRecord] = deque(maxlen=ERRORS_KEPT)
        self.errors_noted = 0
        self.lines: deque[tuple[str, LogLine]] = deque(maxlen=LINES_KEPT)
        self.line_numbers = count(1)
        self.in_library = False
        self.is_guarded = False
        self.unsafe_commands = False
        self.all_globals = False
        self.access: Access | None = None
        self.out_of_memory: Callable[[], bool] = core.eviction.is_over
        self.timeout_ms = 0
        self.error_verbosity = 1
        self._make_runtime = make_runtime or _v8_runtime
        self._made_runtimes = False
        self._memory_suspected = False
        self._positions = count()
        self._retired: list[LibraryHost] = []
        self.isolates = IsolateList()
        self._session: Session | None = None
        self.triggers = Triggers(self)
        self.streams = Streams(self)
        self.tracer = RunTracer(self)
        config.add_parameters(core.config)
        self._follow_config()
        core.add_family(commands.make_family(self))
        core.add_family(cluster_family())
        core.info_sections += info_sections(self)
        core.kept.append(LibraryKeeper(self))
        core.modules.append(
            {b"name": MODULE_NAME, b"ver": MODULE_VERSION, b"path": b"", b"args": []}
        )

    # -- configuration

    def setting(self, name: str) -> Any:
        """Return the value of a ``redisgears_2`` parameter."""
        return self.core.config.values[config.PREFIX + name]

    def _follow_config(self) -> None:
        def timeout(_value: object) -> None:
            # Under policy Kill nothing is terminated.
            kills = self.setting("library-fatal-failure-policy") == "Kill"
            self.timeout_ms = 0 if kills else self.setting("lock-redis-timeout")

        def verbosity(level: int) -> None:
            self.error_verbosity = level

        on_change = self.core.config.on_change
        on_change(config.PREFIX + "lock-redis-timeout", timeout)
        on_change(config.PREFIX + "library-fatal-failure-policy", timeout)
        on_change(config.PREFIX + "error-verbosity", verbosity)

    # -- what runs ask

    def refuses_writes(self) -> bool:
        """Whether libraries may not write: a replica, or writes are paused."""
        return self.core.is_replica or self.core.pause.is_on

    def set_access(self, access: Access | None) -> None:
        """Ask for rights from now on, or no more."""
        self.access = access
        self._guard()

    def suspect_memory(self) -> None:
        """Look at V8's memory before the next run: a script wanted more than there is."""
        self._memory_suspected = True
        self._guard()

    def ran_out_of_memory(self, host: LibraryHost) -> None:
        """Refuse every run from now on, until the library is gone whose memory it is.

        What V8 has reserved for it is not given back while nothing of it runs, so it makes no
        difference how much of that is garbage.
        """
        host.is_full = True
        self.suspect_memory()

    def _guard(self) -> None:
        self.is_guarded = self._memory_suspected or self.access is not None

    def js_is_out_of_memory(self) -> bool:
        """Whether V8 has no memory for another run; looks only where that is suspected."""
        if not self._memory_suspected:
            return False
        if self._heap_is_full():
            return True
        self._memory_suspected = False
        self._guard()
        return False

    def _heap_is_full(self) -> bool:
        if any(library.host.is_full for library in self.libraries.values()):
            return True
        limit: int = self.setting("v8-maxmemory")
        used = self._heaps_used()
        if sum(used.values()) < limit:
            return False
        # V8 collects when it needs room; what it counts may be garbage by now.
        for library, size in used.items():
            if size > limit // 20:
                library.runtime.collect_garbage()
        return sum(self._heaps_used().values()) >= limit

    def _heaps_used(self) -> dict[Library, int]:
        # What is in use: V8 reserves a megabyte and more for a library that does nothing.
        return {
            library: library.runtime.heap_statistics().used
            for library in self.libraries.values()
        }

    def refusal(
        self, trigger: KeyspaceTrigger | StreamTrigger, key: bytes
    ) -> ResponseError | None:
        """Return why a trigger may not run for a key."""
        if self.access is not None:
            denial = self.access.key_denial(trigger.owner.user, key)
            if denial is not None:
                return ResponseError(
                    f"User '{trigger.owner.user}' has no permissions on key "
                    f"'{_key_text(key)}', {denial}."
                )
        if self.js_is_out_of_memory():
            return ResponseError(JS_OUT_OF_MEMORY)
        return None

    def note_failure(
        self,
        library: str,
        kind: str,
        item: str,
        failure: Failure,
        event: str = "",
        key: bytes = b"",
    ) -> None:
        """Keep an error for those who look later; see `ErrorRecord`."""
        self.errors_noted += 1
        self.errors.append(
            ErrorRecord(
                self.clock.read(),
                library,
                kind,
                item,
                failure.short,
                failure.line,
                failure.column,
                failure.stack,
                event,
                key,
                threading.get_ident(),
            )
        )

    # -- loading

    def load(
        self,
        code: str,
        configuration: str | None,
        user: str,
        *,
        replace: bool,
        is_patient: bool = False,
    ) -> Status:
        """Compile, evaluate and publish a library; the lock is held.

        `is_patient` allows it the time that loading from a file allows.

        Raises
        ------
        ResponseError
            One of the texts of docs/semantics.md, Loading; `JavaScriptError` when the code itself is at fault.
            Nothing has changed then.
        """
        library = self.build(
            code, configuration, user, replace=replace, is_patient=is_patient
        )
        self.publish(library)
        return OK

    def build(
        self,
        code: str,
        configuration: str | None,
        user: str,
        *,
        replace: bool,
        is_patient: bool = False,
        is_fresh: bool = False,
    ) -> Library:
        """Return a library that has only to be published; errors as for `load`.

        `is_fresh` makes it one that has nothing of a library of its name that is loaded now.
        """
        try:
            prologue = parse_prologue(code)
        except ResponseError as error:
            raise self._refused("", str(error)) from None
        name, source = prologue.name, LibrarySource(code, prologue, configuration, user)
        old = None if is_fresh else self.libraries.get(name)
        host = LibraryHost(self, name)
        host.runtime = runtime = self._compile(host, source)
        try:
            if old is not None and not replace:
                raise ResponseError(f"Library {name} already exists.")
            registrations = self._evaluate(runtime, source, is_patient)
            library = self._build(host, source, registrations, old)
        except BaseException:
            runtime.dispose()
            raise
        return library

    def _compile(self, host: LibraryHost, source: LibrarySource) -> Runtime:
        # Asking every isolate takes a millisecond each; of many, not every load asks.
        count = len(self.libraries)
        if count < FEW or count % FEW == 0:
            self.suspect_memory()
        if self.js_is_out_of_memory():
            raise self._refused(
                source.prologue.name, f"{_NOT_COMPILED}: {JS_OUT_OF_MEMORY}"
            )
        limits = RuntimeLimits(
            heap_bytes=self.setting("v8-maxmemory"),
            all_globals=self.all_globals,
        )
        self._made_runtimes = True
        runtime = self._make_runtime(host, source, limits)
        try:
            runtime.compile()
            check_api_version(source.prologue.version)
        except (JsError, JsTerminated) as error:
            runtime.dispose()
            failure = self._note_load_failure(source, error)
            message = f"{_NOT_COMPILED}: {failure.short}"
            raise advise(
                failure.to_error(source.prologue.name, message), source.code
            ) from None
        except ResponseError as error:
            runtime.dispose()
            raise self._refused(
                source.prologue.name, f"{_NOT_COMPILED}: {error}"
            ) from None
        except BaseException:
            runtime.dispose()
            raise
        self.isolates.add(runtime, self.runtimes())
        return runtime

    def _evaluate(
        self, runtime: Runtime, source: LibrarySource, is_patient: bool
    ) -> list[Registration]:
        timeout = self.timeout_ms
        if timeout and (is_patient or self.core.is_loading):
            timeout = self.setting("db-loading-lock-redis-timeout")
        try:
            return runtime.load(timeout)
        except (JsError, JsTerminated) as error:
            failure = self._note_load_failure(source, error)
            text = failure.text(self.error_verbosity)
            message = load_error_line(f"Failed loading library: {text}.")
            raise advise(
                failure.to_error(source.prologue.name, message), source.code
            ) from None

    def _refused(self, library: str, text: str) -> ResponseError:
        """Note code that cannot become a library; return the error."""
        self.note_failure(library, "load", "", Failure(text, text))
        return ResponseError(error_line(text))

    def _note_load_failure(
        self, source: LibrarySource, error: JsError | JsTerminated
    ) -> Failure:
        failure = Failure.of(error)
        if isinstance(error, JsOom):
            self.suspect_memory()
        self.note_failure(source.prologue.name, "load", "", failure)
        return failure

    def _build(
        self,
        host: LibraryHost,
        source: LibrarySource,
        registrations: list[Registration],
        old: Library | None,
    ) -> Library:
        library = Library(self, source, host)
        for registration in registrations:
            self._register(library, registration, old)
        if not (library.functions or library.triggers or library.stream_triggers):
            raise ResponseError("Neither function nor other registrations were found.")
        if old is not None:
            library.loads += old.loads
        return library

    def _register(
        self, library: Library, registration: Registration, old: Library | None
    ) -> None:
        name = registration.name
        if registration.kind == FUNCTION:
            library.functions[name] = Function(library, registration)
        elif registration.kind == CLUSTER_FUNCTION:
            library.cluster_functions[name] = ClusterFunction(
                library.name, name, registration.line
            )
        elif registration.kind == KEYSPACE_TRIGGER:
            kept = old.triggers.get(name) if old is not None else None
            library.triggers[name] = KeyspaceTrigger(
                library,
                registration,
                next(self._positions) if kept is None else kept.position,
                TriggerStatistics() if kept is None else kept.statistics,
            )
        else:
            reader = old.stream_triggers.get(name) if old is not None else None
            try:
                check_same_prefix(reader, registration)
            except ResponseError as error:
                raise ResponseError(
                    error_line(f"Failed loading library: {error}.")
                ) from None
            library.stream_triggers[name] = StreamTrigger(
                library,
                registration,
                next(self._positions) if reader is None else reader.position,
                {} if reader is None else reader.streams,
            )

    def publish(self, library: Library) -> None:
        """Put a library in the place of the one of its name."""
        old = self.libraries.get(library.name)
        self.libraries[library.name] = library
        self.triggers.replace(
            old.triggers.values() if old is not None else (),
            library.triggers.values(),
        )
        known = old.stream_triggers if old is not None else {}
        self.streams.replace(known.values(), library.stream_triggers.values())
        if library.stream_triggers.keys() - known.keys():
            # A new one starts with what is already there.
            self.streams.wake_all()
        if old is not None:
            self._retire(old)
        if self.core.notifications.records.maxlen:
            self.core.record_notifications()

    # -- from Python

    def load_from_python(
        self,
        code: str,
        replace: bool = False,
        config: Mapping[str, Any] | str | None = None,
    ) -> Library:
        """Load a library; what `trignb.Engine.load` does."""
        argv: list[bytes] = [b"TFUNCTION", b"LOAD"]
        if replace:
            argv.append(b"REPLACE")
        if config is not None:
            text = config if isinstance(config, str) else json.dumps(dict(config))
            argv += [b"CONFIG", text.encode()]
        argv.append(code.encode("utf-8", "surrogateescape"))
        with self.streams.scan.awaited(), self.core.lock:
            self.core.run(self._python_session(), argv)
            return self.libraries[parse_prologue(code).name]

    def _python_session(self) -> Session:
        """Return the session of whoever holds the engine; CLIENT LIST does not show it."""
        session = self._session
        if session is None:
            session = self._session = Session(self.core)
            session.name = b"engine.load"
            session.authenticated = True
            del self.core.sessions[session.id]
        session.rearm()
        return session

    # -- deleting

    def delete(self, name: str) -> Status:
        """Forget a library, its triggers and their statistics; the lock is held."""
        library = self.libraries.pop(name, None)
        if library is None:
            raise ResponseError("library does not exists")
        self.triggers.replace(library.triggers.values(), ())
        self.streams.replace(library.stream_triggers.values(), ())
        library.runtime.orphan()
        self._retire(library)
        return OK

    def forget_libraries(self) -> None:
        """Forget all libraries; the lock is held."""
        for name in list(self.libraries):
            self.delete(name)

    def clear(self) -> None:
        """Forget all libraries, errors and what was logged."""
        with self.core.lock:
            self.forget_libraries()
            self.errors.clear()
            self.lines.clear()
            if not self.core.nesting:
                self.core.run_unit(_nothing)

    def reset_statistics(self) -> None:
        """Start all counters from zero; libraries stay as they are."""
        with self.core.lock:
            for library in self.libraries.values():
                for function in library.functions.values():
                    function.reset_statistics()
                for trigger in library.triggers.values():
                    trigger.reset_statistics()
                for reader in library.stream_triggers.values():
                    reader.reset_statistics()
            self.errors.clear()
            self.lines.clear()

    def role_changed(self) -> None:
        """Take note that `Core.is_replica` has changed; the lock is held.

        A new replica gives up what waits: commands of ``callAsync`` and clients whose function has
        not answered. A new primary reads what the streams have got meanwhile.
        """
        if not self.core.is_replica:
            self.streams.wake_all()
            return
        for host in self.hosts():
            host.give_up()

    def hosts(self) -> list[LibraryHost]:
        """Return what runs JavaScript, for libraries that are gone too."""
        return [*(lib.host for lib in self.libraries.values()), *self._retired]

    def close(self) -> None:
        """Stop all JavaScript."""
        with self.core.lock:
            hosts = self.hosts()
            self.triggers.replace(list(self.triggers), ())
            self.streams.replace(list(self.streams), ())
            self.libraries.clear()
            self._retired = []
            for host in hosts:
                host.is_gone = True
        for host in hosts:
            _dispose(host)

    # -- retired runtimes: they live while their background work does

    def _retire(self, library: Library) -> None:
        host = library.host
        host.is_gone = True
        self._retired.append(host)
        # Jobs already queued still run the old callbacks, hence the end of the queue.
        self.core.queue_job(self._dispose_idle)

    def _dispose_idle(self) -> None:
        idle = [host for host in self._retired if not host.live_jobs]
        self._retired = [host for host in self._retired if host not in idle]
        for host in idle:
            _dispose(host)

    def job_finished(self, host: LibraryHost) -> None:
        """Dispose of a retired runtime whose last background work has ended."""
        if host in self._retired:
            self._retired.remove(host)
            # Not from here: this is the runtime's own thread.
            threading.Thread(
                target=_dispose, args=(host,), name="trignb-dispose", daemon=True
            ).start()

    @property
    def is_initialised(self) -> bool:
        """Whether V8 has been asked for, that is a library been compiled."""
        return self._made_runtimes

    def runtimes(self) -> list[Runtime]:
        """Return the runtimes in use, those that only background work keeps included."""
        return [host.runtime for host in self.hosts() if host.runtime is not None]

    # -- describing

    def describe(self, request: ListRequest) -> list[Any]:
        """Return what TFUNCTION LIST answers."""
        return describe(self.libraries.values(), request)


def _dispose(host: LibraryHost) -> None:
    if host.runtime is not None:
        host.runtime.dispose()


def _v8_runtime(host: Host, source: LibrarySource, limits: RuntimeLimits) -> Runtime:
    # Imported at the first load: V8 costs 10 ms and 8 MB.
    from trignb.js.v8 import LibraryRuntime

    return LibraryRuntime(
        host,
        source.prologue.name,
        source.code,
        limits,
        config_json=source.configuration,
    )


def _key_text(key: bytes) -> str:
    with contextlib.suppress(UnicodeDecodeError):
        return key.decode()
    return "[binary data]"


def _nothing() -> None:
    """Do nothing."""
