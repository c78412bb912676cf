"""Keyspace triggers: who hears of an event, their runs, their statistics.

See docs/semantics.md, Keyspace triggers. `Triggers` listens to the engine. For each trigger that an
event fires there is one `TriggerRun`, which is everything about that run at once: what the
notification log shows, the job at the end of the unit, and the frame to which its effects are put down.
One object, because the path from a write to its trigger is the one people wait for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.events import EVICTED, EXPIRED, TRIGGERS
from trignb.engine.logs import Frame
from trignb.functions.failures import Failure
from trignb.functions.prefixes import PrefixIndex
from trignb.functions.sections import LibrarySection, Origin
from trignb.functions.statistics import (
    TABLE,
    TABLE_NS,
    UNIT_BITS,
    TriggerStatistics,
    bucket_of,
)
from trignb.js.runtime import JsError, JsOom, JsTerminated

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.functions.library import Library
    from trignb.functions.registry import Registry
    from trignb.functions.statistics import Times
    from trignb.js.runtime import Job, Registration, TriggerData

__all__ = ["KeyspaceTrigger", "TriggerRun", "TriggerStatistics", "Triggers"]

# Heard even while library code runs: no command of a library caused them (docs/semantics.md, Keyspace triggers).
_NEVER_SUPPRESSED: Final = EXPIRED | EVICTED


class KeyspaceTrigger:
    """One registered trigger of one loaded version of a library.

    Attributes
    ----------
    library, name : str
        Who registered it under which name.
    prefix : bytes
        What keys begin with; empty for all keys.
    description : str or None
        Option ``description``.
    is_async : bool
        Its callback is a coroutine and runs in the background.
    line : int or None
        Line of the library in which it was registered.
    position : int
        Place in the firing order of all libraries.
    statistics : TriggerStatistics
        Its counters.
    """

    kind = "keyspace_trigger"

    def __init__(
        self,
        owner: Library,
        registration: Registration,
        position: int,
        statistics: TriggerStatistics,
    ) -> None:
        self.owner = owner
        self.library = owner.name
        self.name = registration.name
        self.prefix = registration.prefix
        self.description = registration.description
        self.is_async = registration.is_async
        self.line = registration.line
        self.callback = registration.callback
        self.on_fired = registration.on_fired
        self.position = position
        self.statistics = statistics
        self.runtime = owner.runtime
        self.registry = owner.registry
        session = owner.host.session(owner.user)
        self.origin = Origin(owner.name, "trigger", owner.user, trigger=self.name)
        self.section = LibrarySection(self.origin, session, block_allowed=True)
        self.fired_section = LibrarySection(
            replace(self.origin, no_writes=True),
            session,
            block_allowed=True,
        )

    def __repr__(self) -> str:
        return f"<KeyspaceTrigger {self.library}.{self.name} prefix={self.prefix!r}>"

    # -- what people read

    @property
    def num_triggered(self) -> int:
        """Events that fired it."""
        return self.statistics.triggered

    @property
    def num_finished(self) -> int:
        """Runs that ended, one way or the other."""
        return self.statistics.succeeded + self.statistics.failed

    @property
    def num_success(self) -> int:
        """Runs that ended well."""
        return self.statistics.succeeded

    @property
    def num_failed(self) -> int:
        """Runs that ended with an error."""
        return self.statistics.failed

    @property
    def running(self) -> int:
        """Runs that have not ended."""
        return self.num_triggered - self.num_finished

    @property
    def last_ns(self) -> int:
        """How long the last run took from its event to its end, in ns."""
        return self.statistics.last_ns

    @property
    def total_ns(self) -> int:
        """How long all runs took together, in ns."""
        return self.statistics.total_ns

    @property
    def max_ns(self) -> int:
        """How long the longest run took, in ns."""
        return self.statistics.max_ns

    @property
    def times(self) -> Times:
        """How long the runs took that have ended, and why some failed."""
        return self.statistics

    @property
    def last_run_ns(self) -> int | None:
        """Engine time of the last event, in ns since the epoch."""
        return self.statistics.last_run_ns

    @property
    def last_error(self) -> str | None:
        """Text of the last failure in the configured verbosity; never reset."""
        failure = self.statistics.last_error
        return None if failure is None else failure.text(self.registry.error_verbosity)

    @property
    def last_error_line(self) -> int | None:
        """Line of the library at which the last failure happened."""
        failure = self.statistics.last_error
        return None if failure is None else failure.line

    def reset_statistics(self) -> None:
        """Start all counters from zero; runs that are under way end on the old ones."""
        self.statistics = TriggerStatistics()


class TriggerRun:
    """One event that fired one trigger, from the event to the end of the callback.

    ``outcome`` is ``pending``, ``ok`` or ``failed``. As a frame (see
    `trignb.engine.logs.Frame`) it has ``origin``, ``library``, ``cause_seq``, ``depth`` and
    ``trigger``.
    """

    origin = "trigger"
    outcome = "pending"
    data: TriggerData | None = None

    def __init__(
        self,
        trigger: KeyspaceTrigger,
        db: Database,
        event: str,
        key: bytes,
        started_ns: int,
        cause_seq: int,
        depth: int,
    ) -> None:
        self.library = trigger.library
        self.trigger = trigger.name
        # None when the run has ended: the log keeps runs, and need not keep libraries.
        self.source: KeyspaceTrigger | None = trigger
        self.statistics = trigger.statistics
        self.db = db
        self.event = event
        self.key = key
        self.started_ns = started_ns
        self.cause_seq = cause_seq
        self.depth = depth

    def __repr__(self) -> str:
        return f"<TriggerRun {self.library}.{self.trigger} {self.outcome}>"

    def within(self, origin: str) -> Frame:
        """Return the frame of something that happens inside this run."""
        return Frame(origin, self.library, self.cause_seq, self.depth, self.trigger)

    # -- onTriggerFired

    def fire(self, trigger: KeyspaceTrigger) -> bool:
        """Run ``onTriggerFired`` inside the command; tell whether the callback may follow."""
        registry, section = trigger.registry, trigger.fired_section
        core, before = registry.core, registry.in_library
        pauses = core.expire_pauses
        section.db = self.db
        frame, core.frame = core.frame, self  # type: ignore[assignment]
        registry.in_library = True
        # Inside a command nothing may be deleted: what is due is only not seen.
        core.expire_pauses = pauses + 1
        try:
            self.data = trigger.runtime.fire(
                trigger.on_fired or 0,
                section,
                self.event,
                self.key,
                registry.timeout_ms,
            )
        except (JsError, JsTerminated) as error:
            self.fail(error)
            return False
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            core.expire_pauses = pauses
            core.frame = frame
            registry.in_library = before
        return True

    # -- the job

    def __call__(self) -> None:
        """Run the main callback, or start it when it is a coroutine."""
        trigger = self.source
        if trigger is None:
            return
        registry, section = trigger.registry, trigger.section
        core, before = registry.core, registry.in_library
        section.db = self.db
        # A run is its own frame: a named tuple would cost 0.7 us.
        frame, core.frame = core.frame, self  # type: ignore[assignment]
        registry.in_library = True
        try:
            if trigger.is_async:
                job: Job | None = trigger.runtime.start_trigger(
                    trigger.callback, trigger.origin, self.event, self.key, self.data
                )
            else:
                job = trigger.runtime.run_trigger(
                    trigger.callback,
                    section,
                    self.event,
                    self.key,
                    registry.timeout_ms,
                    self.data,
                )
        except (JsError, JsTerminated) as error:
            self.fail(error)
        except BaseException as error:
            self.fail(error)
            raise
        else:
            if job is None:
                # `end`, written out: most runs end here.
                self.outcome = "ok"
                self.source = None
                statistics = self.statistics
                statistics.succeeded += 1
                elapsed = registry.clock.read() - self.started_ns
                statistics.last_ns = elapsed
                statistics.total_ns += elapsed
                if elapsed > statistics.max_ns:
                    statistics.max_ns = elapsed
                if elapsed < statistics.least_ns:
                    statistics.least_ns = elapsed
                short = 0 <= elapsed < TABLE_NS
                bucket = TABLE[elapsed >> UNIT_BITS] if short else bucket_of(elapsed)
                statistics.buckets[bucket] += 1
            else:
                trigger.owner.host.adopt(job, self)
        finally:
            core.frame = frame
            registry.in_library = before

    def job_done(self, job: Job) -> None:
        """Take note that the coroutine, or the promise that was returned, settled."""
        if job.error is not None:
            self.fail(job.error)
            return
        trigger = self.source
        if trigger is None:
            return
        self.source = None
        self.outcome = "ok"
        self.statistics.succeeded += 1
        self.statistics.note(trigger.registry.clock.read() - self.started_ns)

    def fail(self, error: BaseException) -> None:
        """End the run because of an error."""
        trigger = self.source
        if trigger is None:
            return
        self.source = None
        self.outcome = "failed"
        registry = trigger.registry
        failure = Failure.of(error)
        self.statistics.failed += 1
        self.statistics.last_error = failure
        self.statistics.note_error(error)
        self.statistics.note(registry.clock.read() - self.started_ns)
        if isinstance(error, JsOom):
            registry.ran_out_of_memory(trigger.owner.host)
        registry.note_failure(
            trigger.library, trigger.kind, trigger.name, failure, self.event, self.key
        )

    def drop(self) -> None:
        """End the run because its unit was interrupted before the callback's turn."""
        trigger = self.source
        if trigger is not None:
            if self.data is not None:
                trigger.runtime.drop_data(self.data)
            self.fail(KeyboardInterrupt())


class Triggers:
    """All keyspace triggers of an engine; listens while there is one."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.core: Core = registry.core
        self._triggers: list[KeyspaceTrigger] = []
        self._stop: Any = None

    def __iter__(self) -> Any:
        return iter(self._triggers)

    def __len__(self) -> int:
        return len(self._triggers)

    def replace(
        self, old: Iterable[KeyspaceTrigger], new: Iterable[KeyspaceTrigger]
    ) -> None:
        """Take some triggers away and others in; listens if any are left."""
        gone = set(map(id, old))
        triggers = [t for t in self._triggers if id(t) not in gone]
        triggers += new
        triggers.sort(key=lambda trigger: trigger.position)
        self._triggers = triggers
        if self._stop is not None:
            self._stop()
            self._stop = None
        if triggers:
            listener = make_listener(self.registry, PrefixIndex(triggers))
            self._stop = self.core.listen(listener, TRIGGERS, order=0)


def make_listener(registry: Registry, index: PrefixIndex[KeyspaceTrigger]) -> Any:
    """Return the listener for these triggers; cells are read faster than attributes."""
    core, jobs, clock = registry.core, registry.core.jobs, registry.clock
    get_lengths, among = index.heads.get, index.among
    head_size, everywhere = index.head_size, index.everywhere

    def on_event(db: Database, kind: int, event: bytes, key: bytes) -> None:
        lengths = get_lengths(key[:head_size])
        if lengths is None:
            if not everywhere:
                return
            found = everywhere
        else:
            found = among(lengths, key)
            if not found:
                return
        if (
            (registry.in_library and not kind & _NEVER_SUPPRESSED)
            or core.is_loading
            or core.is_replica
        ):
            return
        name, seq, depth = event.decode(), core.event_seq, core.frame.depth + 1
        runs = []
        for trigger in found:
            statistics = trigger.statistics
            now = clock.read()
            run = registry.trigger_run(trigger, db, name, key, now, seq, depth)
            try:
                statistics.triggered += 1
                statistics.last_run_ns = now
                runs.append(run)
                if registry.is_guarded:
                    refusal = registry.refusal(trigger, key)
                    if refusal is not None:
                        run.fail(refusal)
                        continue
                if trigger.on_fired is None or run.fire(trigger):
                    jobs.append(run)
                    core.after = True
            except BaseException:
                run.drop()
                raise
        # Only now: events that `onTriggerFired` led to had runs of their own.
        core.fired = runs

    return on_event
