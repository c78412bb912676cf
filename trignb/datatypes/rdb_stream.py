"""Streams as RDB writes them, consumer groups included.

Nodes are listpacks as Redis keeps them: a head with the fields of the first entry, then the entries, each with
its id as a difference to the node's first one. Entries deleted within a node are left out, as their
contents are gone here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Final

from trignb.datatypes.consumer_groups import (
    UNKNOWN,
    Consumer,
    ConsumerGroup,
    PendingEntry,
    PendingList,
)
from trignb.datatypes.packed import pack_listpack, unpack_listpack
from trignb.datatypes.stream import MAX_ID, MAX_SEQUENCE, Stream, StreamNode

if TYPE_CHECKING:
    from trignb.datatypes.rdb import Reader, Writer

__all__ = ["load_stream", "save_stream"]

Items = tuple[bytes, ...]

# Flags of an entry in a node.
_DELETED: Final = 1
_SAME_FIELDS: Final = 2

_ID_SIZE: Final = 16
_TIME_SIZE: Final = 8


# -- writing


def save_stream(out: Writer, stream: Stream, form: int) -> None:
    """Write a stream; `form` is 2 for Redis 7.0's RDB type, 3 for that of 7.2."""
    nodes = stream.nodes
    out.length(len(nodes))
    for node, entries in _entries_of_nodes(stream):
        out.string(node.first.to_bytes(_ID_SIZE, "big"))
        out.string(pack_listpack(_node_elements(node, entries)))
    out.length(stream.length)
    for entry_id in (stream.last_id, stream.first_id, stream.max_deleted_id):
        _save_id(out, entry_id)
    out.length(stream.entries_added)
    out.length(len(stream.groups))
    for name in sorted(stream.groups):
        out.string(name)
        _save_group(out, stream.groups[name], form)


def _entries_of_nodes(
    stream: Stream,
) -> Iterator[tuple[StreamNode, list[tuple[int, Items]]]]:
    nodes = stream.nodes
    for node, following in zip_longest(nodes, nodes[1:]):
        end = MAX_ID if following is None else following.first - 1
        yield node, stream.range(node.first, end)


def _node_elements(
    node: StreamNode, entries: list[tuple[int, Items]]
) -> Iterator[bytes]:
    first, fields = node.first, node.fields
    yield from (b"%d" % len(entries), b"0", b"%d" % len(fields), *fields, b"0")
    for entry_id, items in entries:
        is_like_first = items[::2] == fields
        yield b"%d" % (_SAME_FIELDS if is_like_first else 0)
        yield b"%d" % _signed((entry_id >> 64) - (first >> 64))
        yield b"%d" % _signed((entry_id & MAX_SEQUENCE) - (first & MAX_SEQUENCE))
        if is_like_first:
            yield from items[1::2]
            yield b"%d" % (len(items) // 2 + 3)
        else:
            yield b"%d" % (len(items) // 2)
            yield from items
            yield b"%d" % (len(items) + 4)


def _signed(value: int) -> int:
    """Return a difference as the 64-bit integer it is kept as."""
    return (value + (1 << 63) & MAX_SEQUENCE) - (1 << 63)


def _save_id(out: Writer, entry_id: int) -> None:
    out.length(entry_id >> 64)
    out.length(entry_id & MAX_SEQUENCE)


def _save_group(out: Writer, group: ConsumerGroup, form: int) -> None:
    _save_id(out, group.last_id)
    out.length(group.entries_read & MAX_SEQUENCE)
    out.length(len(group.pending))
    for entry_id, entry in group.pending.since():
        out += entry_id.to_bytes(_ID_SIZE, "big")
        _save_time(out, entry.delivered_ms)
        out.length(entry.deliveries)
    out.length(len(group.consumers))
    for consumer in group.sorted_consumers():
        out.string(consumer.name)
        _save_time(out, consumer.seen_ms)
        if form >= 3:
            _save_time(out, consumer.active_ms)
        out.length(len(consumer.pending))
        for entry_id, _ in consumer.pending.since():
            out += entry_id.to_bytes(_ID_SIZE, "big")


def _save_time(out: Writer, time_ms: int) -> None:
    out += time_ms.to_bytes(_TIME_SIZE, "little", signed=True)


# -- reading


def load_stream(reader: Reader, form: int) -> Stream:
    """Read a stream; `form` is 1 for Redis 5's RDB type.

    Raises
    ------
    ValueError
        When it is not well formed.
    """
    stream = Stream()
    for _ in range(reader.length()):
        key = reader.string()
        if len(key) != _ID_SIZE:
            raise ValueError("stream: a node's key is not an id")
        _load_node(stream, int.from_bytes(key, "big"), reader.string())
    if reader.length() != stream.length:
        raise ValueError("stream: another number of entries was announced")
    stream.last_id = _load_id(reader)
    if form >= 2:
        _load_id(reader)
        stream.max_deleted_id = _load_id(reader)
        stream.entries_added = reader.length()
    for _ in range(reader.length()):
        name = reader.string()
        if name in stream.groups:
            raise ValueError("stream: a group is there twice")
        stream.groups[name] = _load_group(reader, stream, form)
    return stream


def _load_id(reader: Reader) -> int:
    return reader.length() << 64 | reader.length()


def _load_node(stream: Stream, first: int, blob: bytes) -> None:
    # Redis goes through a stream's nodes without regard to their counts.
    elements = iter(unpack_listpack(blob, counted=False))
    try:
        live, dead, n_fields = (int(next(elements)) for _ in range(3))
        fields = tuple(next(elements) for _ in range(n_fields))
        if int(next(elements)):
            raise ValueError("stream: a node's first entry does not end")
        entries = [_load_entry(elements, first, fields) for _ in range(live + dead)]
    except (StopIteration, RuntimeError):
        raise ValueError("stream: a node ends within an entry") from None
    kept = [(entry_id, items) for entry_id, is_dead, items in entries if not is_dead]
    if len(kept) != live or not kept or next(elements, None) is not None:
        raise ValueError("stream: another number of entries was announced")
    if any(a >= b for (a, _, _), (b, _, _) in pairwise(entries)):
        raise ValueError("stream: entries are not in order")
    stream.append_node(StreamNode(first, fields), kept, entries[-1][0], dead, len(blob))


def _load_entry(
    elements: Iterator[bytes], first: int, fields: Items
) -> tuple[int, bool, Items]:
    flags, milliseconds, sequence = (int(next(elements)) for _ in range(3))
    entry_id = ((first >> 64) + milliseconds & MAX_SEQUENCE) << 64 | (
        (first & MAX_SEQUENCE) + sequence & MAX_SEQUENCE
    )
    if flags & _SAME_FIELDS:
        items = tuple(part for field in fields for part in (field, next(elements)))
        length = len(fields) + 3
    else:
        items = tuple([next(elements) for _ in range(2 * int(next(elements)))])
        length = len(items) + 4
    if int(next(elements)) != length:
        raise ValueError("stream: an entry of another length than it says")
    return entry_id, bool(flags & _DELETED), items


def _load_group(reader: Reader, stream: Stream, form: int) -> ConsumerGroup:
    group = ConsumerGroup(_load_id(reader))
    if form >= 2:
        read = reader.length()
        group.entries_read = UNKNOWN if read == MAX_SEQUENCE else read
    else:
        group.entries_read = stream.count_up_to(group.last_id)
    waiting: dict[int, tuple[int, int]] = {}
    for _ in range(reader.length()):
        entry_id = int.from_bytes(reader.take(_ID_SIZE), "big")
        if entry_id in waiting:
            raise ValueError("stream: an entry is pending twice")
        waiting[entry_id] = _load_time(reader), reader.length()
    for _ in range(reader.length()):
        consumer = _load_consumer(reader, form)
        if consumer.name in group.consumers:
            raise ValueError("stream: a consumer is there twice")
        group.consumers[consumer.name] = consumer
        _load_pending(reader, consumer, waiting)
    _fill(group.pending, group.consumers.values())
    if len(group.pending) != len(waiting):
        raise ValueError("stream: an entry is pending for nobody")
    return group


def _load_consumer(reader: Reader, form: int) -> Consumer:
    consumer = Consumer(reader.string(), _load_time(reader))
    # Before 7.2 nobody noted more than that.
    consumer.active_ms = _load_time(reader) if form >= 3 else consumer.seen_ms
    return consumer


def _load_pending(
    reader: Reader, consumer: Consumer, waiting: dict[int, tuple[int, int]]
) -> None:
    for _ in range(reader.length()):
        entry_id = int.from_bytes(reader.take(_ID_SIZE), "big")
        if entry_id not in waiting:
            raise ValueError("stream: a consumer's entry is not pending")
        delivered_ms, deliveries = waiting[entry_id]
        consumer.pending.put(entry_id, PendingEntry(consumer, delivered_ms, deliveries))


def _fill(pending: PendingList, consumers: Iterable[Consumer]) -> None:
    """Bring the pending entries of all consumers together, in the order of ids."""
    entries = [pair for consumer in consumers for pair in consumer.pending.since()]
    for entry_id, entry in sorted(entries, key=lambda pair: pair[0]):
        pending.put(entry_id, entry)


def _load_time(reader: Reader) -> int:
    return int.from_bytes(reader.take(_TIME_SIZE), "little", signed=True)
