"""XINFO: what a stream, its groups and their consumers are made of."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from trignb.datatypes.consumer_groups import UNKNOWN, Consumer, ConsumerGroup
from trignb.datatypes.stream import Stream, format_id
from trignb.engine.args import INT64_MAX, to_int
from trignb.engine.commands.streams import show_entries, show_entry
from trignb.engine.help import help_lines
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.reply import Reply, Status

family = CommandFamily("stream")
command = family.command

Args = list[bytes]
Facts = dict[bytes, Any]


def _stream(s: Session, key: bytes) -> Stream:
    stream = s.db.read_type(key, Stream)
    if stream is None:
        raise ResponseError("ERR no such key")
    return stream


@command("XINFO STREAM")
def xinfo_stream(s: Session, args: Args) -> Facts:
    """Tells about a stream, with FULL also about its groups, consumers and pending entries."""
    stream = _stream(s, args[2])
    count = _parse_full(args)
    facts: Facts = {
        b"length": stream.length,
        b"radix-tree-keys": len(stream.nodes),
        b"radix-tree-nodes": stream.radix_nodes(),
        b"last-generated-id": format_id(stream.last_id),
        b"max-deleted-entry-id": format_id(stream.max_deleted_id),
        b"entries-added": _int64(stream.entries_added),
        b"recorded-first-entry-id": format_id(stream.first_id),
    }
    if count is None:
        facts[b"groups"] = len(stream.groups)
        facts[b"first-entry"] = _edge(stream, reverse=False)
        facts[b"last-entry"] = _edge(stream, reverse=True)
        return facts
    facts[b"entries"] = show_entries(stream.range(0, count=count))
    facts[b"groups"] = [
        _full_group(stream, name, stream.groups[name], count or None)
        for name in sorted(stream.groups)
    ]
    return facts


def _parse_full(args: Args) -> int | None:
    """Return how many of everything FULL shows (0: all), None without FULL."""
    options = [word.lower() for word in args[3:]]
    if not options:
        return None
    if options[0] != b"full" or len(options) not in (1, 3):
        raise _wrong_subcommand(args)
    if len(options) == 1:
        return 10
    if options[1] != b"count":
        raise _wrong_subcommand(args)
    count = to_int(args[5])
    return count if count >= 0 else 10


def _wrong_subcommand(args: Args) -> ResponseError:
    word = args[1][:128].decode("utf-8", "surrogateescape")
    return ResponseError(
        f"ERR unknown subcommand or wrong number of arguments for '{word}'. "
        "Try XINFO HELP."
    )


def _edge(stream: Stream, *, reverse: bool) -> list[Reply] | None:
    found = stream.range(0, count=1, reverse=reverse)
    return show_entry(*found[0]) if found else None


def _full_group(
    stream: Stream, name: bytes, group: ConsumerGroup, count: int | None
) -> Facts:
    return {
        b"name": name,
        b"last-delivered-id": format_id(group.last_id),
        b"entries-read": _known(group.entries_read),
        b"lag": _int64(stream.lag(group)),
        b"pel-count": len(group.pending),
        b"pending": [
            [
                format_id(entry_id),
                entry.consumer.name,
                entry.delivered_ms,
                entry.deliveries,
            ]
            for entry_id, entry in islice(group.pending.since(), count)
        ],
        b"consumers": [
            _full_consumer(consumer, count) for consumer in group.sorted_consumers()
        ],
    }


def _full_consumer(consumer: Consumer, count: int | None) -> Facts:
    return {
        b"name": consumer.name,
        b"seen-time": consumer.seen_ms,
        b"active-time": consumer.active_ms,
        b"pel-count": len(consumer.pending),
        b"pending": [
            [format_id(entry_id), entry.delivered_ms, entry.deliveries]
            for entry_id, entry in islice(consumer.pending.since(), count)
        ],
    }


def _known(entries_read: int) -> int | None:
    return None if entries_read == UNKNOWN else _int64(entries_read)


def _int64(number: int | None) -> int | None:
    """Wrap a counter around as C does; XSETID may have set it to anything."""
    if number is None or -INT64_MAX <= number <= INT64_MAX:
        return number
    return (number + INT64_MAX + 1) % (1 << 64) - INT64_MAX - 1


@command("XINFO GROUPS")
def xinfo_groups(s: Session, args: Args) -> list[Facts]:
    """Tells about the consumer groups of a stream."""
    stream = _stream(s, args[2])
    return [
        {
            b"name": name,
            b"consumers": len(group.consumers),
            b"pending": len(group.pending),
            b"last-delivered-id": format_id(group.last_id),
            b"entries-read": _known(group.entries_read),
            b"lag": _int64(stream.lag(group)),
        }
        for name, group in sorted(stream.groups.items())
    ]


@command("XINFO CONSUMERS")
def xinfo_consumers(s: Session, args: Args) -> list[Facts]:
    """Tells about the consumers of a group."""
    group = _stream(s, args[2]).groups.get(args[3])
    if group is None:
        name, key = (word.decode("utf-8", "surrogateescape") for word in args[3:1:-1])
        raise ResponseError(
            f"NOGROUP No such consumer group '{name}' for key name '{key}'"
        )
    now_ms = s.core.now_ms()
    return [
        {
            b"name": consumer.name,
            b"pending": len(consumer.pending),
            b"idle": max(now_ms - consumer.seen_ms, 0),
            b"inactive": UNKNOWN
            if consumer.active_ms == UNKNOWN
            else now_ms - consumer.active_ms,
        }
        for consumer in group.sorted_consumers()
    ]


@command("XINFO HELP")
def xinfo_help(s: Session, args: Args) -> list[Status]:
    """Describes the subcommands of XINFO."""
    return help_lines(s, b"XINFO")
