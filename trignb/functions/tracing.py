"""Runs of triggers and functions that tell a trace of themselves.

While a trace is open the registry makes its runs of these classes instead of the plain ones. What a run begins in the
background belongs to it: its origin has a number of its own, so a section of `client.block` knows
who began it.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from trignb.datatypes.stream import format_id
from trignb.engine.images import clip
from trignb.engine.spans import (
    BLOCK,
    FIRED,
    FUNCTION,
    STREAM_TRIGGER,
    TRIGGER,
    TRIM,
    Span,
)
from trignb.functions.calls import FunctionRun
from trignb.functions.failures import Failure
from trignb.functions.sections import LibrarySection
from trignb.functions.streams import RecordRun
from trignb.functions.triggers import TriggerRun
from trignb.js.runtime import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from trignb.engine.database import Database
    from trignb.engine.session import Session
    from trignb.engine.tracing import Tracing
    from trignb.errors import ResponseError
    from trignb.functions.registry import Registry
    from trignb.functions.triggers import KeyspaceTrigger
    from trignb.reply import Reply

__all__ = ["RunTracer", "Runs"]


class Runs:
    """What runs are made of; chosen when a trace begins and when the last one ends.

    Attributes
    ----------
    trigger_run, record_run, function_run : type
        Of keyspace triggers, of stream triggers, of functions.
    block_began, block_ended : callable
        Hear of sections of `client.block`.
    """

    trigger_run: type[TriggerRun]
    record_run: type[RecordRun]
    function_run: type[FunctionRun]
    block_began: Callable[[LibrarySection], None]
    block_ended: Callable[[LibrarySection], None]


class RunTracer:
    """Puts the classes of this file to work while a trace is open."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.tracing: Tracing = registry.core.tracing
        self._numbers = count(1)
        # The sections of `client.block` that are traced, and how deep the stack was before.
        self._blocks: dict[LibrarySection, tuple[Span, int]] = {}
        self.tracing.switches.append(self.switch)
        self.switch(False)

    def switch(self, on: bool) -> None:
        """Begin or end to trace runs."""
        registry = self.registry
        registry.trigger_run = TracedTriggerRun if on else TriggerRun
        registry.record_run = TracedRecordRun if on else RecordRun
        registry.function_run = TracedFunctionRun if on else FunctionRun
        registry.block_began = self._block_began if on else _nothing
        registry.block_ended = self._block_ended if on else _nothing
        if on:
            vars(registry.streams).update(trim=self._trim)
        else:
            vars(registry.streams).pop("trim", None)
            if not self._is_busy():
                # Nobody has an origin any more: the next trace gives the same numbers, so
                # that runtimes, which keep each origin they saw, do not keep ever more.
                self._numbers = count(1)

    def _is_busy(self) -> bool:
        """Whether background work may go on that has an origin of the trace that ends."""
        return any(host.is_busy for host in self.registry.hosts())

    def owned(self, section: LibrarySection, span: Span) -> LibrarySection:
        """Return a section whose background work is put down to a span."""
        number = next(self._numbers)
        self.tracing.origins[number] = span
        return LibrarySection(
            replace(section.origin, span=number),
            section.session,
            block_allowed=section.block_allowed,
        )

    # -- what is no run

    def _block_began(self, section: LibrarySection) -> None:
        origin = section.origin
        cause = self.tracing.origins.get(origin.span)
        span = Span(
            BLOCK,
            "block",
            db=section.db.index,
            library=origin.library,
            trigger=origin.trigger or "",
        )
        if self.tracing.begin(span, cause) is not None:
            stack = self.tracing.stack
            self._blocks[section] = span, len(stack)
            stack.append(span)

    def _block_ended(self, section: LibrarySection) -> None:
        span, depth = self._blocks.pop(section, (None, 0))
        if span is not None:
            del self.tracing.stack[depth:]
            span.end()

    def _trim(self, db: Database, name: bytes) -> None:
        streams = self.registry.streams
        span = Span(TRIM, "trim", db=db.index, key=clip(name))
        self.tracing.watch_key(
            span, db, name, lambda: type(streams).trim(streams, db, name)
        )


def _nothing(_section: LibrarySection) -> None:
    """Do nothing."""


def _note(span: Span, error: BaseException | None) -> None:
    """Write down how a run ended, unless its trace was closed before."""
    if not span.is_followed:
        return
    span.outcome = "ok"
    if error is not None:
        failure = Failure.of(error)
        span.fail(failure.short, failure.line)
    span.end()


class TracedTriggerRun(TriggerRun):
    """A run of a keyspace trigger below the event that fired it."""

    def __init__(self, trigger: KeyspaceTrigger, *args: Any) -> None:
        super().__init__(trigger, *args)
        self._tracer = trigger.registry.tracer
        self._tracing = self._tracer.tracing
        self._cause = self._tracing.events.get(self.cause_seq)
        self._error: BaseException | None = None
        self._background: Span | None = None

    def _begin(self, kind: str, trigger: KeyspaceTrigger) -> Span | None:
        if self._cause is None:
            return None
        span = Span(
            kind,
            trigger.name,
            db=self.db.index,
            key=clip(self.key),
            library=trigger.library,
            trigger=trigger.name,
            event=self.event,
            is_async=trigger.is_async and kind == TRIGGER,
        )
        return self._tracing.begin(span, self._cause)

    def fire(self, trigger: KeyspaceTrigger) -> bool:
        """Run ``onTriggerFired`` inside the command; tell whether the callback may follow."""
        span = self._begin(FIRED, trigger)
        if span is None:
            return super().fire(trigger)
        stack = self._tracing.stack
        depth = len(stack)
        try:
            stack.append(span)
            return super().fire(trigger)
        finally:
            del stack[depth:]
            _note(span, self._error)

    def __call__(self) -> None:
        """Run the main callback, or start it when it is a coroutine."""
        trigger = self.source
        span = None if trigger is None else self._begin(TRIGGER, trigger)
        if span is None or trigger is None:
            super().__call__()
            return
        self.source = _owned(self._tracer, trigger, span)
        stack = self._tracing.stack
        depth = len(stack)
        try:
            stack.append(span)
            super().__call__()
        finally:
            del stack[depth:]
            if self.outcome == "pending":
                self._background = span
                self._tracing.job_began(span)
            else:
                _note(span, self._error)

    def job_done(self, job: Job) -> None:
        """Take note that the coroutine, or the promise that was returned, settled."""
        try:
            super().job_done(job)
        finally:
            span, self._background = self._background, None
            if span is not None:
                _note(span, self._error)
                self._tracing.job_ended(span)

    def fail(self, error: BaseException) -> None:
        """End the run because of an error."""
        self._error = error
        super().fail(error)


def _owned(tracer: RunTracer, trigger: Any, span: Span) -> Any:
    """Return the trigger with a section and an origin that belong to a span."""
    twin = copy(trigger)
    twin.section = tracer.owned(trigger.section, span)
    twin.origin = twin.section.origin
    return twin


class TracedRecordRun(RecordRun):
    """One record given to a stream trigger, below the event that woke it."""

    __slots__ = ("_background", "_span", "_tracer")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._tracer = self.streams.registry.tracer
        self._span: Span | None = None
        self._background = False

    def run(self) -> bool:
        """Run the callback, or start it; tell whether the record is acknowledged."""
        tracing, trigger = self._tracer.tracing, self.source
        cause = tracing.events.get(self.frame.cause_seq or 0)
        span = Span(
            STREAM_TRIGGER,
            trigger.name,
            db=self.db.index,
            key=clip(self.where.name),
            library=trigger.library,
            trigger=trigger.name,
            is_async=trigger.is_async,
        )
        span.reply = format_id(self.entry_id)
        if tracing.begin(span, cause) is None:
            return super().run()
        self._span = span
        self.source = _owned(self._tracer, trigger, span)
        stack = tracing.stack
        depth = len(stack)
        try:
            stack.append(span)
            is_done = super().run()
        finally:
            del stack[depth:]
        if not is_done:
            self._background = True
            tracing.job_began(span)
        return is_done

    def acknowledge(self, error: BaseException | None) -> None:
        """Count the record as processed; a failed one is never tried again."""
        if self._span is not None:
            _note(self._span, error)
        super().acknowledge(error)

    def job_done(self, job: Job) -> None:
        """Acknowledge a record whose callback ended in the background, and read on."""
        try:
            super().job_done(job)
        finally:
            if self._background and self._span is not None:
                self._background = False
                self._tracer.tracing.job_ended(self._span)


class TracedFunctionRun(FunctionRun):
    """One call of a function, below the command that called it."""

    __slots__ = ("_background", "_span")

    def run(
        self,
        session: Session,
        args: list[bytes],
        given: list[bytes],
        may_block: bool,
    ) -> Reply:
        """Run it; a client that has to wait leaves as `Blocked`."""
        function, tracing = self.function, self.registry.core.tracing
        self._background = False
        span = Span(
            FUNCTION,
            function.name,
            db=session.db.index,
            library=function.library,
            is_async=function.is_async,
        )
        self._span = tracing.begin(span)
        stack = tracing.stack
        depth = len(stack)
        try:
            if self._span is not None:
                stack.append(span)
            return super().run(session, args, given, may_block)
        finally:
            del stack[depth:]
            if not span.end_ns:
                span.end()

    def _start(
        self,
        session: Session,
        given: list[bytes],
        may_block: bool,
        section: LibrarySection | None = None,
    ) -> Reply:
        if self._span is None:
            return super()._start(session, given, may_block)
        section = self.function.section(session.user, may_block)
        section = self.registry.tracer.owned(section, self._span)
        result = super()._start(session, given, may_block, section)
        if type(result) is Job:
            self._background = True
            self.registry.core.tracing.job_began(self._span)
        return result

    def job_done(self, job: Job) -> None:
        """Give a waiting client its reply; called under the lock."""
        span = self._span
        if span is not None and self._background:
            self._background = False
            _note(span, job.error)
            super().job_done(job)
            self.registry.core.tracing.job_ended(span)
        else:
            super().job_done(job)

    def _failed(self, error: BaseException) -> ResponseError:
        if self._span is not None:
            _note(self._span, error)
        return super()._failed(error)
