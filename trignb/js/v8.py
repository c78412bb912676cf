"""A library on V8: loading, running, the background, and life after a killed isolate."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import TYPE_CHECKING, Any, Final

from trignb.errors import ResponseError
from trignb.js import words
from trignb.js.background import Background
from trignb.js.codec import (
    encode,
    encode_count,
    encode_flat,
    encode_pairs,
    encode_text,
    is_text,
)
from trignb.js.instance import Instance
from trignb.js.isolate import (
    EXCEPTION,
    OOM,
    PROMISE,
    SYNTAX,
    TERMINATED,
    Outcome,
    wait_until_freed,
)
from trignb.js.positions import Source
from trignb.js.runtime import (
    HeapStatistics,
    Host,
    Job,
    JsError,
    JsOom,
    JsTerminated,
    Registration,
    RuntimeLimits,
    Section,
    StreamRecord,
    TriggerData,
)
from trignb.js.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from trignb.reply import Reply

__all__ = ["LibraryRuntime"]

NOT_TEXT: Final = "Can not convert argument to string"
_COMPILE_MS: Final = 10_000
# How long a process that ends waits for builtins that take no notice of it.
_EXIT_S: Final = 5.0
_SLOT_BITS: Final = 32
_SLOT_MASK: Final = (1 << _SLOT_BITS) - 1

_living: weakref.WeakSet[LibraryRuntime] = weakref.WeakSet()


class _Origins:
    """Origins and their numbers; few, so they are kept for the library's life."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._numbers: dict[Hashable, int] = {}
        self._origins: list[Hashable] = []

    def number(self, origin: Hashable) -> int:
        number = self._numbers.get(origin)
        if number is None:
            number = self._numbers[origin] = len(self._origins)
            self._origins.append(origin)
        return number

    def origin(self, number: int) -> Hashable:
        if number < 0:
            return self._host.cluster_origin(self.origin(-number - 1))
        return self._origins[number]


class LibraryRuntime:
    """One library on an isolate of its own; see `trignb.js.runtime` for the contract.

    Parameters
    ----------
    host : Host
        Runs commands, has the lock.
    name : str
        Of the library; its source appears as ``name.js`` in stacks.
    source : str
        Its text, prologue included.
    limits : RuntimeLimits
        What it may use.
    config_json : str or None
        What ``redis.config`` is made of.
    """

    def __init__(
        self,
        host: Host,
        name: str,
        source: str,
        limits: RuntimeLimits | None = None,
        config_json: str | None = None,
    ) -> None:
        self.name = name
        self.limits = limits or RuntimeLimits()
        self._host = host
        self._source = Source(name, source)
        self._config = config_json or ""
        self._origins = _Origins(host)
        self._background = Background(host, name, self._look)
        self._registrations: list[Registration] | None = None
        self._load_timeout_ms = 0
        self._disposed = False
        self._instance = self._new_instance(0)
        _living.add(self)

    def _new_instance(self, generation: int) -> Instance:
        return Instance(
            self._host,
            self._background,
            self._origins,
            self._source,
            self._config,
            self.limits,
            generation,
        )

    def _look(self) -> bool:
        return self._instance.look_at_memory()

    # Loading ------------------------------------------------------------------------

    def compile(self) -> None:
        """Check the syntax; nothing is evaluated."""
        if self._source.is_too_deep:
            text = "RangeError: Maximum call stack size exceeded"
            raise JsError(text, name="RangeError", syntax=True)
        script, shift = self._source.check()
        watch = Watch(self.limits, _COMPILE_MS, False)
        outcome = self._instance.channel.isolate.evaluate(script, watch)
        if outcome.kind == SYNTAX:
            raise self._source.evaluated(outcome.text, syntax=True, shift=shift)

    def load(self, timeout_ms: int) -> list[Registration]:
        """Evaluate the library and return what it registered."""
        self._load_timeout_ms = timeout_ms
        self._registrations = self._evaluate(self._instance, timeout_ms)
        return self._registrations

    def _evaluate(self, instance: Instance, timeout_ms: int) -> list[Registration]:
        exchange = instance.exchange
        exchange.internal(words.BEGIN_LOAD)
        try:
            watch = Watch(self.limits, timeout_ms, False)
            outcome = instance.channel.isolate.evaluate(self._source.script, watch)
            self._check(instance, outcome, timeout_ms)
        except BaseException:
            exchange.recover_or_kill()
            raise
        found = exchange.internal(words.END_LOAD, timeout_ms=timeout_ms)
        return [self._registration(fields) for fields in found]

    def _check(self, instance: Instance, outcome: Outcome, timeout_ms: int) -> None:
        if outcome.kind == PROMISE:
            watch = Watch(self.limits, timeout_ms, False)
            instance.channel.isolate.watch_promise(outcome.handle, watch)
            parts = instance.exchange.internal(
                words.LOAD_OUTCOME, timeout_ms=timeout_ms
            )
            if parts is not None:
                error = self._source.thrown(parts)
                raise error.after("Failed evaluating module: ")
        elif outcome.kind == OOM:
            raise JsOom("the heap limit was reached")
        elif outcome.kind == TERMINATED:
            raise JsTerminated("the evaluation was terminated")
        elif outcome.kind >= EXCEPTION:
            raise self._uncaught(instance, outcome)

    def _uncaught(self, instance: Instance, outcome: Outcome) -> JsError:
        if self._source.is_ours(outcome.text):
            # Thrown by the prelude, which knows what and where in the library.
            parts = instance.exchange.internal(words.LAST_FAILURE)
            if parts is not None:
                return self._source.thrown(parts)
        return self._source.evaluated(outcome.text, syntax=outcome.kind == SYNTAX)

    def _registration(self, fields: list[Any]) -> Registration:
        kind, name, callback, is_async, stack, declared, description = fields[:7]
        flags, prefix, on_fired, window, trimmed = fields[7:]
        return Registration(
            kind=kind.decode(),
            name=name.decode(),
            callback=callback,
            is_async=is_async,
            declared_async=declared,
            description=None if description is None else description.decode(),
            flags=tuple(flag.decode() for flag in flags),
            prefix=prefix,
            on_fired=on_fired,
            window=window,
            trimmed=trimmed,
            line=self._source.position(stack.decode())[0],
        )

    def _ready(self) -> Instance:
        """Return the isolate in use, a new one if it was killed."""
        if self._disposed:
            raise JsTerminated("the library was unloaded")
        instance = self._instance
        if not instance.exchange.dead:
            return instance
        instance = self._new_instance(instance.generation + 1)
        try:
            found = self._evaluate(instance, self._load_timeout_ms)
            if found != self._registrations:
                raise JsTerminated("the library registers something else now")
        except BaseException:
            instance.exchange.kill("the library could not be loaded again")
            raise
        self._instance = instance
        return instance

    # Running ------------------------------------------------------------------------

    def call(
        self,
        callback: int,
        section: Section,
        args: Sequence[bytes],
        timeout_ms: int,
        raw: bool = False,
    ) -> Reply | Job:
        """Run a function with a sync client; a pending promise comes back as a `Job`."""
        instance = self._instance
        if instance.exchange.dead:
            instance = self._ready()
        mode = words.CALL_FLAT
        if raw or len(args) > words.MAX_FLAT:
            mode, payload = words.CALL_VALUES, self._values(args, raw)
        else:
            try:
                payload = encode_flat(args)
            except UnicodeDecodeError:
                raise ResponseError(NOT_TEXT) from None
        return instance.exchange.run(
            mode, callback, payload, section, timeout_ms, 0, len(args)
        )

    def _values(self, args: Sequence[bytes], raw: bool) -> bytes:
        out = [encode_count(len(args))]
        try:
            for arg in args:
                encode(arg, out, raw)
        except ResponseError:
            raise ResponseError(NOT_TEXT) from None
        return b"".join(out)

    def fire(
        self, callback: int, section: Section, event: str, key: bytes, timeout_ms: int
    ) -> TriggerData:
        """Run ``onTriggerFired`` and keep its ``data`` for the main callback."""
        instance = self._instance
        if instance.exchange.dead:
            instance = self._ready()
        run = instance.exchange.run
        if key.isascii():
            number = instance.events.get(event)
            if number is None:
                number = instance.event_number(event)
            slot = run(words.FIRE_FLAT, callback, key, section, timeout_ms, 0, number)
        else:
            payload = event_payload(event, key)
            slot = run(words.FIRE_VALUES, callback, payload, section, timeout_ms)
        return TriggerData(instance.generation << _SLOT_BITS | slot)

    def run_trigger(
        self,
        callback: int,
        section: Section,
        event: str,
        key: bytes,
        timeout_ms: int,
        data: TriggerData | None = None,
    ) -> Job | None:
        """Run a keyspace trigger's callback; its result does not matter."""
        instance = self._instance
        if instance.exchange.dead:
            instance = self._ready()
        run = instance.exchange.run
        if data is not None and data >> _SLOT_BITS == instance.generation:
            slot = data & _SLOT_MASK
            job = run(words.TRIGGER_SLOT, callback, b"", section, timeout_ms, 0, slot)
        elif key.isascii():
            number = instance.events.get(event)
            if number is None:
                number = instance.event_number(event)
            job = run(words.TRIGGER_FLAT, callback, key, section, timeout_ms, 0, number)
        else:
            payload = event_payload(event, key)
            job = run(words.TRIGGER_VALUES, callback, payload, section, timeout_ms)
        return job  # type: ignore[no-any-return]  # a trigger's result is a job or null

    def run_record(
        self, callback: int, section: Section, record: StreamRecord, timeout_ms: int
    ) -> Job | None:
        """Run a stream trigger's callback, as `run_trigger` does."""
        job: Job | None = self._ready().exchange.run(
            words.RECORD, callback, record_payload(record), section, timeout_ms
        )
        return job

    # Chance -------------------------------------------------------------------------

    def chance_state(self) -> bytes:
        """Return what ``Math.random`` is about to draw from; nothing without an isolate."""
        return b"" if self._instance.exchange.dead else self._instance.chance

    def set_chance_state(self, state: bytes) -> None:
        """Have ``Math.random`` draw from this, unless it is nothing."""
        if state and not self._instance.exchange.dead:
            self._instance.chance = state

    # The background -----------------------------------------------------------------

    def start(
        self,
        callback: int,
        origin: Hashable,
        args: Sequence[bytes] = (),
        raw: bool = False,
    ) -> Job:
        """Queue a function for the background; it gets an async client."""
        return self._start(words.START, callback, origin, self._values(args, raw))

    def start_trigger(
        self,
        callback: int,
        origin: Hashable,
        event: str,
        key: bytes,
        data: TriggerData | None = None,
    ) -> Job:
        """Queue a keyspace trigger's callback for the background."""
        if data is not None and data >> _SLOT_BITS == self._ready().generation:
            slot: list[bytes] = []
            encode(data & _SLOT_MASK, slot, False)
            return self._start(words.START_SLOT, callback, origin, slot[0])
        payload = event_payload(event, key)
        return self._start(words.START_TRIGGER, callback, origin, payload)

    def start_record(
        self, callback: int, origin: Hashable, record: StreamRecord
    ) -> Job:
        """Queue a stream trigger's callback for the background."""
        payload = record_payload(record)
        return self._start(words.START_RECORD, callback, origin, payload)

    def _start(self, kind: int, callback: int, origin: Hashable, payload: bytes) -> Job:
        instance = self._ready()
        number, job = instance.new_job(origin)
        who = self._origins.number(origin)
        instance.mailbox.send(kind, number, callback, who, payload)
        return job

    def drop_data(self, data: TriggerData) -> None:
        """Free trigger data that nobody is going to use."""
        instance = self._instance
        if data >> _SLOT_BITS == instance.generation and not instance.exchange.dead:
            instance.mailbox.put(words.DROP_SLOT, data & _SLOT_MASK, 0, 0)

    def stop(self, job: Job) -> None:
        """Terminate what a job computes right now; any thread, without the lock."""
        self._instance.stop(job)

    def stop_unclaimed(self) -> None:
        """Terminate jobs that were started but never got to who wanted them."""
        for job in list(self._instance.jobs.values()):
            if job.tag is None:
                self._instance.stop(job)

    @property
    def pending_jobs(self) -> int:
        """Length of the background queue, the running job excluded."""
        return self._instance.pending_jobs

    # Life ---------------------------------------------------------------------------

    def heap_statistics(self) -> HeapStatistics:
        """Ask V8; zeros when there is no isolate at the moment."""
        if self._instance.exchange.dead:
            return HeapStatistics(0, 0, self.limits.heap_bytes)
        return self._instance.channel.isolate.heap_statistics()

    def collect_garbage(self) -> bool:
        """Have V8 collect; False if it is busy or there is no isolate."""
        instance = self._instance
        return not instance.exchange.dead and instance.channel.isolate.recover_memory()

    def orphan(self) -> None:
        """Take note that the library was deleted: no shard has its functions any more."""
        if not self._instance.exchange.dead:
            self._instance.channel.control[words.ORPHAN] = 1

    def dispose(self) -> None:
        """Unload. Background work that has not finished fails."""
        if self._disposed:
            return
        self._disposed = True
        _living.discard(self)
        self._instance.exchange.kill("the library was unloaded", expected=True)
        self._background.stop()

    def forget(self) -> None:
        """Take note that this process is a fork: the isolate stayed with the parent."""
        self._background = Background(self._host, self.name, self._look)
        self._instance.forget_isolate()


def event_payload(event: str, key: bytes) -> bytes:
    """Return an event as JavaScript makes ``data`` of it."""
    out = [encode_text(event)]
    encode(key if is_text(key) else None, out, False)
    encode(key, out, True)
    return b"".join(out)


def record_payload(record: StreamRecord) -> bytes:
    """Return a record as JavaScript makes ``data`` of it."""
    out: list[bytes] = []
    name = record.stream
    encode(name if is_text(name) else None, out, False)
    encode(name, out, True)
    encode([record.ms, record.seq], out, False)
    encode_pairs(record.fields, out)
    return b"".join(out)


@atexit.register
def _dispose_all() -> None:
    living = list(_living)
    for runtime in living:
        runtime.dispose()
    wait_until_freed(_EXIT_S)


def _forget_all() -> None:
    for runtime in list(_living):
        runtime.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
