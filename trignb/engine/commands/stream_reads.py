"""XREAD and XREADGROUP: what is new in several streams, waiting for it if asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trignb.datatypes.consumer_groups import Consumer, ConsumerGroup, PendingEntry
from trignb.datatypes.stream import MAX_ID, Stream, format_id
from trignb.engine.args import INT64_MAX, syntax_error, to_int
from trignb.engine.blocking import NOTHING
from trignb.engine.commands.streams import note_change, show_entries, show_entry, to_id
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import MapOfPairs

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.reply import Reply

family = CommandFamily("stream")
command = family.command

Args = list[bytes]

_WHICH_ID: Final = {
    False: (
        "ERR The > ID can be specified only when calling XREADGROUP using "
        "the GROUP <group> <consumer> option."
    ),
    True: (
        "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read "
        "the history of this consumer by specifying a proper ID, or use the > ID to "
        "get new messages. The $ ID would just return an empty result set."
    ),
}


class _Read:
    """One call of XREAD or XREADGROUP.

    ``after`` has the ids to read after, once they are known; `MAX_ID` stands for ``>``.
    """

    def __init__(self, *, is_grouped: bool) -> None:
        self.is_grouped = is_grouped
        self.group = self.consumer = b""
        self.has_group = False
        self.no_ack = False
        self.count = 0
        self.timeout_s: float | None = None
        self.keys: list[bytes] = []
        self.id_texts: list[bytes] = []
        self.after: list[int] = []


@command("XREAD")
def xread(s: Session, args: Args) -> Reply:
    """Returns the entries of streams after given ids; with BLOCK it waits for one."""
    return _run(s, _parse(s, args, is_grouped=False))


@command("XREADGROUP")
def xreadgroup(s: Session, args: Args) -> Reply:
    """Reads streams as a member of a consumer group: new entries, or one's pending ones."""
    return _run(s, _parse(s, args, is_grouped=True))


def _run(s: Session, read: _Read) -> Reply:
    def attempt() -> Reply:
        return _attempt(s, read)

    if read.timeout_s is None:
        reply = attempt()
        return s.null_array if reply is NOTHING else reply
    return s.core.blocking.serve(
        s,
        read.keys,
        read.timeout_s,
        attempt,
        empty=s.null_array,
        # A group's readers have to hear of a deleted key as well.
        kind=None if read.is_grouped else Stream,
    )


# Arguments -------------------------------------------------------------------------


def _parse(s: Session, args: Args, *, is_grouped: bool) -> _Read:
    read = _Read(is_grouped=is_grouped)
    at, n = 1, len(args)
    while at < n:
        word, more = args[at].lower(), n - at - 1
        if word == b"streams" and more:
            _take_streams(read, args[at + 1 :])
            break
        if word == b"block" and more:
            if s.core.frame.origin == "script":
                name = args[0].decode("utf-8", "surrogateescape")
                raise ResponseError(
                    f"ERR {name} command is not allowed with BLOCK option from scripts"
                )
            read.timeout_s = _to_timeout(s, args[at + 1])
            at += 2
        elif word == b"count" and more:
            read.count = max(to_int(args[at + 1]), 0)
            at += 2
        elif word == b"group" and more >= 2:
            if not is_grouped:
                raise _only_xreadgroup("GROUP")
            read.group, read.consumer = args[at + 1], args[at + 2]
            read.has_group = True
            at += 3
        elif word == b"noack":
            if not is_grouped:
                raise _only_xreadgroup("NOACK")
            read.no_ack = True
            at += 1
        else:
            raise syntax_error()
    if not read.keys:
        raise syntax_error()
    if is_grouped and not read.has_group:
        raise ResponseError("ERR Missing GROUP option for XREADGROUP")
    return read


def _take_streams(read: _Read, rest: Args) -> None:
    half = len(rest) // 2
    if len(rest) % 2:
        name, mark = ("xreadgroup", ">") if read.is_grouped else ("xread", "$")
        raise ResponseError(
            f"ERR Unbalanced '{name}' list of streams: for each stream key an ID or "
            f"'{mark}' must be specified."
        )
    read.keys, read.id_texts = rest[:half], rest[half:]


def _to_timeout(s: Session, text: bytes) -> float:
    milliseconds = to_int(text, "ERR timeout is not an integer or out of range")
    if milliseconds < 0:
        raise ResponseError("ERR timeout is negative")
    if milliseconds > INT64_MAX - s.core.now_ms():
        raise ResponseError("ERR timeout is out of range")
    return milliseconds / 1000


def _only_xreadgroup(option: str) -> ResponseError:
    return ResponseError(
        f"ERR The {option} option is only supported by XREADGROUP. "
        "You called XREAD instead."
    )


# Reading ---------------------------------------------------------------------------


def _attempt(s: Session, read: _Read) -> Reply:
    """Return what there is for the reader, `NOTHING` if there is nothing.

    Every key is looked up twice, as in Redis, where each absent one fires ``keymiss``
    each time.
    """
    groups = _look_up(s, read)
    found: list[list[Reply]] = []
    for at, key in enumerate(read.keys):
        stream = s.db.read_type(key, Stream)
        if stream is None:
            continue
        after = read.after[at]
        if groups:
            entries = _read_as_member(s, read, key, stream, groups[at], after)
        elif stream.top_id > after:
            entries = show_entries(stream.range(after + 1, count=read.count))
        else:
            entries = None
        if entries is not None:
            found.append([key, entries])
    if read.is_grouped and s.core.sinks:
        # What has to be propagated was added by hand.
        s.core.propagate_as()
    if not found:
        return NOTHING
    if s.resp == 2:
        return found
    by_key = dict(found)
    # A stream that was named twice is there twice.
    return by_key if len(by_key) == len(found) else MapOfPairs(map(tuple, found))


def _look_up(s: Session, read: _Read) -> list[ConsumerGroup]:
    """Return the groups, one for each key; finds out what the ids mean the first time."""
    groups = []
    is_first = not read.after
    after = []
    for key, text in zip(read.keys, read.id_texts, strict=True):
        stream = s.db.read_type(key, Stream)
        if read.is_grouped:
            group = None if stream is None else stream.groups.get(read.group)
            if group is None:
                raise _no_group(key, read.group)
            groups.append(group)
        if is_first:
            after.append(_to_after(read, text, stream))
    if is_first:
        read.after = after
    return groups


def _to_after(read: _Read, text: bytes, stream: Stream | None) -> int:
    if text not in (b"$", b">"):
        return to_id(text)
    if (text == b"$") is read.is_grouped:
        raise ResponseError(_WHICH_ID[read.is_grouped])
    if text == b">":
        return MAX_ID
    return 0 if stream is None else stream.last_id


def _no_group(key: bytes, group: bytes) -> ResponseError:
    key_text = key.decode("utf-8", "surrogateescape")
    group_text = group.decode("utf-8", "surrogateescape")
    return ResponseError(
        f"NOGROUP No such key '{key_text}' or consumer group '{group_text}' "
        "in XREADGROUP with GROUP option"
    )


def _read_as_member(
    s: Session,
    read: _Read,
    key: bytes,
    stream: Stream,
    group: ConsumerGroup,
    after: int,
) -> list[Reply] | None:
    """Return new or pending entries of one stream, None when there is nothing to tell."""
    core = s.core
    consumer = group.consumers.get(read.consumer)
    if consumer is None:
        consumer = create_consumer(s, key, group, read.consumer)
        if read.no_ack:
            core.add_effect(
                s.db.index,
                [b"XGROUP", b"CREATECONSUMER", key, read.group, read.consumer],
            )
    consumer.seen_ms = core.now_ms()
    if after != MAX_ID:
        entries = _history(s, stream, consumer, after + 1, read.count)
    elif stream.top_id > group.last_id:
        entries = _deliver(s, read, key, stream, group, consumer)
    else:
        return None
    core.dirty += 1
    return entries


def _history(
    s: Session, stream: Stream, consumer: Consumer, start: int, count: int
) -> list[Reply]:
    """Return what a consumer has pending; an entry deleted since has no fields."""
    entries: list[Reply] = []
    now_ms = s.core.now_ms()
    for entry_id, pending in consumer.pending.since(start):
        items = stream.get(entry_id)
        if items is None:
            entries.append([format_id(entry_id), s.null_array])
        else:
            entries.append(show_entry(entry_id, items))
            pending.delivered_ms = now_ms
            pending.deliveries += 1
        if len(entries) == count:
            break
    return entries


def _deliver(
    s: Session,
    read: _Read,
    key: bytes,
    stream: Stream,
    group: ConsumerGroup,
    consumer: Consumer,
) -> list[Reply]:
    """Give a consumer what no one in its group has read yet."""
    now_ms = s.core.now_ms()
    found = stream.range(group.last_id + 1, count=read.count)
    for entry_id, _ in found:
        stream.advance(group, entry_id)
        if not read.no_ack:
            pending = group.deliver(entry_id, consumer, now_ms)
            consumer.active_ms = now_ms
            if s.core.sinks:
                propagate_claim(s, key, read.group, group, format_id(entry_id), pending)
    if read.no_ack:
        propagate_last_id(s, key, read.group, group)
    return show_entries(found)


# What XCLAIM and XAUTOCLAIM do as well ---------------------------------------------


def create_consumer(
    s: Session, key: bytes, group: ConsumerGroup, name: bytes
) -> Consumer:
    """Add a consumer to a group."""
    consumer = group.consumers[name] = Consumer(name, s.core.now_ms())
    note_change(s.db, b"xgroup-createconsumer", key)
    return consumer


def propagate_claim(
    s: Session,
    key: bytes,
    name: bytes,
    group: ConsumerGroup,
    entry_id: bytes,
    pending: PendingEntry,
) -> None:
    """Propagate who has an entry now, in a form that may be applied twice."""
    argv = [
        b"XCLAIM",
        key,
        name,
        pending.consumer.name,
        b"0",
        entry_id,
        b"TIME",
        b"%d" % pending.delivered_ms,
        b"RETRYCOUNT",
        b"%d" % pending.deliveries,
        b"FORCE",
        b"JUSTID",
        b"LASTID",
        format_id(group.last_id),
    ]
    s.core.add_effect(s.db.index, argv)


def propagate_last_id(
    s: Session, key: bytes, name: bytes, group: ConsumerGroup
) -> None:
    """Propagate how far a group has read."""
    last_id, count = format_id(group.last_id), b"%d" % group.entries_read
    argv = [b"XGROUP", b"SETID", key, name, last_id, b"ENTRIESREAD", count]
    s.core.add_effect(s.db.index, argv)
