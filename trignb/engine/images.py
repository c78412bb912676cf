"""How a key was at one moment, for whoever wants to tell later what has changed.

An `Image` keeps a copy of a value unless that is large; what is kept for showing (`clip`, `Preview`) is
always small, whatever users put into their keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trignb.datatypes import (
    STRING_TYPES,
    TYPE_NAMES,
    Hash,
    List,
    Set,
    SortedSet,
    Stream,
    copy_value,
)
from trignb.datatypes.stream import format_id
from trignb.engine.sizes import estimate_value
from trignb.reply import format_double

if TYPE_CHECKING:
    from trignb.engine.database import Database

__all__ = [
    "Clipped",
    "Image",
    "Preview",
    "clip",
    "elements",
    "image_of",
    "preview",
    "take_image",
]

# Values above either are not copied: every change would cost as much as they are large.
MOST_ELEMENTS: Final = 1_000
MOST_BYTES: Final = 1_000_000

# What is kept for showing: bytes of one text, elements of one value.
SHOWN_BYTES: Final = 200
SHOWN_ELEMENTS: Final = 8

Element = tuple[bytes, ...]


class Clipped(bytes):
    """The beginning of a text; ``missing`` bytes followed."""

    missing: int


def clip(text: bytes | bytearray, limit: int = SHOWN_BYTES) -> bytes:
    """Return a text, or the beginning of one that is longer than `limit`."""
    if len(text) <= limit:
        return bytes(text)
    clipped = Clipped(text[:limit])
    clipped.missing = len(text) - limit
    return clipped


class Image(NamedTuple):
    """A key at one moment.

    ``kind`` is its type's name, ``size`` counts elements (bytes of a string), ``ttl_ms`` what it
    had left to live, ``weight`` the bytes that keeping ``value`` takes; ``value`` is None when it
    is too large to be kept.
    """

    kind: str
    size: int
    value: Any
    deadline_ms: int | None
    ttl_ms: int | None
    weight: int

    def without_value(self) -> Image:
        """Return the image of a value that is not kept."""
        return self._replace(value=None, weight=0)


def take_image(db: Database, key: bytes, *, due_too: bool = False) -> Image | None:
    """Return how a key is now, None if it is not there; nothing is counted or deleted.

    With `due_too` a key whose deadline has passed is there until it is deleted.
    """
    value = db.data.get(key) if due_too else db.peek(key)
    if value is None:
        return None
    deadline = db.expires.get(key)
    ttl = None if deadline is None else max(deadline - db.core.now_ms(), 0)
    return image_of(value, deadline, ttl)


def image_of(value: Any, deadline_ms: int | None, ttl_ms: int | None) -> Image:
    """Return the image of a value."""
    size = len(value)
    if type(value) is bytes:
        return Image("string", size, value, deadline_ms, ttl_ms, size)
    kind = TYPE_NAMES[type(value)]
    limit = MOST_BYTES if kind == "string" else MOST_ELEMENTS
    weight = estimate_value(value)
    if size > limit or weight > MOST_BYTES:
        return Image(kind, size, None, deadline_ms, ttl_ms, 0)
    return Image(kind, size, copy_value(value), deadline_ms, ttl_ms, weight)


class Preview(NamedTuple):
    """What is shown of an image: its first elements, clipped; ``hidden`` counts the others."""

    kind: str
    size: int
    elements: tuple[Element, ...]
    hidden: int
    ttl_ms: int | None


def preview(image: Image | None) -> Preview | None:
    """Return what is kept of an image for showing."""
    if image is None:
        return None
    shown: tuple[Element, ...] = ()
    if image.value is not None:
        some = islice(elements(image.value), SHOWN_ELEMENTS)
        shown = tuple(tuple(map(clip, element)) for element in some)
    size = 1 if image.kind == "string" else image.size
    return Preview(image.kind, image.size, shown, size - len(shown), image.ttl_ms)


def elements(value: Any) -> Iterator[Element]:
    """Return the elements of a value as texts, in an order that does not change by itself.

    A string has one; a hash gives field and value, a sorted set member and score, a
    stream an id and fields and values in turn.
    """
    kind = type(value)
    if kind in STRING_TYPES:
        return iter([(bytes(value),)])
    found: Iterator[Element] = _ELEMENTS[kind](value)
    return found


def _list(value: List) -> Iterator[Element]:
    return ((element,) for element in value)


def _set(value: Set) -> Iterator[Element]:
    return ((member,) for member in sorted(value))


def _hash(value: Hash) -> Iterator[Element]:
    return iter(value.items())


def _sorted_set(value: SortedSet) -> Iterator[Element]:
    return ((member, format_double(score)) for score, member in value.entries)


def _stream(value: Stream) -> Iterator[Element]:
    return ((format_id(entry_id), *items) for entry_id, items in value.iter_range(0))


_ELEMENTS: Final[dict[type, Any]] = {
    List: _list,
    Set: _set,
    Hash: _hash,
    SortedSet: _sorted_set,
    Stream: _stream,
}
