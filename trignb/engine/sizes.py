"""Estimates of how much memory keys take: Python's own sizes, elements by their bytes.

A key takes its entry in the keyspace, the key, the value and, if it has one, the deadline. A value is its
containers and its elements; of more than `VALUE_SAMPLES` elements some stand for all, so that no value takes
long to look at. Sharing between values, memory that the allocator holds back and what clients
have in their queues are left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import chain, islice
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final

from trignb.datatypes import DecimalText, Hash, List, Set, SortedSet, Stream

if TYPE_CHECKING:
    from trignb.engine.database import Database

__all__ = [
    "DEADLINE_BYTES",
    "STARTUP_BYTES",
    "STRING_BYTES",
    "VALUE_SAMPLES",
    "estimate_database",
    "estimate_key",
    "estimate_value",
    "resident_bytes",
]

# What an engine without keys takes.
STARTUP_BYTES: Final = 230_000

# An entry of a dict: hash, key, value, and its share of the index.
_ENTRY_BYTES: Final = 40
_INT_BYTES: Final = 32

# A key's deadline: an entry, the number, and a pair on the heap.
DEADLINE_BYTES: Final = _ENTRY_BYTES + _INT_BYTES + 64

# A key with a string of bytes takes this beyond the bytes of both.
STRING_BYTES: Final = _ENTRY_BYTES + 2 * getsizeof(b"")

# A member's score, the pair that is sorted, and its place in the list.
_SCORE_BYTES: Final = getsizeof(0.5) + getsizeof((0, 0)) + 8
# A stream entry's id and its places in two lists.
_STREAM_ENTRY_BYTES: Final = getsizeof(1 << 90) + 16
# A pending entry, its id, and its places in two tables; a group and a consumer alone.
_PENDING_BYTES: Final = 300
_GROUP_BYTES: Final = 800
_CONSUMER_BYTES: Final = 600

# Elements of a value that stand for all of them.
VALUE_SAMPLES: Final = 32

# Keys of a database that stand for all of them.
_KEY_SAMPLES: Final = 5_000


def estimate_key(db: Database, key: bytes, samples: int = VALUE_SAMPLES) -> int:
    """Return the bytes a key takes with its value and deadline; 0 samples looks at all."""
    value = db.data[key]
    kind = type(value)
    if kind is bytes:
        size = STRING_BYTES + len(key) + len(value)
    else:
        size = _ENTRY_BYTES + getsizeof(key) + _SIZES[kind](value, samples)
    return size + DEADLINE_BYTES if key in db.expires else size


def estimate_value(value: Any, samples: int = VALUE_SAMPLES) -> int:
    """Return the bytes that a value takes by itself."""
    return _SIZES[type(value)](value, samples)


def estimate_database(db: Database) -> int:
    """Return the bytes all keys take; of very many keys some are looked at."""
    total = len(db.data)
    step = total // _KEY_SAMPLES + 1
    some = list(islice(db.data, 0, None, step))
    if not some:
        return 0
    return sum(estimate_key(db, key) for key in some) * total // len(some)


# -- values; each function takes a value and the number of elements to look at


def _hash(value: Hash, samples: int) -> int:
    fields = _some_of(value, samples)
    texts = sum(getsizeof(field) + getsizeof(value[field]) for field in fields)
    return getsizeof(value) + _scaled(texts, fields, value)


def _set(value: Set, samples: int) -> int:
    members = _some_of(value, samples)
    return getsizeof(value) + _scaled(sum(map(getsizeof, members)), members, value)


def _sorted_set(value: SortedSet, samples: int) -> int:
    members = _some_of(value.scores, samples)
    texts = _scaled(sum(map(getsizeof, members)), members, value)
    return getsizeof(value.scores) + _SCORE_BYTES * len(value) + texts


def _list(value: List, samples: int) -> int:
    n = len(value)
    if 0 < samples < n:
        front = samples // 2
        some = value.slice(0, front) + value.slice(n - samples + front, n)
    else:
        some = list(value)
    arrays = sum(map(getsizeof, value.parts()))
    return arrays + _scaled(sum(map(getsizeof, some)), some, value)


def _stream(value: Stream, samples: int) -> int:
    n = len(value)
    if 0 < samples < n:
        front = samples // 2
        some = value.range(0, count=front) if front else []
        some += value.range(0, count=samples - front, reverse=True)
    else:
        some = value.range(0)
    items = [entry for _, entry in some]
    texts = sum(map(getsizeof, chain(items, *items)))
    size = _STREAM_ENTRY_BYTES * n + _scaled(texts, items, value)
    for group in value.groups.values():
        size += _GROUP_BYTES + _CONSUMER_BYTES * len(group.consumers)
        size += _PENDING_BYTES * len(group.pending)
    return size


def _string(value: bytes | bytearray, _samples: int) -> int:
    return getsizeof(value)


_SIZES: Final[dict[type, Callable[[Any, int], int]]] = {
    bytes: _string,
    bytearray: _string,
    DecimalText: _string,
    Hash: _hash,
    List: _list,
    Set: _set,
    SortedSet: _sorted_set,
    Stream: _stream,
}


def _some_of(table: dict[bytes, Any], samples: int) -> list[bytes]:
    """Return the latest keys of a table, or all of them."""
    # Not the first: behind those that were deleted in order the way there is long.
    if 0 < samples < len(table):
        return list(islice(reversed(table), samples))
    return list(table)


def _scaled(size: int, some: list[Any], value: Any) -> int:
    return size * len(value) // len(some) if some else 0


def resident_bytes() -> int:
    """Return what the process takes of the system's memory, 0 where it does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError, IndexError):
        return 0
