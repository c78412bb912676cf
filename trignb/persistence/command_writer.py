"""The base of an append-only file as commands (``aof-use-rdb-preamble no``): the keyspace one can read.

`CommandWriter` is written to like an `RdbWriter`. Large values come in parts, so that no command holds up
who loads it. Which commands: observed on redis-server 7.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from trignb.datatypes import DecimalText, Hash, List, Set, SortedSet, Stream
from trignb.datatypes.stream import format_id
from trignb.persistence.annotations import annotate
from trignb.reply import format_double
from trignb.resp.propagated import encode_request

if TYPE_CHECKING:
    from trignb.datatypes.consumer_groups import ConsumerGroup

__all__ = ["CommandWriter"]

Command = list[bytes]

# Elements of one command, and bytes between two writes to the file.
_PART: Final = 64
_BUFFER: Final = 1 << 18


class CommandWriter:
    """Writes a file of commands.

    Parameters
    ----------
    file : binary file
        What is written to, from where it stands.
    kept : container of bytes
        Names of facts that belong into the file, as annotations; others say nothing here.
    """

    def __init__(self, file: BinaryIO, kept: Iterable[bytes] = ()) -> None:
        self._file = file
        self._kept = frozenset(kept)
        self._out = bytearray()

    def remark(self, line: bytes) -> None:
        """Write a line that says nothing to who loads."""
        self._out += line

    def aux(self, name: bytes, value: bytes) -> None:
        """Write a fact about the server, if it is one to keep."""
        if name in self._kept:
            self._out += annotate([name, value])

    def function(self, code: bytes) -> None:
        """Write a library of functions."""
        self._out += encode_request([b"FUNCTION", b"LOAD", code])

    def database(self, index: int, keys: int, deadlines: int) -> None:
        """Begin a database."""
        self._out += encode_request([b"SELECT", b"%d" % index])

    def key(
        self,
        key: bytes,
        value: object,
        deadline_ms: int | None = None,
        idle_s: int | None = None,
        frequency: int | None = None,
    ) -> None:
        """Write a key of the database begun last."""
        out = self._out
        for command in _WRITERS[type(value)](key, value):
            out += encode_request(command)
        if deadline_ms is not None:
            out += encode_request([b"PEXPIREAT", key, b"%d" % deadline_ms])
        if len(out) > _BUFFER:
            self._flush()

    def _flush(self) -> None:
        self._file.write(self._out)
        self._out.clear()

    def __enter__(self) -> CommandWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush()


def _in_parts(
    head: Command, elements: Iterable[tuple[bytes, ...]]
) -> Iterator[Command]:
    rest = iter(elements)
    while part := [word for words in islice(rest, _PART) for word in words]:
        yield [*head, *part]


def _string(key: bytes, value: bytes | bytearray) -> Iterator[Command]:
    yield [b"SET", key, bytes(value)]


def _list(key: bytes, value: List) -> Iterator[Command]:
    return _in_parts([b"RPUSH", key], ((element,) for element in value))


def _set(key: bytes, value: Set) -> Iterator[Command]:
    return _in_parts([b"SADD", key], ((member,) for member in value.in_order()))


def _hash(key: bytes, value: Hash) -> Iterator[Command]:
    return _in_parts([b"HMSET", key], value.items())


def _sorted_set(key: bytes, value: SortedSet) -> Iterator[Command]:
    pairs = ((format_double(score), member) for score, member in value.entries)
    return _in_parts([b"ZADD", key], pairs)


def _stream(key: bytes, value: Stream) -> Iterator[Command]:
    for entry_id, items in value.iter_range(0):
        yield [b"XADD", key, format_id(entry_id), *items]
    if not value.length:
        # A stream without entries comes from one that is trimmed at once.
        yield [b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]
    yield [
        *(b"XSETID", key, format_id(value.last_id)),
        *(b"ENTRIESADDED", b"%d" % value.entries_added),
        *(b"MAXDELETEDID", format_id(value.max_deleted_id)),
    ]
    for name, group in value.groups.items():
        yield from _group(key, name, group)


def _group(key: bytes, name: bytes, group: ConsumerGroup) -> Iterator[Command]:
    yield [
        *(b"XGROUP", b"CREATE", key, name, format_id(group.last_id)),
        *(b"ENTRIESREAD", b"%d" % group.entries_read),
    ]
    for consumer in group.sorted_consumers():
        if not len(consumer.pending):
            yield [b"XGROUP", b"CREATECONSUMER", key, name, consumer.name]
        for entry_id, entry in consumer.pending.since():
            yield [
                *(b"XCLAIM", key, name, consumer.name, b"0", format_id(entry_id)),
                *(b"TIME", b"%d" % entry.delivered_ms),
                *(b"RETRYCOUNT", b"%d" % entry.deliveries, b"JUSTID", b"FORCE"),
            ]


_WRITERS: Final[dict[type, Callable[[bytes, Any], Iterator[Command]]]] = {
    bytes: _string,
    bytearray: _string,
    DecimalText: _string,
    Hash: _hash,
    List: _list,
    Set: _set,
    SortedSet: _sorted_set,
    Stream: _stream,
}
