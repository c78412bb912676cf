"""Traces as DataFrames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.events import CLASS_LETTERS
from trignb.engine.spans import COMMAND, KINDS, OUTCOMES, SERVED, STREAM_TRIGGER
from trignb.notebook import columns
from trignb.notebook.frames import EVENT_CLASSES
from trignb.notebook.text import readable
from trignb.notebook.trace_text import (
    command_text,
    difference_text,
    preview_text,
    reply_text,
)
from trignb.reply import NO_REPLY

if TYPE_CHECKING:
    import pandas as pd

    from trignb.engine.differences import Change
    from trignb.engine.spans import Span

__all__ = ["changes_frame", "spans_frame"]

_CLASSES: Final = {
    bit: EVENT_CLASSES.index(letter)
    for bit, letter in CLASS_LETTERS.items()
    if letter in EVENT_CLASSES
}
_FATES: Final = ("new", "changed", "gone")
# What belongs on one line of a tree is all there in a frame.
_ALL: Final = 1_000


def spans_frame(spans: Sequence[Span], opened_ns: int) -> pd.DataFrame:
    """Return one row per span, in the order in which they began.

    Parameters
    ----------
    spans : sequence of Span
        Of one trace.
    opened_ns : int
        When the trace was opened.

    Returns
    -------
    DataFrame
        Index ``span`` (int64, from 0). ``parent`` Int64 (the span that caused it), ``depth``
        and ``unit`` int64, ``kind`` category, ``name``, ``command`` (with its arguments),
        ``client``, ``library`` and ``trigger`` str, ``db`` Int64, ``key`` and ``event`` str,
        ``event_class`` category, ``is_async`` bool, ``outcome`` category, ``error`` str,
        ``line`` Int64 (of the library), ``reply`` str, ``start_us`` (since the trace was
        opened) and ``elapsed_us`` float64 (missing while it runs), ``before``, ``after`` and
        ``diff`` str (of what became of a key).
    """
    numbers = {id(span): number for number, span in enumerate(spans)}
    changes = [span.change for span in spans]
    data = {
        "span": columns.count(range(len(spans))),
        "parent": columns.nullable_count([numbers.get(id(s.parent)) for s in spans]),
        "depth": columns.count(_depths(spans, numbers)),
        "unit": columns.count(span.unit for span in spans),
        "kind": columns.category([KINDS.index(s.kind) for s in spans], KINDS),
        "name": columns.text(span.name or None for span in spans),
        "command": columns.text(map(_command, spans)),
        "client": columns.text(span.client or None for span in spans),
        "library": columns.text(span.library or None for span in spans),
        "trigger": columns.text(span.trigger or None for span in spans),
        "db": columns.nullable_count([span.db for span in spans]),
        "key": columns.text(_readable(span.key) for span in spans),
        "event": columns.text(span.event or None for span in spans),
        "event_class": columns.category(
            [_CLASSES.get(s.event_class, -1) for s in spans], EVENT_CLASSES
        ),
        "is_async": columns.flag(span.is_async for span in spans),
        "outcome": columns.category(
            [OUTCOMES.index(s.outcome) for s in spans], OUTCOMES
        ),
        "error": columns.text(span.error or None for span in spans),
        "line": columns.nullable_count([span.line for span in spans]),
        "reply": columns.text(map(_reply, spans)),
        "start_us": columns.durations(
            (span.start_ns - opened_ns) / 1000 for span in spans
        ),
        "elapsed_us": columns.durations(map(_elapsed_us, spans)),
        "before": columns.text(c and preview_text(c.before) for c in changes),
        "after": columns.text(c and preview_text(c.after) for c in changes),
        "diff": columns.text(c and _diff(c) for c in changes),
    }
    return columns.frame(data, index="span", length=len(spans))


def _depths(spans: Sequence[Span], numbers: dict[int, int]) -> list[int]:
    """Return how many spans of this trace led to each; parents stand before children."""
    depths: list[int] = []
    for span in spans:
        parent = numbers.get(id(span.parent))
        depths.append(0 if parent is None else depths[parent] + 1)
    return depths


def _command(span: Span) -> str | None:
    return command_text(span) if span.kind in (COMMAND, SERVED) else None


def _reply(span: Span) -> str | None:
    if span.reply is NO_REPLY or span.kind == STREAM_TRIGGER:
        return None
    return reply_text(span.reply)


def _readable(key: bytes | None) -> str | None:
    return None if key is None else readable(key)


def _elapsed_us(span: Span) -> float:
    return (span.end_ns - span.start_ns) / 1000 if span.end_ns else float("nan")


def _diff(change: Change) -> str | None:
    return difference_text(change, _ALL) or None


def changes_frame(changes: Sequence[Change], counts: Sequence[int]) -> pd.DataFrame:
    """Return one row per key that is not what it was.

    Parameters
    ----------
    changes : sequence of Change
        What became of each key.
    counts : sequence of int
        How often each was changed on the way.

    Returns
    -------
    DataFrame
        Index ``db`` (int64), ``key`` (str). ``change`` category (new, changed, gone),
        ``before``, ``after`` and ``diff`` str, ``changes`` int64.
    """
    data: dict[str, Any] = {
        "db": columns.count(change.db for change in changes),
        "key": columns.text(readable(change.key) for change in changes),
        "change": columns.category([_FATES.index(_fate(c)) for c in changes], _FATES),
        "before": columns.text(preview_text(change.before) for change in changes),
        "after": columns.text(preview_text(change.after) for change in changes),
        "diff": columns.text(_diff(change) for change in changes),
        "changes": columns.count(counts),
    }
    return columns.frame(data, index=("db", "key"), length=len(changes))


def _fate(change: Change) -> str:
    if change.before is None:
        return "new"
    return "gone" if change.after is None else "changed"
