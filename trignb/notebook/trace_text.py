"""Traces as text: one line a span, below what caused it.

Nothing here depends on when or how fast something happened, so the text of the same commands is the same;
times stand in it only when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trignb.engine.events import NEW
from trignb.engine.images import Clipped
from trignb.engine.spans import (
    BLOCK,
    CHANGE,
    COMMAND,
    EVENT,
    EVICT,
    EXPIRE,
    FIRED,
    FUNCTION,
    SERVED,
    STREAM_TRIGGER,
    TRIGGER,
    TRIM,
    Aggregate,
)
from trignb.notebook.text import quote, quote_argument, readable, show
from trignb.reply import NO_REPLY

if TYPE_CHECKING:
    from trignb.engine.differences import Change, Difference
    from trignb.engine.images import Preview
    from trignb.engine.spans import Span

__all__ = [
    "Line",
    "branches",
    "change_text",
    "command_text",
    "describe",
    "difference_text",
    "one_line",
    "preview_text",
    "reply_text",
    "tree_lines",
    "visible",
]

# Differences on one line.
_SHOWN: Final = 6


class Line(NamedTuple):
    """What is said of a span: what it is, unless that is plain, and the rest."""

    label: str
    text: str

    def __str__(self) -> str:
        return f"{self.label} {self.text}" if self.label else self.text


# -- the tree

Children = Mapping[int | None, Sequence["Span"]]


def visible(spans: Iterable[Span]) -> list[Span]:
    """Return the spans without the events ``new``, which fire no triggers."""
    return [span for span in spans if span.event_class != NEW]


def branches(spans: Iterable[Span]) -> Children:
    """Return the spans below each, by its id; those below none, by None.

    What became of keys stands first.
    """
    spans = list(spans)
    known = {id(span) for span in spans}
    found: dict[int | None, list[Span]] = {None: []}
    for span in spans:
        place = id(span.parent) if id(span.parent) in known else None
        found.setdefault(place, []).append(span)
    return {
        place: sorted(below, key=lambda span: span.kind != CHANGE)
        for place, below in found.items()
    }


def tree_lines(
    spans: Iterable[Span], *, times: bool = False, clients: bool = False
) -> Iterator[str]:
    """Yield the lines of a tree of spans.

    Parameters
    ----------
    spans : iterable of Span
        In the order in which they began.
    times : bool
        Append when each began and how long it took.
    clients : bool
        Name the client of each command that nothing caused.
    """
    spans = visible(spans)
    below = branches(spans)
    started = spans[0].start_ns if spans else 0

    # Its own stack: a chain of causes may be longer than Python recurses.
    work = [(span, "", "") for span in reversed(below[None])]
    while work:
        span, stem, prefix = work.pop()
        line = str(describe(span, client=clients and not stem))
        yield f"{stem}{line}{_times(span, started) if times else ''}"
        children = below.get(id(span), ())
        for i, child in enumerate(reversed(children)):
            twig, rest = ("├─ ", "│  ") if i else ("└─ ", "   ")
            work.append((child, prefix + twig, prefix + rest))


def _times(span: Span, started_ns: int) -> str:
    if span.kind == CHANGE:
        return ""
    start = (span.start_ns - started_ns) / 1000
    if not span.end_ns:
        return f"  [{start:.1f} µs, runs]"
    return f"  [{start:.1f} µs, took {(span.end_ns - span.start_ns) / 1000:.1f} µs]"


# -- one span


def describe(span: Span, *, client: bool = False) -> Line:
    """Return what is said of a span."""
    return _KINDS[span.kind](span, client)


def _command(span: Span, client: bool) -> Line:
    who = f"{_who(span)}> " if client and span.client else ""
    waited = " (had waited)" if span.kind == SERVED else ""
    db = f"[{span.db}] " if span.db else ""
    ending = _ending(span)
    arrow = f" → {ending}" if ending else ""
    return Line("", f"{who}{db}{command_text(span)}{waited}{arrow}")


def _who(span: Span) -> str:
    return f"client {span.client}" if span.client.isdigit() else one_line(span.client)


def command_text(span: Span) -> str:
    """Return a command as one would type it, long arguments cut."""
    words = [_argument(arg) for arg in span.args]
    if span.hidden_args:
        words.append(f"…(+{_counted(span.hidden_args, 'argument')})")
    return " ".join(words)


def _ending(span: Span) -> str:
    if span.outcome == "ok":
        return "" if span.reply is NO_REPLY else reply_text(span.reply)
    if span.outcome == "failed":
        return f"(error) {one_line(span.error)}"
    return f"({span.outcome})"


def reply_text(reply: Any) -> str:
    """Return the beginning of a reply, on one line."""
    if isinstance(reply, Aggregate):
        size = f"{reply.size:,}" if reply.size else "empty"
        return f"({reply.kind}, {size})"
    if isinstance(reply, bytes):
        return _value(reply)
    return one_line(show(reply))


def _event(span: Span, _client: bool) -> Line:
    return Line("event", f"{one_line(span.name)} {_place(span)}")


def _fired(span: Span, _client: bool) -> Line:
    return Line("onTriggerFired", f"of {_code(span)}: {_outcome(span)}")


def _trigger(span: Span, _client: bool) -> Line:
    return Line("trigger", f"{_code(span)}{_async(span)}: {_outcome(span)}")


def _stream_trigger(span: Span, _client: bool) -> Line:
    which = f"{_code(span)}{_async(span)}"
    if isinstance(span.reply, bytes):
        which += f", record {readable(span.reply)} of {_place(span)}"
    return Line("stream trigger", f"{which}: {_outcome(span)}")


def _function(span: Span, _client: bool) -> Line:
    return Line("function", f"{_code(span)}{_async(span)}: {_outcome(span)}")


def _block(span: Span, _client: bool) -> Line:
    # Without its name, what is told of it comes from a log that does not know what it was.
    label = "client.block" if span.name else "code"
    return Line(label, f"of {'.'.join(filter(None, [span.library, span.trigger]))}")


def _by_itself(span: Span, _client: bool) -> Line:
    return Line(_BY_ITSELF[span.kind], _place(span))


def _change(span: Span, _client: bool) -> Line:
    assert span.change is not None
    return Line("", change_text(span.change))


_BY_ITSELF: Final = {EXPIRE: "expired", EVICT: "evicted", TRIM: "trimmed"}

_KINDS: Final = {
    COMMAND: _command,
    SERVED: _command,
    EVENT: _event,
    FIRED: _fired,
    TRIGGER: _trigger,
    STREAM_TRIGGER: _stream_trigger,
    FUNCTION: _function,
    BLOCK: _block,
    EXPIRE: _by_itself,
    EVICT: _by_itself,
    TRIM: _by_itself,
    CHANGE: _change,
}


def _code(span: Span) -> str:
    return f"{span.library}.{span.name}"


def _async(span: Span) -> str:
    return " (async)" if span.is_async else ""


def _outcome(span: Span) -> str:
    if span.outcome != "failed":
        return span.outcome
    where = "" if span.line is None else f" (line {span.line})"
    return f"failed: {one_line(span.error)}{where}"


def _place(span: Span) -> str:
    db = f"[{span.db}] " if span.db else ""
    return db + _argument(span.key or b"")


# -- what became of a key


def change_text(change: Change) -> str:
    """Return what became of a key, on one line."""
    db = f"[{change.db}] " if change.db else ""
    return f"{db}{_argument(change.key)} ({_fate(change)}){_details(change)}"


def _fate(change: Change) -> str:
    if change.before is None:
        assert change.after is not None
        return f"{change.after.kind}, new"
    return f"{change.before.kind}, gone" if change.after is None else change.after.kind


def _details(change: Change) -> str:
    if change.after is None:
        return f": was {preview_text(change.before, kind=False)}"
    text = difference_text(change)
    return f": {text}" if text else ""


def difference_text(change: Change, most: int = _SHOWN) -> str:
    """Return the differences of a change, at most so many of them."""
    shown = [_difference(d, change) for d in change.differences[:most]]
    hidden = len(change.differences) - len(shown) + change.hidden
    return ", ".join([*shown, *([f"… {hidden:,} more"] if hidden else [])])


def _difference(difference: Difference, change: Change) -> str:
    sign, what, name, before, after = difference
    if what in _MEASURES:
        return _MEASURES[what](before, after, change)
    if what == "value":
        return (
            _value(after) if before is None else f"{_value(before)} → {_value(after)}"
        )
    words = [sign, *(["group"] if what == "group" else [])]
    if name is not None:
        words.append(_argument(name))
    text = _score if what == "member" else _value
    if sign == "~":
        words.append(f"{text(before)} → {text(after)}")
    elif before is not None or after is not None:
        words.append(text(before if after is None else after))
    return " ".join(words)


def _type(before: str, after: str, _change: Change) -> str:
    return f"{before} → {after}"


def _ttl(_before: int | None, after: int | None, _change: Change) -> str:
    return "no TTL" if after is None else f"TTL {_seconds(after)}"


def _size(before: int | None, after: int, change: Change) -> str:
    assert change.after is not None
    unit = _UNITS[change.after.kind]
    if before is None or before == after:
        same = "" if before is None else ", too large to compare"
        return _counted(after, unit) + same
    return f"{before:,} → {_counted(after, unit)}"


_MEASURES: Final[Mapping[str, Callable[[Any, Any, Change], str]]] = {
    "type": _type,
    "ttl": _ttl,
    "size": _size,
}

_UNITS: Final = {
    "string": "byte",
    "hash": "field",
    "list": "element",
    "set": "member",
    "zset": "member",
    "stream": "entry",
}


def preview_text(preview: Preview | None, *, kind: bool = True) -> str | None:
    """Return a value as it is shown, None for a key that is not there.

    For instance ``hash {name: "tom", age: "5"} (TTL 10 s)``; `kind` puts the type in front.
    """
    if preview is None:
        return None
    label = f"{preview.kind} " if kind else ""
    ttl = "" if preview.ttl_ms is None else f" (TTL {_seconds(preview.ttl_ms)})"
    return f"{label}{_contents(preview)}{ttl}"


def _contents(preview: Preview) -> str:
    if not preview.elements and preview.hidden:
        return f"of {_counted(preview.size, _UNITS[preview.kind])}"
    if preview.kind == "string":
        return _value(preview.elements[0][0])
    items = [_element(preview.kind, element) for element in preview.elements]
    if preview.hidden:
        items.append(f"… {preview.hidden:,} more")
    is_row = preview.kind in ("list", "stream")
    left, right = ("[", "]") if is_row else ("{", "}")
    return left + ", ".join(items) + right


def _element(kind: str, element: tuple[bytes, ...]) -> str:
    first, *rest = element
    if kind == "hash":
        return f"{_argument(first)}: {_value(rest[0])}"
    if kind == "zset":
        return f"{_argument(first)}: {_score(rest[0])}"
    if kind == "stream":
        return " ".join([readable(first), *map(_argument, rest)])
    return _value(first)


# -- words


def _score(score: bytes) -> str:
    return readable(score)


def _value(text: bytes) -> str:
    return quote(text, utf8=True) + _rest(text)


def _argument(text: bytes) -> str:
    bare = quote_argument(text)
    return (quote(text, utf8=True) if bare[0] == '"' else bare) + _rest(text)


def _rest(text: bytes) -> str:
    missing = text.missing if isinstance(text, Clipped) else 0
    return f"…(+{_counted(missing, 'byte')})" if missing else ""


def _counted(number: int, unit: str) -> str:
    if number != 1:
        unit = "entries" if unit == "entry" else f"{unit}s"
    return f"{number:,} {unit}"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".") + " s"


def one_line(text: str) -> str:
    """Return a text without line breaks and what else a terminal would take as an order."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text
    )
