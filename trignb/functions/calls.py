"""TFCALL and TFCALLASYNC: which function, may it run, what becomes of its result.

Source: triggers and functions, sections 4.3 and 9.4.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from trignb.engine.blocking import Blocked, Waiter
from trignb.errors import JavaScriptError, ResponseError
from trignb.functions.failures import Failure, error_line
from trignb.js.runtime import Job, JsError, JsOom, JsTerminated

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.functions.library import Function
    from trignb.functions.registry import Registry
    from trignb.functions.sections import LibrarySection
    from trignb.reply import Reply

__all__ = ["FunctionRun", "call_function", "parse_count"]

JS_OUT_OF_MEMORY: Final = "JS engine reached OOM state and can not run any more code"

_NOT_MASTER: Final = (
    "Err can not run a function that might perform writes on a replica or when the "
    '"avoid replication traffic" option is enabled'
)
_MUST_BE_ASYNC: Final = (
    "The function is declared as async and was called while blocking was not allowed; "
    "note that you cannot invoke async functions from within Lua or MULTI, and you must "
    "use TFCALLASYNC instead."
)
_CANNOT_BLOCK: Final = (
    "Can not block client for background execution, Blocking is not allow inside "
    "multi/exec, Lua, or within another module (RM_Call)."
)

_NUMBER: Final = re.compile(rb"\+?[0-9]+")
_USIZE_MAX: Final = (1 << 64) - 1
_USIZE_DIGITS: Final = len(str(_USIZE_MAX))
# What nearly every call has: a look-up is a sixth of reading the digits.
_FEW: Final = {b"%d" % n: n for n in range(100)}


def call_function(
    registry: Registry, session: Session, args: list[bytes], *, is_async: bool
) -> Reply:
    """Run the function that ``args`` name, with the checks of docs/semantics.md, Calls, in their order."""
    core = registry.core
    library_name, function_name = _split_name(args[1])
    n_keys = parse_count(args[2])
    library = registry.libraries.get(library_name)
    if library is None:
        raise ResponseError(error_line(f"Unknown library {library_name}"))
    function = library.functions.get(function_name)
    if function is None:
        raise ResponseError(error_line(f"Unknown function {function_name}"))
    if not function.no_writes:
        if registry.refuses_writes():
            raise ResponseError(_NOT_MASTER)
        if not function.allow_oom and registry.out_of_memory():
            raise ResponseError("OOM can not run the function when out of memory")
    given = args[3:]
    if len(given) < n_keys:
        raise ResponseError(
            "Not enough arguments was given, expected at least "
            f"{n_keys} arguments, got {len(given)} arguments."
        )
    if function.is_async and not is_async:
        raise ResponseError(_MUST_BE_ASYNC)
    if registry.is_guarded and registry.js_is_out_of_memory():
        raise JavaScriptError(JS_OUT_OF_MEMORY, library=library_name)
    # Depth 1 is the command itself; EXEC and scripts are deeper and cannot wait.
    may_block = is_async and core.nesting == 1
    if function.is_coroutine and not may_block:
        raise ResponseError(_CANNOT_BLOCK)
    return registry.function_run(registry, function).run(
        session, args, given, may_block
    )


def _split_name(name: bytes) -> tuple[str, str]:
    try:
        parts = name.decode().split(".")
    except UnicodeDecodeError:
        raise ResponseError("Couldn't parse as UTF-8 string") from None
    if len(parts) < 2:
        raise ResponseError("Failed extracting function name")
    return parts[0], parts[1]


def parse_count(text: bytes) -> int:
    """Read an unsigned integer of 64 bits."""
    few = _FEW.get(text)
    if few is not None:
        return few
    if not text:
        raise ResponseError("ERR cannot parse integer from empty string")
    if _NUMBER.fullmatch(text) is None:
        raise ResponseError("ERR invalid digit found in string")
    # Python reads only so many digits.
    digits = text.lstrip(b"+0") or b"0"
    count = int(digits[: _USIZE_DIGITS + 1])
    if count > _USIZE_MAX:
        raise ResponseError("ERR number too large to fit in target type")
    return count


class FunctionRun:
    """One call of a function, until its result is there."""

    __slots__ = ("function", "registry", "started_ns", "waiter")

    def __init__(self, registry: Registry, function: Function) -> None:
        self.registry = registry
        self.function = function
        self.started_ns = registry.clock.read()
        # Set while a client waits for a job.
        self.waiter: Waiter | None = None
        function.calls += 1

    def run(
        self,
        session: Session,
        args: list[bytes],
        given: list[bytes],
        may_block: bool,
    ) -> Reply:
        """Run it; a client that has to wait leaves as `Blocked`."""
        function, core = self.function, self.registry.core
        try:
            result = self._start(session, given, may_block)
        except (JsError, JsTerminated) as error:
            raise self._failed(error) from None
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                function.owner.runtime.stop_unclaimed()
            self._failed(error)
            raise
        finally:
            if core.sinks:
                # Its commands are propagated one by one, never the call itself.
                core.propagate_as()
        if type(result) is not Job:
            function.times.note(self.registry.clock.read() - self.started_ns)
            return result
        try:
            function.owner.host.adopt(result, self)
            if not may_block:
                raise ResponseError(_CANNOT_BLOCK)
            self.waiter = Waiter(session, args, [], _nothing_to_try, 0.0, None)
            self.waiter.on_left = partial(function.owner.runtime.stop, result)
            raise Blocked(self.waiter)
        except KeyboardInterrupt:
            function.owner.runtime.stop(result)
            raise

    def _start(
        self,
        session: Session,
        given: list[bytes],
        may_block: bool,
        section: LibrarySection | None = None,
    ) -> Reply:
        function, registry = self.function, self.registry
        runtime, core = function.owner.runtime, registry.core
        if section is None:
            section = function.section(session.user, may_block)
        before_db, section.db = section.db, session.db
        frame, core.frame = core.frame, section.frame
        before, registry.in_library = registry.in_library, True
        try:
            if function.is_coroutine:
                return runtime.start(
                    function.callback, section.origin, given, function.raw_arguments
                )
            return runtime.call(
                function.callback,
                section,
                given,
                registry.timeout_ms,
                function.raw_arguments,
            )
        finally:
            section.db = before_db
            core.frame = frame
            registry.in_library = before

    def job_done(self, job: Job) -> None:
        """Give a waiting client its reply; called under the lock."""
        error = None
        if job.error is None:
            self.function.times.note(self.registry.clock.read() - self.started_ns)
        else:
            error = self._failed(job.error)
        waiter = self.waiter
        if waiter is not None and not waiter.is_done:
            waiter.finish(job.value, error)

    def _failed(self, error: BaseException) -> ResponseError:
        """Count a failure; return it as the caller shall see it."""
        function, registry = self.function, self.registry
        function.failures += 1
        function.times.note_error(error)
        function.times.note(registry.clock.read() - self.started_ns)
        failure = Failure.of(error)
        if isinstance(error, JsOom):
            registry.ran_out_of_memory(function.owner.host)
        registry.note_failure(function.library, function.kind, function.name, failure)
        return failure.to_error(
            function.library, failure.text(registry.error_verbosity)
        )


def _nothing_to_try() -> Reply:
    raise AssertionError("a job's client is served by its job")
