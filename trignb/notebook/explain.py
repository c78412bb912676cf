"""Who changed a key last, and why: read from what the engine noted.

The notification log knows of every event the command at work, who called it, and the event that led
there. So nothing has to be kept for it, and nothing older than that log is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.events import KEYMISS, NEW
from trignb.engine.images import clip
from trignb.engine.logs import NotificationRecord, mask_secrets
from trignb.engine.spans import (
    BLOCK,
    COMMAND,
    EVENT,
    EVICT,
    EXPIRE,
    STREAM_TRIGGER,
    TRIGGER,
    Span,
)
from trignb.notebook.text import quote_argument
from trignb.notebook.trace_html import frame_html, tree_html
from trignb.notebook.trace_text import tree_lines

if TYPE_CHECKING:
    import pandas as pd

    from trignb.api import Engine
    from trignb.engine.logs import CommandRecord

__all__ = ["Explanation", "explain"]

# Events after which a key is not there.
_GONE: Final = frozenset({b"del", b"expired", b"evicted", b"rename_from", b"move_from"})

_START_LOG: Final = (
    "nothing is noted: engine.notifications() (%tf notifications) starts the log"
)


class Explanation:
    """A chain of causes that ends in the last change of a key; its repr is the text.

    Attributes
    ----------
    key : bytes
        The key.
    db : int
        Its database.
    is_known : bool
        Whether the last change is known.
    notes : tuple of str
        What is not known and why, how to know it next time.
    """

    def __init__(
        self, key: bytes, db: int, spans: Sequence[Span], notes: Iterable[str]
    ) -> None:
        self.key = key
        self.db = db
        self.notes = tuple(notes)
        self._spans = list(spans)

    @property
    def is_known(self) -> bool:
        """Whether the last change is known."""
        return bool(self._spans)

    def text(self) -> str:
        """Return the chain, what came first above, one line a step."""
        return "\n".join([*tree_lines(self._spans, clients=True), *self.notes])

    def df(self) -> pd.DataFrame:
        """Return one row a step, as `trignb.notebook.trace.Trace.df` does.

        Times and replies are not known of what was not traced.
        """
        from trignb.notebook.trace_frames import spans_frame

        return spans_frame(self._spans, 0)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        if not self._spans:
            return frame_html("", self.notes)
        return tree_html(self._spans, clients=True, notes=self.notes)


def explain(engine: Engine, key: str | bytes, db: int = 0) -> Explanation:
    """Return who changed a key last and through which chain."""
    core = engine.core
    if not 0 <= db < len(core.databases):
        raise ValueError(f"db is 0 to {len(core.databases) - 1}")
    name = key.encode() if isinstance(key, str) else bytes(key)
    with core.lock:
        records = core.notifications.entries()
        commands = list(core.commands.records)
        exists = core.databases[db].peek(name) is not None
        is_on = core.is_noting
    found = _last_of(records, name, db)
    if found is None:
        return Explanation(name, db, [], _unknown(engine, name, exists, is_on))
    chain = _Chain(records, commands)
    spans = chain.of(found)
    notes = [] if chain.is_whole else ["what led there is no longer in the log"]
    if (found.event in _GONE) == exists:
        notes.append(_silent(name, exists))
    if not is_on:
        notes.append("the log is off: later changes are not known")
    return Explanation(name, db, spans, notes)


def _last_of(
    records: Sequence[NotificationRecord], key: bytes, db: int
) -> NotificationRecord | None:
    changes = (
        record
        for record in reversed(records)
        if record.key == key and record.db == db and record.kind not in (KEYMISS, NEW)
    )
    return next(changes, None)


def _unknown(engine: Engine, key: bytes, exists: bool, is_on: bool) -> list[str]:
    name = quote_argument(key)
    if not is_on:
        return [f"{name}: {_START_LOG}"]
    size = len(engine.core.notifications.records)
    state = "it was changed before them" if exists else "it is not there"
    return [f"{name}: not among the {size:,} events noted; {state}"]


def _silent(key: bytes, exists: bool) -> str:
    """Return what to say of a key that is not as its last event left it."""
    became = "there again" if exists else "gone"
    return (
        f"{quote_argument(key)} is {became} since, without an event: "
        "FLUSHALL, FLUSHDB, SWAPDB, a snapshot or a file do that"
    )


class _Chain:
    """The steps from a client's command to an event, made into spans."""

    def __init__(
        self, records: Sequence[NotificationRecord], commands: Sequence[CommandRecord]
    ) -> None:
        self.records = {record.seq: record for record in records}
        self.commands = commands
        self.places = {record.seq: at for at, record in enumerate(commands)}
        self.is_whole = True
        self.spans: list[Span] = []

    def of(self, record: NotificationRecord) -> list[Span]:
        """Return the spans that lead to a record, the first cause first."""
        steps = [record]
        while (seq := steps[-1].cause_seq) is not None:
            cause = self.records.get(seq)
            if cause is None:
                self.is_whole = False
                break
            steps.append(cause)
        parent: Span | None = None
        for step in reversed(steps):
            parent = self._step(step, parent)
        return self.spans

    def _add(self, span: Span, parent: Span | None) -> Span:
        span.parent = parent
        self.spans.append(span)
        return span

    def _step(self, record: NotificationRecord, parent: Span | None) -> Span:
        """Add who was at work, the command and the event of one record."""
        library = getattr(record.author, "library", None) or ""
        outer = self._calls(record)
        if record.origin == "trigger":
            parent = self._add(_trigger_span(record, parent), parent)
        elif record.origin == "function" and not outer[1:]:
            # Who called it is in the command log, if there is one.
            parent = self._add(Span(BLOCK, "", library=library), parent)
        for command in outer:
            parent = self._add(_command_span(command.args, command), parent)
        if record.args is not None and (not outer or outer[-1].args != _shown(record)):
            span = _command_span(_shown(record), None)
            span.library = library
            parent = self._add(span, parent)
        if record.origin in (EXPIRE, EVICT):
            span = Span(record.origin, db=record.db, key=clip(record.key))
            parent = self._add(span, parent)
        span = Span(
            EVENT,
            record.event.decode("utf-8", "replace"),
            db=record.db,
            key=clip(record.key),
        )
        span.event_class = record.kind
        return self._add(span, parent)

    def _calls(self, record: NotificationRecord) -> list[CommandRecord]:
        """Return the commands that called one another until the event, outermost first.

        The log has them in the order in which they ended: who called stands behind, and
        has the lower number.
        """
        at = self.places.get(record.command_seq or 0)
        if at is None:
            return []
        found = [self.commands[at]]
        for later in self.commands[at + 1 :]:
            if later.seq < found[-1].seq:
                found.append(later)
        if record.origin == "trigger":
            # The trigger ran within the command whose event fired it, which is a step of its own.
            found = [call for call in found if call.from_library]
        return found[::-1]


def _shown(record: NotificationRecord) -> list[bytes]:
    return mask_secrets(record.args) if record.args else []


def _command_span(args: Sequence[bytes], record: CommandRecord | None) -> Span:
    span = Span(COMMAND)
    span.args = tuple(map(clip, args[:32]))
    span.hidden_args = max(len(args) - 32, 0)
    span.name = args[0].decode("utf-8", "replace").upper() if args else ""
    if record is not None:
        span.db, span.client = record.db, record.client
        span.library = record.from_library or ""
        if record.error is not None:
            span.fail(record.error)
    return span


def _trigger_span(record: NotificationRecord, parent: Span | None) -> Span:
    run: Any = record.author
    name = getattr(run, "trigger", None) or ""
    # A keyspace trigger's run is its own frame, which has an outcome.
    is_known = hasattr(run, "outcome")
    kind = (
        TRIGGER if is_known else BLOCK if record.cause_seq is None else STREAM_TRIGGER
    )
    span = Span(
        kind,
        "" if kind == BLOCK else name,
        db=record.db,
        library=getattr(run, "library", None) or "",
        trigger=name,
        event=getattr(run, "event", ""),
        key=parent.key if parent is not None else None,
    )
    span.outcome = getattr(run, "outcome", "ok")
    return span
