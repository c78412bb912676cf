"""Which values Redis frees in the background, where it may: INFO counts them.

Memory is given back here in ways of our own (`freeing.py`); this is about the counter only.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, pairwise
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
# Bytes of a stream's ids, by which Redis keeps its nodes in a tree.
_ID_BYTES: Final = 16
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
    firsts = [node.first.to_bytes(_ID_BYTES, "big") for node in stream.nodes]
    cost = _tree_nodes(firsts)
    if stream.groups:
        first = stream.groups[min(stream.groups)]
        cost += len(stream.groups) * (1 + len(first.pending))
    return cost


def _tree_nodes(keys: list[bytes]) -> int:
    """Count the nodes of a radix tree of ascending keys of one length.

    Each key ends in a leaf, each place where keys part is a node, and so is each run of
    bytes before, between and behind such places.
    """
    if not keys:
        return 1
    shared = [_shared(a, b) for a, b in pairwise(keys)]
    total = len(keys)
    # Each stretch of neighbours and the depth its tree begins at.
    stretches = [(0, len(keys), 0)]
    while stretches:
        start, stop, depth = stretches.pop()
        if stop - start == 1:
            total += depth < _ID_BYTES
            continue
        parting = min(shared[start : stop - 1])
        total += 1 + (parting > depth)
        begin = start
        for i in range(start, stop):
            if i == stop - 1 or shared[i] == parting:
                stretches.append((begin, i + 1, parting + 1))
                begin = i + 1
    return total


def _shared(one: bytes, other: bytes) -> int:
    """Return how many bytes two keys begin with in common."""
    pairs: Iterable[tuple[int, int]] = zip(one, other, strict=True)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), len(one))
