"""A value as HTML, in the way its type wants to be read: a table of fields, of scores, of entries.

Values are looked at under the engine's lock, some hundred elements at most, and drawn without it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from trignb.datatypes import Hash, List, Set, SortedSet, Stream
from trignb.datatypes.stream import MAX_ID, format_id
from trignb.notebook.text import readable
from trignb.notebook.widgets.style import Column, Html, joined, shown, table, tag
from trignb.reply import format_double

__all__ = ["READERS", "Sample", "sample", "value_html"]

ELEMENTS: Final = 100
_TEXT: Final = 4_000
_BYTES: Final = 512
# More fields than these are written one after the other.
_FIELD_COLUMNS: Final = 6

# What one would type to see a value of a type.
READERS: Final = {
    "string": ("GET",),
    "list": ("LRANGE", "0", "-1"),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE", "0", "-1", "WITHSCORES"),
    "hash": ("HGETALL",),
    "stream": ("XRANGE", "-", "+"),
}


class Sample(NamedTuple):
    """The beginning of a value, taken while the engine stood still.

    Attributes
    ----------
    kind : type
        The class of the value.
    size : int
        Elements there are; bytes of a string.
    elements : sequence
        Some of them: pairs of a hash, members with scores, entries of a stream, newest
        first; bytes of a string.
    more : sequence
        Of a stream its groups: name, consumers, pending, last id.
    """

    kind: type
    size: int
    elements: Any
    more: Sequence[tuple[bytes, int, int, int]] = ()


def sample(value: Any) -> Sample:
    """Return the beginning of a value; the engine's lock is held."""
    kind, size = type(value), len(value)
    if kind is Hash:
        return Sample(kind, size, list(islice(value.items(), ELEMENTS)))
    if kind is List:
        return Sample(kind, size, value.slice(0, min(size, ELEMENTS)))
    if kind is Set:
        # Integers are kept in order while they are few.
        some = value.in_order() if value.encoding == "intset" else value
        return Sample(kind, size, list(islice(some, ELEMENTS)))
    if kind is SortedSet:
        return Sample(kind, size, list(value.entries[:ELEMENTS]))
    if kind is Stream:
        entries = value.range(0, MAX_ID, ELEMENTS, reverse=True)
        return Sample(kind, size, entries, [_group(*g) for g in value.groups.items()])
    return Sample(bytes, size, bytes(value[: _TEXT + 4]))


def _group(name: bytes, group: Any) -> tuple[bytes, int, int, int]:
    return name, len(group.consumers), len(group.pending), group.last_id


def value_html(value: Sample) -> Html:
    """Return a sample as HTML."""
    drawn = _DRAWN[value.kind](value)
    hidden = value.size - len(value.elements)
    if hidden <= 0 or value.kind is bytes:
        return drawn
    more = tag("p", f"{hidden:,} more", class_="trignb-note")
    return joined([drawn, more])


# -- strings


def _string(value: Sample) -> Html:
    data: bytes = value.elements
    text = _as_text(data)
    if text is None:
        return _hex(value)
    pretty = _as_json(text) if value.size <= _TEXT else None
    hidden = value.size - len(data)
    cut = f"\n… {hidden:,} bytes more" if hidden > 0 else ""
    return tag("pre", (pretty or text) + cut, class_="trignb-code trignb-value")


def _as_text(data: bytes) -> str | None:
    """Return text for people, None for anything else."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        # The last character may be cut through.
        if len(data) < _TEXT or error.start < len(data) - 3:
            return None
        text = data[: error.start].decode()
    visible = text.replace("\n", "").replace("\t", "").replace("\r", "")
    return text if visible.isprintable() else None


def _as_json(text: str) -> str | None:
    """Return JSON laid out over several lines, None when it is none."""
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def _hex(value: Sample) -> Html:
    data: bytes = value.elements[:_BYTES]
    lines = [
        f"{at:06x}  {data[at : at + 16].hex(' '):47}  {_visible(data[at : at + 16])}"
        for at in range(0, len(data), 16)
    ]
    if value.size > len(data):
        lines.append(f"… {value.size - len(data):,} bytes more")
    return tag("pre", "\n".join(lines), class_="trignb-code")


def _visible(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in data)


# -- collections


def _cell(value: bytes) -> str:
    return shown(value, 300)


def _rows(caption: str, heads: Sequence[Column], rows: Iterable[Sequence[str]]) -> Html:
    return table(caption, heads, rows)


_VALUE: Final = Column("Value", "code long")


def _hash(value: Sample) -> Html:
    rows = [(_cell(field), _cell(text)) for field, text in value.elements]
    return _rows("Fields", (Column("Field", "code"), _VALUE), rows)


def _list(value: Sample) -> Html:
    rows = [(str(i), _cell(element)) for i, element in enumerate(value.elements)]
    return _rows("Elements", (Column("Index", "number"), _VALUE), rows)


def _set(value: Sample) -> Html:
    rows = [(_cell(member),) for member in value.elements]
    return _rows("Members", (Column("Member", "code long"),), rows)


def _sorted_set(value: Sample) -> Html:
    heads = (
        Column("Member", "code"),
        Column("Score", "number"),
        Column("Rank", "number"),
    )
    rows = [
        (_cell(member), format_double(score).decode(), str(rank))
        for rank, (score, member) in enumerate(value.elements)
    ]
    return _rows("Members by score", heads, rows)


def _stream(value: Sample) -> Html:
    entries = [(entry_id, _fields(items)) for entry_id, items in value.elements]
    names = list(dict.fromkeys(name for _, fields in entries for name in fields))
    if len(names) > _FIELD_COLUMNS:
        rest = [Column("Fields", "code long")]
        cells = [[_flat(fields)] for _, fields in entries]
    else:
        rest = [Column(shown(name, 30), "code long") for name in names]
        cells = [[fields.get(name, "") for name in names] for _, fields in entries]
    heads = (Column("Entry", "code"), Column("Time", "", "UTC"), *rest)
    rows = [
        (format_id(entry_id).decode(), _time(entry_id), *row)
        for (entry_id, _), row in zip(entries, cells, strict=True)
    ]
    return joined([_rows("Entries, newest first", heads, rows), _groups(value)])


def _fields(items: Sequence[bytes]) -> dict[str, str]:
    return {
        readable(name): _cell(text)
        for name, text in zip(items[::2], items[1::2], strict=True)
    }


def _flat(fields: dict[str, str]) -> str:
    return ", ".join(f"{shown(name, 30)}: {text}" for name, text in fields.items())


def _time(entry_id: int) -> str:
    """Return the time in an id, where it is one that a calendar knows."""
    try:
        moment = dt.datetime.fromtimestamp((entry_id >> 64) / 1000, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _groups(value: Sample) -> Html:
    if not value.more:
        return Html()
    heads = (
        Column("Consumer group", "code"),
        Column("Consumers", "number"),
        Column("Pending", "number"),
        Column("Read up to", "code"),
    )
    rows = [
        (_cell(name), f"{consumers:,}", f"{pending:,}", format_id(last).decode())
        for name, consumers, pending, last in value.more
    ]
    return _rows("Consumer groups", heads, rows)


_DRAWN: Final[dict[type, Callable[[Sample], Html]]] = {
    bytes: _string,
    Hash: _hash,
    List: _list,
    Set: _set,
    SortedSet: _sorted_set,
    Stream: _stream,
}
