"""Consumer groups: XGROUP, acknowledging, and looking after entries that others left pending."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from trignb.datatypes.consumer_groups import UNKNOWN, ConsumerGroup, PendingEntry
from trignb.datatypes.stream import Stream, format_id, parse_id
from trignb.engine.args import INT64_MAX, syntax_error, to_int, wrong_type
from trignb.engine.commands.stream_reads import (
    create_consumer,
    propagate_claim,
    propagate_last_id,
)
from trignb.engine.commands.streams import (
    note_change,
    show_entry,
    to_bound,
    to_end,
    to_id,
    to_start,
)
from trignb.engine.help import help_lines
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import OK, Reply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("stream")
command = family.command

Args = list[bytes]

_NO_KEY: Final = (
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may "
    "want to use the MKSTREAM option to create an empty stream automatically."
)

# Pending entries XAUTOCLAIM looks at for each it may return.
_ATTEMPTS: Final = 10
_MAX_CLAIMS: Final = INT64_MAX // 16
# Beyond this Redis cannot get the memory for the ids.
_MAX_CLAIM_BYTES: Final = 1 << 47


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _no_group(key: bytes, group: bytes) -> ResponseError:
    return ResponseError(
        f"NOGROUP No such key '{_text(key)}' or consumer group '{_text(group)}'"
    )


# XGROUP ----------------------------------------------------------------------------


@command("XGROUP CREATE")
def xgroup_create(s: Session, args: Args) -> Status:
    """Makes a consumer group, with MKSTREAM also the stream."""
    make_stream, entries_read = _parse_xgroup(args, creating=True)
    db, key, name = s.db, args[2], args[3]
    stream = db.lookup_type(key, Stream)
    if stream is None and not make_stream:
        raise ResponseError(_NO_KEY)
    if len(args) > 8:
        raise _wrong_subcommand(args)
    if args[4] == b"$":
        last_id = 0 if stream is None else stream.last_id
    else:
        last_id = to_id(args[4])
    if stream is None:
        stream = Stream()
        db.add(key, stream)
        if db.watched:
            db.touch(key)
    if name in stream.groups:
        raise ResponseError("BUSYGROUP Consumer Group name already exists")
    stream.groups[name] = ConsumerGroup(last_id, entries_read)
    note_change(db, b"xgroup-create", key)
    return OK


@command("XGROUP SETID")
def xgroup_setid(s: Session, args: Args) -> Status:
    """Sets how far a consumer group has read."""
    _, entries_read = _parse_xgroup(args, creating=False)
    stream, group = _look_up(s, args)
    if len(args) not in (5, 7):
        raise _wrong_subcommand(args)
    last_id = stream.last_id if args[4] == b"$" else to_bound(args[4])
    group.last_id = last_id
    group.entries_read = entries_read
    note_change(s.db, b"xgroup-setid", args[2])
    return OK


@command("XGROUP DESTROY")
def xgroup_destroy(s: Session, args: Args) -> int:
    """Removes a consumer group with everything pending in it."""
    db, key = s.db, args[2]
    stream = db.lookup_type(key, Stream)
    if stream is None:
        raise ResponseError(_NO_KEY)
    if stream.groups.pop(args[3], None) is None:
        return 0
    note_change(db, b"xgroup-destroy", key)
    if s.core.waited_keys:
        s.core.blocking.signal(db, key)
    return 1


@command("XGROUP CREATECONSUMER")
def xgroup_createconsumer(s: Session, args: Args) -> int:
    """Adds a consumer to a group; returns 0 when it is there already."""
    _, group = _look_up(s, args)
    if args[4] in group.consumers:
        return 0
    create_consumer(s, args[2], group, args[4])
    return 1


@command("XGROUP DELCONSUMER")
def xgroup_delconsumer(s: Session, args: Args) -> int:
    """Removes a consumer and returns how many entries it had pending."""
    _, group = _look_up(s, args)
    if args[4] not in group.consumers:
        return 0
    pending = group.remove_consumer(args[4])
    note_change(s.db, b"xgroup-delconsumer", args[2])
    return pending


@command("XGROUP HELP")
def xgroup_help(s: Session, args: Args) -> list[Status]:
    """Describes the subcommands of XGROUP."""
    return help_lines(s, b"XGROUP")


def _look_up(s: Session, args: Args) -> tuple[Stream, ConsumerGroup]:
    key, name = args[2], args[3]
    stream = s.db.lookup_type(key, Stream)
    if stream is None:
        raise ResponseError(_NO_KEY)
    group = stream.groups.get(name)
    if group is None:
        raise ResponseError(
            f"NOGROUP No such consumer group '{_text(name)}' for key name '{_text(key)}'"
        )
    return stream, group


def _parse_xgroup(args: Args, *, creating: bool) -> tuple[bool, int]:
    """Return whether the stream may be made, and how many entries the group has read."""
    make_stream, entries_read = False, UNKNOWN
    at, n = 5, len(args)
    while at < n:
        word = args[at].lower()
        if creating and word == b"mkstream":
            make_stream = True
            at += 1
        elif word == b"entriesread" and at + 1 < n:
            entries_read = to_int(args[at + 1])
            if entries_read < UNKNOWN:
                raise ResponseError("ERR value for ENTRIESREAD must be positive or -1")
            at += 2
        else:
            raise _wrong_subcommand(args)
    return make_stream, entries_read


def _wrong_subcommand(args: Args) -> ResponseError:
    return ResponseError(
        "ERR unknown subcommand or wrong number of arguments for "
        f"'{_text(args[1][:128])}'. Try {args[0].decode().upper()} HELP."
    )


# Acknowledging and looking ---------------------------------------------------------


@command("XACK")
def xack(s: Session, args: Args) -> int:
    """Takes entries off what is pending in a group; returns how many were."""
    stream = s.db.read_type(args[1], Stream)
    group = None if stream is None else stream.groups.get(args[2])
    if group is None:
        return 0
    ids = [to_id(text) for text in args[3:]]
    acknowledged = sum(map(group.acknowledge, ids))
    s.core.dirty += acknowledged
    return acknowledged


class _PendingQuery(NamedTuple):
    """Which pending entries XPENDING shows."""

    start: int
    end: int
    limit: int
    min_idle_ms: int
    consumer: bytes | None


@command("XPENDING")
def xpending(s: Session, args: Args) -> Reply:
    """Tells what is pending in a group: a summary, or entries with owner and idle time."""
    query = _parse_xpending(args)
    stream = s.db.read_type(args[1], Stream)
    group = None if stream is None else stream.groups.get(args[2])
    if group is None:
        raise _no_group(args[1], args[2])
    if query is None:
        return _pending_summary(s, group)
    pending = group.pending
    if query.consumer is not None:
        consumer = group.consumers.get(query.consumer)
        if consumer is None:
            return []
        pending = consumer.pending
    now_ms = s.core.now_ms()
    replies: list[Reply] = []
    if not query.limit:
        return replies
    for entry_id, entry in pending.since(query.start):
        if entry_id > query.end:
            break
        idle_ms = now_ms - entry.delivered_ms
        if query.min_idle_ms and idle_ms < query.min_idle_ms:
            continue
        name = entry.consumer.name
        replies.append([format_id(entry_id), name, max(idle_ms, 0), entry.deliveries])
        if len(replies) == query.limit:
            break
    return replies


def _pending_summary(s: Session, group: ConsumerGroup) -> list[Reply]:
    pending = group.pending
    if not pending:
        return [0, None, None, s.null_array]
    consumers = [
        [consumer.name, b"%d" % len(consumer.pending)]
        for consumer in group.sorted_consumers()
        if consumer.pending
    ]
    first, last = format_id(pending.first()), format_id(pending.last())
    return [len(pending), first, last, consumers]


def _parse_xpending(args: Args) -> _PendingQuery | None:
    n = len(args)
    if n == 3:
        return None
    if not 6 <= n <= 9:
        raise syntax_error()
    at, min_idle_ms = 3, 0
    if args[3].lower() == b"idle":
        min_idle_ms = to_int(args[4])
        if n < 8:
            raise syntax_error()
        at = 5
    count = max(to_int(args[at + 2]), 0)
    start, end = to_start(args[at]), to_end(args[at + 1])
    consumer = args[at + 3] if at + 3 < n else None
    return _PendingQuery(start, end, count, min_idle_ms, consumer)


# Claiming --------------------------------------------------------------------------


class _Claim(NamedTuple):
    """Options of XCLAIM; ``texts`` are the ids as they were written."""

    min_idle_ms: int
    texts: list[bytes]
    ids: list[int]
    delivered_ms: int
    deliveries: int
    force: bool
    just_ids: bool
    last_id: int


@command("XCLAIM")
def xclaim(s: Session, args: Args) -> list[Reply]:
    """Takes pending entries over for a consumer, if they have been idle long enough."""
    core, key, name = s.core, args[1], args[2]
    stream = s.db.read_type(key, Stream)
    group = None if stream is None else stream.groups.get(name)
    if stream is None or group is None:
        raise _no_group(key, name)
    claim = _parse_xclaim(s, args)
    moved = claim.last_id > group.last_id
    if moved:
        group.last_id = claim.last_id
    consumer = group.consumers.get(args[3])
    if consumer is None:
        consumer = create_consumer(s, key, group, args[3])
    now_ms = consumer.seen_ms = core.now_ms()
    replies: list[Reply] = []
    for entry_id, text in zip(claim.ids, claim.texts, strict=True):
        pending = group.pending.get(entry_id)
        items = stream.get(entry_id)
        if items is None:
            if pending is not None:
                propagate_claim(s, key, name, group, text, pending)
                moved = False
                core.dirty += 1
                group.acknowledge(entry_id)
            continue
        if pending is None:
            if not claim.force:
                continue
            pending = group.deliver(entry_id, consumer, now_ms)
        elif claim.min_idle_ms and now_ms - pending.delivered_ms < claim.min_idle_ms:
            continue
        group.give(entry_id, pending, consumer)
        pending.delivered_ms = claim.delivered_ms
        if claim.deliveries >= 0:
            pending.deliveries = claim.deliveries
        elif not claim.just_ids:
            pending.deliveries += 1
        replies.append(
            format_id(entry_id) if claim.just_ids else show_entry(entry_id, items)
        )
        consumer.active_ms = now_ms
        propagate_claim(s, key, name, group, text, pending)
        moved = False
        core.dirty += 1
    if moved:
        propagate_last_id(s, key, name, group)
        core.dirty += 1
    if core.sinks:
        core.propagate_as()
    return replies


def _parse_xclaim(s: Session, args: Args) -> _Claim:
    min_idle_ms = to_int(args[4], "ERR Invalid min-idle-time argument for XCLAIM")
    ids: list[int] = []
    for text in args[5:]:
        try:
            ids.append(parse_id(text))
        except ValueError:
            break
    now_ms = s.core.now_ms()
    delivered_ms, deliveries, last_id = now_ms, -1, 0
    force = just_ids = False
    at, n = 5 + len(ids), len(args)
    while at < n:
        word, more = args[at].lower(), n - at - 1
        if word == b"force":
            force = True
        elif word == b"justid":
            just_ids = True
        elif word in (b"idle", b"time", b"retrycount") and more:
            at += 1
            option = word.decode().upper()
            number = to_int(
                args[at], f"ERR Invalid {option} option argument for XCLAIM"
            )
            if word == b"idle":
                delivered_ms = now_ms - number
            elif word == b"time":
                delivered_ms = number
            else:
                deliveries = number
        elif word == b"lastid" and more:
            at += 1
            last_id = to_id(args[at])
        else:
            raise ResponseError(f"ERR Unrecognized XCLAIM option '{_text(args[at])}'")
        at += 1
    if not 0 <= delivered_ms <= now_ms:
        delivered_ms = now_ms
    return _Claim(
        max(min_idle_ms, 0),
        args[5 : 5 + len(ids)],
        ids,
        delivered_ms,
        deliveries,
        force,
        just_ids,
        last_id,
    )


@command("XAUTOCLAIM")
def xautoclaim(s: Session, args: Args) -> list[Reply]:
    """Takes over entries that have been pending too long, looking at them from an id on."""
    core, key, name = s.core, args[1], args[2]
    # Looked up before the arguments are read, and judged after.
    stream = s.db.read(key)
    min_idle_ms, start, count, just_ids = _parse_xautoclaim(args)
    if stream is not None and type(stream) is not Stream:
        raise wrong_type()
    group = None if stream is None else stream.groups.get(name)
    if stream is None or group is None:
        raise _no_group(key, name)
    if count * 16 > _MAX_CLAIM_BYTES:
        raise ResponseError(
            "ERR Insufficient memory, failed allocating transient memory, COUNT too high."
        )
    consumer = group.consumers.get(args[3])
    if consumer is None:
        consumer = create_consumer(s, key, group, args[3])
    now_ms = consumer.seen_ms = core.now_ms()
    replies: list[Reply] = []
    deleted: list[bytes] = []
    seen = 0
    found = _pending_from(group, start, count * _ATTEMPTS + 1)
    for entry_id, pending in found[: count * _ATTEMPTS]:
        if len(replies) + len(deleted) == count:
            break
        seen += 1
        items = stream.get(entry_id)
        text = format_id(entry_id)
        if items is None:
            propagate_claim(s, key, name, group, text, pending)
            core.dirty += 1
            group.acknowledge(entry_id)
            deleted.append(text)
            continue
        if min_idle_ms and now_ms - pending.delivered_ms < min_idle_ms:
            continue
        group.give(entry_id, pending, consumer)
        pending.delivered_ms = now_ms
        if not just_ids:
            pending.deliveries += 1
        replies.append(text if just_ids else show_entry(entry_id, items))
        consumer.active_ms = now_ms
        propagate_claim(s, key, name, group, text, pending)
        core.dirty += 1
    if core.sinks:
        core.propagate_as()
    cursor = found[seen][0] if seen < len(found) else 0
    return [format_id(cursor), replies, deleted]


def _pending_from(
    group: ConsumerGroup, start: int, count: int
) -> list[tuple[int, PendingEntry]]:
    return list(islice(group.pending.since(start), min(count, len(group.pending))))


def _parse_xautoclaim(args: Args) -> tuple[int, int, int, bool]:
    min_idle_ms = to_int(args[4], "ERR Invalid min-idle-time argument for XAUTOCLAIM")
    start = to_start(args[5])
    count, just_ids = 100, False
    at, n = 6, len(args)
    while at < n:
        word, more = args[at].lower(), n - at - 1
        if word == b"count" and more:
            at += 1
            count = to_int(args[at], "ERR COUNT must be > 0")
            if not 1 <= count <= _MAX_CLAIMS:
                raise ResponseError("ERR COUNT must be > 0")
        elif word == b"justid":
            just_ids = True
        else:
            raise syntax_error()
        at += 1
    return max(min_idle_ms, 0), start, count, just_ids
