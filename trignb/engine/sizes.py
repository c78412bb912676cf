"""Estimates of how much memory keys take: Python's own sizes, with large containers sampled."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trignb.engine.database import Database

__all__ = ["estimate_database", "estimate_key", "resident_bytes"]

# An entry of a dict: hash, key, value, and its share of the index.
_ENTRY_BYTES: Final = 40

# Keys of a database that stand for all of them.
_KEY_SAMPLES: Final = 100

# As Redis: elements of a value that stand for all of them.
VALUE_SAMPLES: Final = 5

_ATOMS: Final = (bytes, bytearray, str, int, float, type(None))


def estimate_key(db: Database, key: bytes, samples: int = VALUE_SAMPLES) -> int:
    """Return the bytes a key takes with its value and deadline; 0 samples looks at all."""
    size = _ENTRY_BYTES + sys.getsizeof(key) + _size(db.data[key], samples)
    if key in db.expires:
        size += _ENTRY_BYTES + sys.getsizeof(db.expires[key])
    return size


def estimate_database(db: Database) -> int:
    """Return the bytes all keys take, judged by some of them."""
    total = len(db.data)
    if not total:
        return 0
    some = list(islice(db.data, _KEY_SAMPLES))
    return sum(estimate_key(db, key) for key in some) * total // len(some)


def _size(value: Any, samples: int) -> int:
    size = sys.getsizeof(value)
    if isinstance(value, _ATOMS):
        return size
    if isinstance(value, dict):
        size += _sampled((pair for pair in value.items()), len(value), samples)
    elif isinstance(value, (list, tuple, set, frozenset)):
        size += _sampled(((item,) for item in value), len(value), samples)
    for attribute in _attributes(value):
        size += _size(attribute, samples)
    return size


def _sampled(groups: Iterable[tuple[Any, ...]], total: int, samples: int) -> int:
    some = list(islice(groups, samples or None))
    if not some:
        return 0
    return (
        sum(_size(part, samples) for group in some for part in group)
        * total
        // len(some)
    )


def _attributes(value: Any) -> list[Any]:
    """Return what an object of a class of ours holds."""
    found = list(getattr(value, "__dict__", {}).values())
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            with contextlib.suppress(AttributeError):
                found.append(getattr(value, name))
    return [item for item in found if not callable(item)]


def resident_bytes() -> int:
    """Return what the process takes of the system's memory, 0 where it does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError, IndexError):
        return 0
