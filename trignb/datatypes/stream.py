"""The stream: entries in the order of their ids, appended at the end and trimmed at the front.

An id is one integer, milliseconds in its upper 64 bits and a sequence number in the lower ones. Entries are
kept in two parallel lists; one that is deleted in the middle leaves a gap until there are many of them.

Redis keeps entries in nodes of up to a hundred, and trimming with ``~`` removes whole nodes only. So a stream
knows its nodes as well: which ids they hold and how many bytes each would take in Redis's listpack.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise
from operator import attrgetter
from typing import Final

from trignb.datatypes.consumer_groups import UNKNOWN, ConsumerGroup
from trignb.datatypes.listpack import entry_size

__all__ = [
    "MAX_ID",
    "Stream",
    "StreamNode",
    "format_id",
    "parse_id",
]

Items = tuple[bytes, ...]

MAX_SEQUENCE: Final = (1 << 64) - 1
MAX_ID: Final = (1 << 128) - 1

# What one listpack may hold at most.
MAX_NODE_BYTES: Final = 1 << 30

# The two counters of a listpack have this many bytes at most.
_MAX_COUNTERS: Final = 20

_GAPS_FLOOR: Final = 64
_HEAD_FLOOR: Final = 512
_BLANKS: Final = b" \t\n\v\f\r"

_first = attrgetter("first")


# Ids -------------------------------------------------------------------------------


def format_id(entry_id: int) -> bytes:
    """Return an id as ``milliseconds-sequence``."""
    return b"%d-%d" % (entry_id >> 64, entry_id & MAX_SEQUENCE)


def parse_id(text: bytes, missing_sequence: int = 0) -> int:
    """Read ``milliseconds-sequence`` or ``milliseconds``.

    Raises
    ------
    ValueError
        When it is neither.
    """
    milliseconds, dash, sequence = text.partition(b"-")
    if len(text) > 127:
        raise ValueError("not a stream id")
    if not dash:
        return _to_uint64(milliseconds) << 64 | missing_sequence
    return _to_uint64(milliseconds) << 64 | _to_uint64(sequence)


def _to_uint64(text: bytes) -> int:
    """Read an unsigned number as C's ``strtoull`` does, which Redis falls back on."""
    if not text.isdigit():
        text = text.partition(b"\0")[0]
        digits = text.lstrip(_BLANKS)
        sign = digits[:1]
        if sign in (b"+", b"-"):
            digits = digits[1:]
        if not digits.isdigit():
            raise ValueError("not a number")
        if sign == b"-":
            return _wrapped(text, int(digits))
        text = digits
    value = int(text)
    if value > MAX_SEQUENCE:
        raise ValueError("out of range")
    return value


def _wrapped(text: bytes, value: int) -> int:
    # A plain negative number is refused; one that only strtoull reads wraps around.
    if value > MAX_SEQUENCE or (b"-%d" % value == text and 0 < value <= 1 << 63):
        raise ValueError("out of range")
    return -value & MAX_SEQUENCE


# Nodes -----------------------------------------------------------------------------


class StreamNode:
    """What Redis would keep in one listpack.

    ``first`` and ``last`` are the ids it began and ended with, deleted or not; ``fields``
    those of its first entry, which others with the same fields do not repeat, and
    ``field_text`` their length; ``live`` and ``dead`` how many entries it has and how many
    were deleted; ``size`` its bytes without these two counters.
    """

    __slots__ = ("dead", "field_text", "fields", "first", "last", "live", "size")

    def __init__(self, first: int, fields: Items) -> None:
        self.first = self.last = first
        self.fields = fields
        self.field_text = sum(map(len, fields))
        self.live = self.dead = 0
        self.size = 9 + _int_size(len(fields)) + sum(map(entry_size, fields))

    def __repr__(self) -> str:
        return f"<StreamNode {format_id(self.first).decode()}: {self.live} entries>"

    def byte_size(self) -> int:
        """Return how many bytes the listpack has."""
        return self.size + _int_size(self.live) + _int_size(self.dead)

    def items_size(self, items: Items) -> int:
        """Return the bytes of an entry, without its id."""
        fields = items[::2]
        n = len(fields)
        if fields == self.fields:
            return 2 + _int_size(n + 3) + sum(map(entry_size, items[1::2]))
        counters = _int_size(n) + _int_size(2 * n + 4)
        return 2 + counters + sum(map(entry_size, items))

    def copy(self) -> StreamNode:
        """Return a node like this one."""
        twin = StreamNode(self.first, self.fields)
        twin.last, twin.size = self.last, self.size
        twin.live, twin.dead = self.live, self.dead
        return twin


def _is_full(node: StreamNode, text: int, node_bytes: int) -> bool:
    """Tell whether a node has no room for an entry of so many bytes of text."""
    if not 0 < node_bytes < MAX_NODE_BYTES:
        node_bytes = MAX_NODE_BYTES
    return node.byte_size() + text >= node_bytes


def _int_size(value: int) -> int:
    """Return the bytes of an integer in a listpack; ids differ modulo 2**64."""
    if 0 <= value < 128:
        return 2
    for size, bits in ((3, 12), (4, 15), (5, 23), (6, 31)):
        if -(1 << bits) <= value < 1 << bits:
            return size
    signed = (value + (1 << 63) & MAX_SEQUENCE) - (1 << 63)
    return 10 if signed == value else _int_size(signed)


# The stream ------------------------------------------------------------------------


class Stream:
    """Entries and consumer groups.

    Attributes
    ----------
    length : int
        Entries there are.
    last_id : int
        The largest id ever given, deleted or not.
    max_deleted_id : int
        The largest id that was deleted one by one (not trimmed), 0 for none.
    entries_added : int
        Entries there ever were.
    nodes : list of StreamNode
    groups : dict
        Consumer groups by name.
    """

    __slots__ = (
        "_entries",
        "_gaps",
        "_head",
        "_ids",
        "entries_added",
        "groups",
        "last_id",
        "length",
        "max_deleted_id",
        "nodes",
    )

    def __init__(self) -> None:
        # What lies before `_head` was trimmed. The first and the last place are never gaps.
        self._ids: list[int] = []
        self._entries: list[Items | None] = []
        self._head = 0
        self._gaps = 0
        self.length = 0
        self.last_id = 0
        self.max_deleted_id = 0
        self.entries_added = 0
        self.nodes: list[StreamNode] = []
        self.groups: dict[bytes, ConsumerGroup] = {}

    def __repr__(self) -> str:
        return f"<Stream: {self.length} entries>"

    def __len__(self) -> int:
        return self.length

    # -- looking

    @property
    def first_id(self) -> int:
        """The smallest id, 0 for an empty stream."""
        return self._ids[self._head] if self.length else 0

    @property
    def top_id(self) -> int:
        """The largest id there is, 0 for an empty stream."""
        return self._ids[-1] if self.length else 0

    def get(self, entry_id: int) -> Items | None:
        """Return fields and values of an entry, in turn."""
        at = bisect_left(self._ids, entry_id, self._head)
        if at < len(self._ids) and self._ids[at] == entry_id:
            return self._entries[at]
        return None

    def parts(self) -> tuple[list[int], list[Items | None], list[StreamNode]]:
        """Return the containers the entries are in, to be freed one by one."""
        return self._ids, self._entries, self.nodes

    def range(
        self, start: int, end: int = MAX_ID, count: int = 0, *, reverse: bool = False
    ) -> list[tuple[int, Items]]:
        """Return ids and entries between two ids, both included, at most `count` of them."""
        return list(self.iter_range(start, end, count, reverse=reverse))

    def iter_range(
        self, start: int, end: int = MAX_ID, count: int = 0, *, reverse: bool = False
    ) -> Iterable[tuple[int, Items]]:
        """Go through the same as `range`; what changes the stream meanwhile is not seen."""
        ids, entries = self._ids, self._entries
        low = bisect_left(ids, start, self._head) if start else self._head
        high = bisect_right(ids, end, low) if end < MAX_ID else len(ids)
        if self._gaps:
            return self._range_with_gaps(low, high, count, reverse=reverse)
        if 0 < count < high - low:
            if reverse:
                low = high - count
            else:
                high = low + count
        some_ids, some = ids[low:high], entries[low:high]
        if reverse:
            some_ids.reverse()
            some.reverse()
        # There are no gaps.
        return zip(some_ids, some, strict=True)  # type: ignore[arg-type]

    def _range_with_gaps(
        self, low: int, high: int, count: int, *, reverse: bool
    ) -> list[tuple[int, Items]]:
        found: list[tuple[int, Items]] = []
        places = range(high - 1, low - 1, -1) if reverse else range(low, high)
        for at in places:
            items = self._entries[at]
            if items is not None:
                found.append((self._ids[at], items))
                if len(found) == count:
                    break
        return found

    def count_after(self, entry_id: int) -> int:
        """Return how many entries have a larger id."""
        low = bisect_right(self._ids, entry_id, self._head)
        n = len(self._ids) - low
        return n - self._entries[low:].count(None) if self._gaps and n else n

    # -- adding

    def add(
        self, entry_id: int, items: Items, node_entries: int, node_bytes: int
    ) -> None:
        """Append an entry; its id is larger than `last_id`.

        A node takes up to ``node_entries`` entries (0: any number) and ``node_bytes``.
        """
        nodes = self.nodes
        node = nodes[-1] if nodes else None
        if node is not None:
            if items[::2] == node.fields and len(items) < 250:
                # The usual way, written out: a call is 80 ns, an XADD 2 us.
                text, size = node.field_text, 4
                for item in items[1::2]:
                    n = len(item)
                    text += n
                    # Only what begins like a number may be one.
                    size += n + 2 if 0 < n < 64 and item[0] > 57 else entry_size(item)
            else:
                text, size = sum(map(len, items)), node.items_size(items)
            if (node_entries and node.live + node.dead >= node_entries) or (
                node.size + _MAX_COUNTERS + text >= (node_bytes or MAX_NODE_BYTES)
                and _is_full(node, text, node_bytes)
            ):
                node = None
        if node is None:
            node = StreamNode(entry_id, items[::2])
            nodes.append(node)
            size = node.items_size(items)
        first = node.first
        since = (entry_id >> 64) - (first >> 64)
        size += 2 if since < 128 else _int_size(since)
        since = (entry_id & MAX_SEQUENCE) - (first & MAX_SEQUENCE)
        size += 2 if 0 <= since < 128 else _int_size(since)
        node.size += size
        node.live += 1
        node.last = entry_id
        self._ids.append(entry_id)
        self._entries.append(items)
        self.length += 1
        self.entries_added += 1
        self.last_id = entry_id

    def append_node(
        self,
        node: StreamNode,
        entries: list[tuple[int, Items]],
        last: int,
        dead: int,
        size: int,
    ) -> None:
        """Append a node that was kept elsewhere, with the entries it still has.

        ``last`` is the id it ended with and ``size`` the bytes of its listpack.
        """
        if self._ids and self._ids[-1] >= entries[0][0]:
            raise ValueError("stream: entries are not in order")
        node.last, node.live, node.dead = last, len(entries), dead
        node.size = size - _int_size(node.live) - _int_size(dead)
        self.nodes.append(node)
        self._ids += [entry_id for entry_id, _ in entries]
        self._entries += [items for _, items in entries]
        self.length += len(entries)
        self.entries_added += len(entries)
        self.last_id = last

    # -- deleting

    def remove(self, entry_id: int) -> bool:
        """Delete one entry; tell whether it was there."""
        ids, entries = self._ids, self._entries
        at = bisect_left(ids, entry_id, self._head)
        if at == len(ids) or ids[at] != entry_id or entries[at] is None:
            return False
        self._leave_node(entry_id)
        self.length -= 1
        if at == self._head:
            self._drop_head(at + 1)
        elif at == len(ids) - 1:
            self._drop_last()
        else:
            entries[at] = None
            self._gaps += 1
            if self._gaps > _GAPS_FLOOR + (len(ids) - self._head) // 8:
                self._close_gaps()
        self.max_deleted_id = max(self.max_deleted_id, entry_id)
        return True

    def _leave_node(self, entry_id: int) -> None:
        at = bisect_right(self.nodes, entry_id, key=_first) - 1
        node = self.nodes[at]
        if node.live == 1:
            del self.nodes[at]
        else:
            node.live -= 1
            node.dead += 1

    def _drop_head(self, end: int) -> None:
        """Forget the places before `end`."""
        ids, entries, head = self._ids, self._entries, self._head
        if self._gaps:
            self._gaps -= entries[head:end].count(None)
            while self._gaps and entries[end] is None:
                end += 1
                self._gaps -= 1
        if end > _HEAD_FLOOR and end * 2 > len(ids):
            del ids[:end], entries[:end]
            self._head = 0
        else:
            entries[head:end] = [None] * (end - head)
            self._head = end

    def _drop_last(self) -> None:
        self._ids.pop()
        self._entries.pop()
        while self._gaps and self._entries[-1] is None:
            self._ids.pop()
            self._entries.pop()
            self._gaps -= 1

    def _close_gaps(self) -> None:
        pairs = zip(self._ids, self._entries, strict=True)
        self._ids = [entry_id for entry_id, items in pairs if items is not None]
        self._entries = [items for items in self._entries if items is not None]
        self._head = self._gaps = 0

    # -- trimming

    def trim_to_length(self, length: int, *, whole_nodes: bool, limit: int) -> int:
        """Drop the oldest entries over a length; return how many.

        With ``whole_nodes`` only nodes that can go as a whole, and none that would make it
        more than ``limit`` entries (0: no limit).
        """
        nodes = self.nodes
        if whole_nodes and nodes and self.length - nodes[0].live < length:
            # The usual way of XADD: not even the first can go.
            return 0
        dropped = gone = 0
        part: StreamNode | None = None
        for node in nodes:
            left = self.length - dropped
            if left <= length or (limit and dropped + node.live > limit):
                break
            if left - node.live < length:
                part = None if whole_nodes else node
                break
            dropped += node.live
            gone += 1
        if part is None:
            return self._trim(gone, self._start_of(gone), dropped)
        rest = self.length - dropped - length
        start = self._start_of(gone)
        part.live -= rest
        part.dead += rest
        return self._trim(gone, self._skip(start, rest), dropped + rest)

    def trim_before(self, entry_id: int, *, whole_nodes: bool, limit: int) -> int:
        """Drop the entries with smaller ids; return how many. Options as above."""
        dropped = gone = 0
        part: StreamNode | None = None
        for node in self.nodes:
            if limit and dropped + node.live > limit:
                break
            if node.last >= entry_id:
                part = None if whole_nodes else node
                break
            dropped += node.live
            gone += 1
        start = self._start_of(gone)
        if part is None:
            return self._trim(gone, start, dropped)
        end = bisect_left(self._ids, entry_id, start)
        rest = end - start
        if self._gaps:
            rest -= self._entries[start:end].count(None)
        part.live -= rest
        part.dead += rest
        return self._trim(gone, end, dropped + rest)

    def _start_of(self, node: int) -> int:
        """Return the place where a node's entries begin."""
        if node == 0:
            return self._head
        if node == len(self.nodes):
            return len(self._ids)
        return bisect_left(self._ids, self.nodes[node].first, self._head)

    def _skip(self, start: int, count: int) -> int:
        """Return the place behind `count` entries."""
        if not self._gaps:
            return start + count
        while count:
            count -= self._entries[start] is not None
            start += 1
        return start

    def _trim(self, nodes: int, end: int, dropped: int) -> int:
        if nodes:
            del self.nodes[:nodes]
        if dropped:
            self.length -= dropped
            self._drop_head(end)
        return dropped

    # -- counting what a group has read

    def has_gap_since(self, entry_id: int) -> bool:
        """Whether an entry was deleted at or after an id, among those there are."""
        deleted = self.max_deleted_id
        if not self.length or not deleted or self.first_id > deleted:
            return False
        return entry_id <= deleted

    def count_up_to(self, entry_id: int) -> int:
        """Return how many entries there ever were up to an id, `UNKNOWN` if that is unclear."""
        if not self.entries_added:
            return 0
        if not self.length and entry_id <= self.last_id:
            return self.entries_added
        if entry_id >= self.last_id:
            return self.entries_added if entry_id == self.last_id else UNKNOWN
        first = self.first_id
        if entry_id <= first and (
            not self.max_deleted_id or self.max_deleted_id < first
        ):
            return self.entries_added - self.length + (entry_id == first)
        return UNKNOWN

    def lag(self, group: ConsumerGroup) -> int | None:
        """Return how many entries a group has not read yet, None if that is unclear."""
        if not self.entries_added:
            return 0
        read = group.entries_read
        if read == UNKNOWN or self.has_gap_since(group.last_id):
            read = self.count_up_to(group.last_id)
        return None if read == UNKNOWN else self.entries_added - read

    def advance(self, group: ConsumerGroup, entry_id: int) -> None:
        """Note that a group was given an entry beyond all it had."""
        if group.entries_read != UNKNOWN and not self.has_gap_since(entry_id):
            group.entries_read += 1
        elif self.entries_added:
            group.entries_read = self.count_up_to(entry_id)
        group.last_id = entry_id

    # -- as a whole

    def radix_nodes(self) -> int:
        """Return how many nodes the radix tree over the nodes' first ids has in Redis."""
        keys = [node.first.to_bytes(16, "big") for node in self.nodes]
        if not keys:
            return 1
        # One leaf each; a branching node wherever neighbours part; and a node for each
        # stretch of bytes without a branch. `open_` are the branches above the last key.
        total = len(keys)
        open_: list[int] = []
        for before, key in pairwise(keys):
            depth = next(i for i in range(16) if before[i] != key[i])
            below = 16
            while open_ and open_[-1] > depth:
                total += below - open_[-1] > 1
                below = open_.pop()
            total += below - depth > 1
            if not open_ or open_[-1] < depth:
                open_.append(depth)
                total += 1
        below = 16
        while open_:
            total += below - open_[-1] > 1
            below = open_.pop()
        return total + (below > 0)

    def copy(self) -> Stream:
        """Return a stream that shares nothing changeable with this one."""
        twin = Stream()
        twin._ids = self._ids[self._head :]
        twin._entries = self._entries[self._head :]
        twin._gaps = self._gaps
        twin.length = self.length
        twin.last_id = self.last_id
        twin.max_deleted_id = self.max_deleted_id
        twin.entries_added = self.entries_added
        twin.nodes = [node.copy() for node in self.nodes]
        twin.groups = {name: group.copy() for name, group in self.groups.items()}
        return twin
