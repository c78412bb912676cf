"""Which values Redis frees in the background, where it may: INFO counts them.

Memory is given back here in ways of our own (`freeing.py`); this is about the counter only.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from trignb.datatypes import Hash, List, Set, SortedSet
from trignb.datatypes.stream import Stream

__all__ = [
    "ALWAYS",
    "EVICTION",
    "EXPIRE",
    "SERVER_DEL",
    "USER_DEL",
    "USER_FLUSH",
    "is_costly",
]

# Parameters that allow it, each for deletions of one kind. UNLINK needs none.
ALWAYS: Final = ""
EVICTION: Final = "lazyfree-lazy-eviction"
EXPIRE: Final = "lazyfree-lazy-expire"
SERVER_DEL: Final = "lazyfree-lazy-server-del"
USER_DEL: Final = "lazyfree-lazy-user-del"
USER_FLUSH: Final = "lazyfree-lazy-user-flush"

# Allocations to be freed; a value with fewer is freed at once.
_THRESHOLD: Final = 64
_SEPARATE_ELEMENTS: Final = (b"hashtable", b"skiplist", "hashtable", "skiplist")


def is_costly(value: Any) -> bool:
    """Whether Redis would free a value in the background."""
    kind = type(value)
    if kind is Set or kind is Hash or kind is SortedSet:
        return value.encoding in _SEPARATE_ELEMENTS and len(value) > _THRESHOLD
    if kind is List:
        nodes = sum(1 for _ in islice(value.nodes(), _THRESHOLD + 1))
        return len(value) > _THRESHOLD and nodes > _THRESHOLD
    return kind is Stream and _stream_cost(value) > _THRESHOLD


def _stream_cost(stream: Stream) -> int:
    """Count a stream's tree nodes, and its groups as if all were as long as the first."""
    cost = stream.radix_nodes()
    if stream.groups:
        first = stream.groups[min(stream.groups)]
        cost += len(stream.groups) * (1 + len(first.pending))
    return cost
