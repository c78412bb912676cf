"""Stream triggers: who reads which stream, how far, and what became of each record.

See docs/semantics.md, Stream triggers. `Streams` listens to the engine while there is a stream trigger.
An event of a stream queues a `Wake` for the end of the unit; it reads record after record for
every trigger, one `RecordRun` each, until nothing is left or the trigger's window is full. The end of a
run (the acknowledgement) goes on reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from trignb.datatypes.stream import MAX_SEQUENCE, Stream, format_id
from trignb.engine.events import GENERIC, STREAM
from trignb.engine.logs import Frame
from trignb.errors import ResponseError
from trignb.functions.failures import Failure
from trignb.functions.prefixes import PrefixIndex
from trignb.functions.scanning import StreamScan
from trignb.functions.sections import LibrarySection, Origin
from trignb.functions.statistics import FewTimes, merged
from trignb.js.runtime import JsError, JsOom, JsTerminated, StreamRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from trignb.engine.core import Core
    from trignb.engine.database import Database
    from trignb.functions.library import Library
    from trignb.functions.registry import Registry
    from trignb.functions.statistics import Times
    from trignb.js.runtime import Job, Registration

__all__ = [
    "RecordRun",
    "StreamPosition",
    "StreamTrigger",
    "Streams",
    "check_same_prefix",
]

_MS: Final = 1_000_000


class StreamPosition:
    """How far one trigger has read one stream, and its statistics.

    ``last_read`` is the id of the newest record read, None before the first; ``pending``
    the ids read and not yet acknowledged, oldest first. What TFUNCTION LIST tells is in
    whole ms, each record's time and lag by itself; ``times`` is in ns.
    """

    __slots__ = (
        "failed",
        "last_error",
        "last_lag",
        "last_processed_time",
        "last_read",
        "name",
        "pending",
        "times",
        "total_lag",
        "total_processed_time",
        "total_record_processed",
    )

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.last_read: int | None = None
        self.pending: dict[int, None] = {}
        self.reset_statistics()

    def reset_statistics(self) -> None:
        """Start all counters from zero."""
        self.last_error: Failure | None = None
        self.last_lag = self.total_lag = 0
        self.last_processed_time = self.total_processed_time = 0
        self.total_record_processed = self.failed = 0
        self.times = FewTimes()

    @property
    def first_needed(self) -> int | None:
        """The smallest id that must not be trimmed away; None when nothing was read."""
        if self.last_read is None:
            return None
        return next(iter(self.pending), self.last_read + 1)

    @property
    def acknowledged(self) -> int | None:
        """The id up to which all records have been dealt with; None when nothing was read."""
        needed = self.first_needed
        return None if needed is None else max(needed - 1, 0)


class StreamTrigger:
    """One registered stream trigger of one loaded version of a library.

    ``window`` is how many records of one stream may be under way in the background,
    ``trimmed`` whether records are removed once processed, ``streams`` the positions by
    stream name, which outlive a REPLACE.
    """

    kind = "stream_trigger"

    def __init__(
        self,
        owner: Library,
        registration: Registration,
        position: int,
        streams: dict[bytes, StreamPosition],
    ) -> None:
        self.owner = owner
        self.library = owner.name
        self.name = registration.name
        self.prefix = registration.prefix
        self.description = registration.description
        self.is_async = registration.is_async
        self.line = registration.line
        self.callback = registration.callback
        self.window = registration.window
        self.trimmed = registration.trimmed
        self.position = position
        self.streams = streams
        self.origin = Origin(owner.name, "trigger", owner.user, trigger=self.name)
        self.section = LibrarySection(
            self.origin, owner.host.session(owner.user), block_allowed=True
        )

    def __repr__(self) -> str:
        return f"<StreamTrigger {self.library}.{self.name} prefix={self.prefix!r}>"

    @property
    def calls(self) -> int:
        """Records that were given to it and not forgotten since."""
        return sum(
            where.total_record_processed + len(where.pending)
            for where in self.streams.values()
        )

    @property
    def failures(self) -> int:
        """Records that it failed on."""
        return sum(where.failed for where in self.streams.values())

    @property
    def times(self) -> Times:
        """How long all its records took, of all streams."""
        return merged(where.times for where in self.streams.values())

    def reset_statistics(self) -> None:
        """Start all counters from zero; positions stay."""
        for where in self.streams.values():
            where.reset_statistics()

    def stream(self, name: bytes) -> StreamPosition:
        """Return how far a stream was read; one never seen starts at its beginning."""
        if name not in self.streams:
            self.streams[name] = StreamPosition(name)
        return self.streams[name]


class RecordRun:
    """One record of one stream, given to one trigger."""

    __slots__ = (
        "db",
        "entry_id",
        "fields",
        "frame",
        "source",
        "started_ns",
        "streams",
        "where",
    )

    def __init__(
        self,
        streams: Streams,
        trigger: StreamTrigger,
        db: Database,
        where: StreamPosition,
        entry_id: int,
        items: tuple[bytes, ...],
        frame: Frame,
    ) -> None:
        self.streams = streams
        self.source = trigger
        self.db = db
        self.where = where
        self.entry_id = entry_id
        self.fields = list(zip(items[::2], items[1::2], strict=True))
        self.frame = frame
        self.started_ns = 0
        where.last_read = entry_id
        where.pending[entry_id] = None

    def run(self) -> bool:
        """Run the callback, or start it; tell whether the record is acknowledged."""
        trigger, registry = self.source, self.streams.registry
        self.started_ns = registry.clock.read()
        if registry.is_guarded:
            refusal = registry.refusal(trigger, self.where.name)
            if refusal is not None:
                self.acknowledge(refusal)
                return True
        try:
            job = self._start()
        except (JsError, JsTerminated) as error:
            self.acknowledge(error)
            return True
        except BaseException as error:
            self.acknowledge(error)
            raise
        if job is None:
            self.acknowledge(None)
            return True
        trigger.owner.host.adopt(job, self)
        return False

    def _start(self) -> Job | None:
        trigger, registry = self.source, self.streams.registry
        core, runtime, section = registry.core, trigger.owner.runtime, trigger.section
        record = StreamRecord(
            self.where.name,
            self.entry_id >> 64,
            self.entry_id & MAX_SEQUENCE,
            self.fields,
        )
        if trigger.is_async:
            return runtime.start_record(trigger.callback, trigger.origin, record)
        section.db = self.db
        frame, core.frame = core.frame, self.frame
        before, registry.in_library = registry.in_library, True
        try:
            return runtime.run_record(
                trigger.callback, section, record, registry.timeout_ms
            )
        finally:
            core.frame = frame
            registry.in_library = before

    def job_done(self, job: Job) -> None:
        """Acknowledge a record whose callback ended in the background, and read on."""

        def unit() -> None:
            self.acknowledge(job.error)
            trigger = self.streams.current(self.source)
            if trigger is not None:
                self.streams.read_on(trigger, self.db, self.where, self.frame)

        self.streams.core.run_unit(unit)

    def acknowledge(self, error: BaseException | None) -> None:
        """Count the record as processed; a failed one is never tried again."""
        where, registry = self.where, self.streams.registry
        trigger = self.streams.current(self.source)
        if trigger is None or trigger.streams.get(where.name) is not where:
            # The library went, or the stream was deleted meanwhile.
            return
        if error is not None:
            self._note_error(trigger, error)
        now_ns = registry.clock.read()
        elapsed_ns = max(now_ns - self.started_ns, 0)
        elapsed = elapsed_ns // _MS
        where.times.note(elapsed_ns)
        lag = max(now_ns // _MS - (self.entry_id >> 64), 0)
        where.total_record_processed += 1
        where.last_processed_time = elapsed
        where.total_processed_time += elapsed
        where.last_lag = lag
        where.total_lag += lag
        is_oldest = next(iter(where.pending), None) == self.entry_id
        where.pending.pop(self.entry_id, None)
        if is_oldest:
            self.streams.advanced(trigger, self.db, where.name, self.entry_id)

    def _note_error(self, trigger: StreamTrigger, error: BaseException) -> None:
        registry = self.streams.registry
        failure = self.where.last_error = Failure.of(error)
        self.where.failed += 1
        self.where.times.note_error(error)
        if isinstance(error, JsOom):
            registry.ran_out_of_memory(trigger.owner.host)
        record, name = format_id(self.entry_id).decode(), self.where.name
        registry.note_failure(
            trigger.library, trigger.kind, trigger.name, failure, record, name
        )


class Wake:
    """The job that reads one stream for everybody, at the end of a unit."""

    __slots__ = ("db", "frame", "name", "streams")

    def __init__(
        self, streams: Streams, db: Database, name: bytes, frame: Frame
    ) -> None:
        self.streams = streams
        self.db = db
        self.name = name
        self.frame = frame

    def __call__(self) -> None:
        """Read; events from now on wake anew."""
        self.drop()
        self.streams.read(self.db, self.name, self.frame)

    def drop(self) -> None:
        """Be forgotten: the unit was interrupted."""
        self.streams.waking.discard((self.db.index, self.name))


class Streams:
    """All stream triggers of an engine; listens while there is one."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.core: Core = registry.core
        self.waking: set[tuple[int, bytes]] = set()
        self._triggers: list[StreamTrigger] = []
        self._index: PrefixIndex[StreamTrigger] = PrefixIndex()
        self._stop: Callable[[], None] | None = None
        self.scan = StreamScan(self.core, self._visit)

    def __iter__(self) -> Iterator[StreamTrigger]:
        return iter(self._triggers)

    def replace(
        self, old: Iterable[StreamTrigger], new: Iterable[StreamTrigger]
    ) -> None:
        """Take some triggers away and others in; listens if any are left."""
        gone, new = set(map(id, old)), list(new)
        triggers = [t for t in self._triggers if id(t) not in gone] + new
        self._triggers = sorted(triggers, key=lambda trigger: trigger.position)
        self._index = PrefixIndex(triggers)
        if triggers and self._stop is None:
            self._stop = self.core.listen(self._on_event, STREAM | GENERIC, order=0)
            self.core.flush_listeners.append(self.forget_all)
            self.core.pause.on_end.append(self.wake_all)
        elif not triggers and self._stop is not None:
            self._stop()
            self._stop = None
            self.core.flush_listeners.remove(self.forget_all)
            self.core.pause.on_end.remove(self.wake_all)
            self.scan.stop()

    def current(self, trigger: StreamTrigger) -> StreamTrigger | None:
        """Return the version of a trigger that is loaded now."""
        library = self.registry.libraries.get(trigger.library)
        found = library and library.stream_triggers.get(trigger.name)
        # Deleted and loaded again it is another trigger, with other positions.
        return found if found and found.streams is trigger.streams else None

    # -- what wakes

    def _on_event(self, db: Database, kind: int, event: bytes, key: bytes) -> None:
        if kind == STREAM:
            # Not subject to the suppression of keyspace triggers.
            self.wake(db, key, self.core.event_seq)
        elif event == b"del":
            for trigger in self._index.find(key):
                trigger.streams.pop(key, None)

    def wake(self, db: Database, name: bytes, cause_seq: int | None) -> None:
        """Have a stream read at the end of the unit."""
        core = self.core
        if core.is_loading or core.is_replica or (db.index, name) in self.waking:
            return
        if self._index.find(name):
            self.waking.add((db.index, name))
            frame = Frame("trigger", None, cause_seq, core.frame.depth + 1)
            core.queue_job(Wake(self, db, name, frame))

    def wake_all(self) -> None:
        """Have every stream read that a trigger may not have seen, in the background.

        For a new trigger, for an engine that has become a primary, and for the end of a
        pause.
        """
        self.scan.start()

    def _visit(self, db: Database, name: bytes) -> bool:
        """Have the scan's next stream read, in a unit of its own."""
        if not self._index.find(name):
            return False
        self.core.run_unit(lambda: self.wake(db, name, None))
        return True

    def forget_all(self) -> None:
        """Drop all positions: a database was flushed."""
        for trigger in self._triggers:
            trigger.streams.clear()

    # -- reading

    def read(self, db: Database, name: bytes, frame: Frame) -> None:
        """Read a stream for every trigger, the first records of all before any runs."""
        if type(db.data.get(name)) is not Stream:
            return
        first = []
        for trigger in self._index.find(name):
            where = trigger.stream(name)
            if len(where.pending) < trigger.window:
                run = self._next(trigger, db, where, frame)
                if run is not None:
                    first.append(run)
        for run in first:
            self._go_on(run)

    def read_on(
        self, trigger: StreamTrigger, db: Database, where: StreamPosition, frame: Frame
    ) -> None:
        """Read one more record after an acknowledgement, and go on from there."""
        run = self._next(trigger, db, where, frame)
        if run is not None:
            self._go_on(run)

    def _go_on(self, run: RecordRun | None) -> None:
        while run is not None:
            is_done = run.run()
            trigger = self.current(run.source)
            where = run.where
            if trigger is None or not (is_done or len(where.pending) < trigger.window):
                return
            run = self._next(trigger, run.db, where, run.frame)

    def _next(
        self, trigger: StreamTrigger, db: Database, where: StreamPosition, frame: Frame
    ) -> RecordRun | None:
        """Take the next record for a trigger, None when there is none for it."""
        stream = db.data.get(where.name)
        if (
            type(stream) is not Stream
            or self.registry.refuses_writes()
            or trigger.streams.get(where.name) is not where
        ):
            return None
        after = -1 if where.last_read is None else where.last_read
        if stream.top_id <= after:
            return None
        found = stream.range(after + 1, count=1)
        if not found:
            return None
        entry_id, items = found[0]
        # Half of what `_replace` takes.
        own = Frame(
            frame.origin,
            trigger.library,
            frame.cause_seq,
            frame.depth,
            trigger.name,
        )
        make_run = self.registry.record_run
        return make_run(self, trigger, db, where, entry_id, items, own)

    # -- acknowledgement

    def advanced(
        self, trigger: StreamTrigger, db: Database, name: bytes, entry_id: int
    ) -> None:
        """Propagate a position, and trim what everybody has processed."""
        if self.core.sinks:
            self.core.add_effect(
                db.index,
                [
                    b"_rg_internals.update_stream_last_read_id",
                    trigger.library.encode(),
                    trigger.name.encode(),
                    name,
                    b"%d" % (entry_id >> 64),
                    b"%d" % (entry_id & MAX_SEQUENCE),
                ],
            )
        if trigger.trimmed:
            self.core.queue_job(lambda: self.trim(db, name))

    def trim(self, db: Database, name: bytes) -> None:
        """Remove what no trigger needs any more; no event, an emptied stream stays."""
        stream = db.data.get(name)
        needed = [
            first
            for trigger in self._triggers
            if name in trigger.streams
            and (first := trigger.streams[name].first_needed) is not None
        ]
        if type(stream) is not Stream or not needed or self.core.is_replica:
            return
        limit = min(needed)
        dropped = stream.trim_before(limit, whole_nodes=False, limit=0)
        if dropped:
            self.core.dirty += dropped
            db.touch(name)
            self.core.memory.changed(db, name)
            self.core.add_effect(db.index, [b"XTRIM", name, b"MINID", format_id(limit)])


def check_same_prefix(old: StreamTrigger | None, registration: Registration) -> None:
    """Refuse an upgrade that would make positions meaningless."""
    if old is None or old.prefix == registration.prefix:
        return
    raise ResponseError(
        "Can not upgrade an existing consumer with different prefix, consumer: "
        f"'{old.name}', old_prefix: {_printable(old.prefix)}, "
        f"new_prefix: {_printable(registration.prefix)}."
    )


def _printable(prefix: bytes) -> str:
    try:
        return prefix.decode()
    except UnicodeDecodeError:
        return "[binary data]"
