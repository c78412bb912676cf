"""What has changed between two images of a key, element by element.

A difference is small and owns what it shows: neither how large a value is nor what becomes of it later
matters to who keeps one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trignb.datatypes.stream import format_id
from trignb.engine.images import Element, Image, Preview, clip, elements, preview
from trignb.reply import format_double

if TYPE_CHECKING:
    from trignb.datatypes import Hash, List, Set, SortedSet, Stream

__all__ = ["Change", "Difference", "change_of"]

# Differences that are kept of one change.
MOST: Final = 16

ADDED, REMOVED, CHANGED = "+", "-", "~"


class Difference(NamedTuple):
    """One thing that is another.

    ``sign`` is ``+``, ``-`` or ``~``; ``what`` says what it is (``value``, ``field``,
    ``member``, ``element``, ``entry``, ``group``, ``type``, ``size``, ``ttl``); ``name`` the
    field, member, position or id it is about; ``before`` and ``after`` its value, bytes or, of
    ``type``, ``size`` and ``ttl``, what an `Image` has.
    """

    sign: str
    what: str
    name: bytes | None = None
    before: Any = None
    after: Any = None


class Change(NamedTuple):
    """What became of one key; ``hidden`` counts the differences that are not kept."""

    db: int
    key: bytes
    before: Preview | None
    after: Preview | None
    differences: tuple[Difference, ...]
    hidden: int


def change_of(
    db: int,
    key: bytes,
    before: Image | None,
    after: Image | None,
    *,
    was_heard: bool = False,
) -> Change | None:
    """Return what changed, None if nothing did.

    `was_heard` tells that there was an event: all there is to know of a value that was too
    large to be kept, and grew as much as it shrank.
    """
    found = list(islice(_differences(before, after, was_heard), MOST))
    if not found and (before is None) == (after is None):
        return None
    total = len(found)
    if total == MOST:
        total = sum(1 for _ in _differences(before, after, was_heard))
    return Change(
        db,
        key,
        preview(before),
        preview(after),
        tuple(map(_clipped, found)),
        total - len(found),
    )


def _clipped(difference: Difference) -> Difference:
    sign, what, *parts = difference
    return Difference(sign, what, *[clip(p) if _is_text(p) else p for p in parts])


def _is_text(part: Any) -> bool:
    return isinstance(part, (bytes, bytearray))


def _differences(
    before: Image | None, after: Image | None, was_heard: bool
) -> Iterator[Difference]:
    if after is None:
        return
    if before is not None and before.kind != after.kind:
        yield Difference(CHANGED, "type", None, before.kind, after.kind)
    if before is None or before.kind != after.kind:
        yield from _all_added(after)
        if after.deadline_ms is not None:
            yield Difference(CHANGED, "ttl", None, None, after.ttl_ms)
        return
    if before.value is None or after.value is None:
        if before.size != after.size or was_heard:
            yield Difference(CHANGED, "size", None, before.size, after.size)
    else:
        yield from _VALUES[after.kind](before.value, after.value)
    if before.deadline_ms != after.deadline_ms:
        yield Difference(CHANGED, "ttl", None, before.ttl_ms, after.ttl_ms)


_WHATS: Final = {
    "string": "value",
    "hash": "field",
    "list": "element",
    "set": "member",
    "zset": "member",
    "stream": "entry",
}


def _all_added(image: Image) -> Iterator[Difference]:
    what = _WHATS[image.kind]
    if image.value is None:
        yield Difference(CHANGED, "size", None, None, image.size)
        return
    for element in elements(image.value):
        yield Difference(ADDED, what, *_named(what, element, after=True))
    if image.kind == "stream":
        yield from _groups({}, image.value.groups)


def _named(what: str, element: Element, *, after: bool) -> tuple[Any, Any, Any]:
    """Return name, before and after of an element that is only on one side."""
    name: bytes | None = element[0]
    value: bytes | None = element[1] if len(element) > 1 else None
    if what in ("value", "element"):
        name, value = None, name
    elif what == "entry":
        value = b" ".join(element[1:])
    return (name, None, value) if after else (name, value, None)


def _string(before: Any, after: Any) -> Iterator[Difference]:
    if before != after:
        yield Difference(CHANGED, "value", None, bytes(before), bytes(after))


def _table(
    what: str, before: dict[bytes, Any], after: dict[bytes, Any], text: Any
) -> Iterator[Difference]:
    """Compare what has names: fields, members with scores."""
    for name, value in after.items():
        if name not in before:
            yield Difference(ADDED, what, name, None, text(value))
        elif before[name] != value:
            yield Difference(CHANGED, what, name, text(before[name]), text(value))
    for name, value in before.items():
        if name not in after:
            yield Difference(REMOVED, what, name, text(value), None)


def _hash(before: Hash, after: Hash) -> Iterator[Difference]:
    return _table("field", before, after, bytes)


def _sorted_set(before: SortedSet, after: SortedSet) -> Iterator[Difference]:
    return _table("member", before.scores, after.scores, format_double)


def _set(before: Set, after: Set) -> Iterator[Difference]:
    for member in sorted(after.keys() - before.keys()):
        yield Difference(ADDED, "member", member)
    for member in sorted(before.keys() - after.keys()):
        yield Difference(REMOVED, "member", member)


def _list(before: List, after: List) -> Iterator[Difference]:
    """Compare by what both begin and end with; a change in between is named by its index."""
    old, new = list(before), list(after)
    least = min(len(old), len(new))
    front = _common(old, new, least)
    back = _common(old[front:][::-1], new[front:][::-1], least - front)
    old_end, new_end = len(old) - back, len(new) - back
    where = _place(front, back, len(old), len(new))
    both = min(old_end, new_end) - front if where is None else 0
    for i in range(front, front + both):
        yield Difference(CHANGED, "element", b"%d" % i, old[i], new[i])
    for i in range(front + both, old_end):
        yield Difference(REMOVED, "element", where or b"%d" % i, old[i])
    for i in range(front + both, new_end):
        yield Difference(ADDED, "element", where or b"%d" % i, None, new[i])


def _common(a: list[bytes], b: list[bytes], most: int) -> int:
    for i in range(most):
        if a[i] != b[i]:
            return i
    return most


def _place(front: int, back: int, old: int, new: int) -> bytes | None:
    """Return ``head`` or ``tail`` where elements were only put or only taken there."""
    if front + back < min(old, new):
        return None
    if not front and back:
        return b"head"
    return b"tail" if not back else None


def _stream(before: Stream, after: Stream) -> Iterator[Difference]:
    old, new = dict(before.iter_range(0)), dict(after.iter_range(0))
    for entry_id, items in new.items():
        if entry_id not in old:
            yield Difference(
                ADDED, "entry", format_id(entry_id), None, b" ".join(items)
            )
    for entry_id, items in old.items():
        if entry_id not in new:
            yield Difference(REMOVED, "entry", format_id(entry_id), b" ".join(items))
    if before.last_id != after.last_id and old.keys() == new.keys():
        ids = format_id(before.last_id), format_id(after.last_id)
        yield Difference(CHANGED, "entry", b"last id", *ids)
    yield from _groups(before.groups, after.groups)


def _groups(before: dict[bytes, Any], after: dict[bytes, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys(chain(after, before)):
        old, new = _group_text(before.get(name)), _group_text(after.get(name))
        if old != new:
            sign = CHANGED if old and new else ADDED if new else REMOVED
            yield Difference(sign, "group", name, old, new)


def _group_text(group: Any) -> bytes | None:
    if group is None:
        return None
    pending, readers = len(group.pending), len(group.consumers)
    last = format_id(group.last_id)
    return b"last %b, %d pending, %d consumers" % (last, pending, readers)


_VALUES: Final[dict[str, Callable[[Any, Any], Iterator[Difference]]]] = {
    "string": _string,
    "hash": _hash,
    "list": _list,
    "set": _set,
    "zset": _sorted_set,
    "stream": _stream,
}
