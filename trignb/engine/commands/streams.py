"""Streams: adding, trimming, deleting and reading entries by their ids.

Reading with XREAD is in `stream_reads`, consumer groups in `stream_groups`, XINFO in `stream_info`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from trignb.datatypes.stream import (
    MAX_ID,
    MAX_SEQUENCE,
    Items,
    Stream,
    format_id,
    parse_id,
)
from trignb.engine.args import syntax_error, to_int, wrong_arity, wrong_type
from trignb.engine.events import STREAM
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import OK, Reply, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trignb.engine.database import Database
    from trignb.engine.session import Session

family = CommandFamily("stream")
command = family.command

Args = list[bytes]

_TOO_SMALL: Final = (
    "ERR The ID specified in XADD is equal or smaller than the target stream top item"
)

# Entries that trimming with `~` drops at most, for nodes of any number and at all.
_DEFAULT_LIMIT: Final = 10_000
_MAX_LIMIT: Final = 1_000_000


# What the modules of this group share ----------------------------------------------


def to_id(text: bytes, missing_sequence: int = 0) -> int:
    """Read an id."""
    try:
        return parse_id(text, missing_sequence)
    except ValueError:
        raise ResponseError(
            "ERR Invalid stream ID specified as stream command argument"
        ) from None


def to_bound(text: bytes, missing_sequence: int = 0) -> int:
    """Read an id, ``-`` or ``+``."""
    if text == b"-":
        return 0
    if text == b"+":
        return MAX_ID
    return to_id(text, missing_sequence)


def to_start(text: bytes) -> int:
    """Read the start of an interval, which ``(`` leaves out; returns the first id in it."""
    if text[:1] != b"(" or len(text) == 1:
        return to_bound(text)
    start = to_id(text[1:])
    if start == MAX_ID:
        raise ResponseError("ERR invalid start ID for the interval")
    return start + 1


def to_end(text: bytes) -> int:
    """Read the end of an interval; returns the last id in it."""
    if text[:1] != b"(" or len(text) == 1:
        return to_bound(text, MAX_SEQUENCE)
    end = to_id(text[1:], MAX_SEQUENCE)
    if end == 0:
        raise ResponseError("ERR invalid end ID for the interval")
    return end - 1


def show_entry(entry_id: int, items: Items) -> list[Reply]:
    """Return an entry as commands reply it."""
    return [format_id(entry_id), list(items)]


def show_entries(found: Iterable[tuple[int, Items]]) -> list[Reply]:
    """Return entries as commands reply them; written out, a call each would double it."""
    return [
        [
            b"%d-%d" % (entry_id >> 64, sequence)
            if (sequence := entry_id & MAX_SEQUENCE)
            else b"%d-0" % (entry_id >> 64),
            [*items],
        ]
        for entry_id, items in found
    ]


def note_change(db: Database, event: bytes, key: bytes) -> None:
    """Count a change of a group and fire its event; watches hear nothing of groups."""
    core = db.core
    core.dirty += 1
    if core.event_mask & STREAM:
        core.emit(db, STREAM, event, key)


# Adding ----------------------------------------------------------------------------


class _Trim(NamedTuple):
    """How to trim; ``at`` is where the bound stands among the arguments."""

    by_id: bool
    bound: int
    is_rough: bool
    limit: int
    at: int


class _Options(NamedTuple):
    """Options of XADD and XTRIM; ``at`` is where the id stands."""

    at: int
    trim: _Trim | None = None
    may_create: bool = True
    wanted: int | None = None
    has_sequence: bool = False


_PLAIN: Final = _Options(2)


@command("XADD")
def xadd(s: Session, args: Args) -> bytes | None:
    """Appends an entry to a stream, which is made if need be, and returns its id."""
    options = _PLAIN
    at, wanted, trim = 2, None, None
    if args[2] != b"*":
        options = _known_options(s, args) or _parse_options(s, args, adding=True)
        at, wanted, trim = options.at, options.wanted, options.trim
    if len(args) < at + 3 or not (len(args) - at) & 1:
        raise wrong_arity("xadd")
    if wanted == 0 and options.has_sequence:
        raise ResponseError("ERR The ID specified in XADD must be greater than 0-0")
    core, db, key = s.core, s.db, args[1]
    stream = db.lookup(key)
    if type(stream) is not Stream:
        if stream is not None:
            raise wrong_type()
        if not options.may_create:
            return None
        stream = Stream()
        db.add(key, stream)
    last_id = stream.last_id
    if wanted is None:
        entry_id = (core.unit_ns or core.now_ns()) // 1_000_000 << 64
        if entry_id <= last_id:
            entry_id = last_id + 1
    elif options.has_sequence:
        entry_id = wanted
    else:
        entry_id = _complete(stream, wanted)
    if not last_id < entry_id <= MAX_ID:
        raise _refuse(stream)
    config = core.config.values
    stream.add(
        entry_id,
        tuple(args[at + 1 :]),
        config["stream-node-max-entries"],
        config["stream-node-max-bytes"],
    )
    text = b"%d-%d" % (entry_id >> 64, entry_id & MAX_SEQUENCE)
    db.changed(STREAM, b"xadd", key)
    if trim is not None and _trim(stream, trim):
        db.changed(STREAM, b"xtrim", key, 0)
    if core.sinks:
        _propagate(s, args, stream, options, text)
    if core.waited_keys:
        core.blocking.signal(db, key)
    return text


# ``MAXLEN ~ 1000 *`` is the same from call to call, and reading it takes as long as adding.
# A rough trim is limited by ``stream-node-max-entries``, so that is part of what was read.
_KNOWN: Final[dict[tuple[bytes | int, ...], _Options]] = {}
_MOST_KNOWN: Final = 64


def _known_options(s: Session, args: Args) -> _Options | None:
    """Return the options of a trim with a bound and an id of ``*``, None for others."""
    core = s.core
    if len(args) < 6 or args[5] != b"*" or core.is_loading:
        return None
    entries = core.config.values["stream-node-max-entries"]
    known = (args[2], args[3], args[4], entries)
    options = _KNOWN.get(known)
    if options is None:
        options = _parse_options(s, args, adding=True)
        if options.at != 5 or options.trim is None:
            return None
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[known] = options
    return options


def _complete(stream: Stream, wanted: int) -> int:
    """Return the id for ``milliseconds-*``."""
    last = stream.last_id
    if last >> 64 != wanted >> 64:
        return wanted
    # When the sequence is used up, the same id is refused.
    return last if last & MAX_SEQUENCE == MAX_SEQUENCE else last + 1


def _refuse(stream: Stream) -> ResponseError:
    if stream.last_id == MAX_ID:
        return ResponseError(
            "ERR The stream has exhausted the last possible ID, "
            "unable to add more items"
        )
    return ResponseError(_TOO_SMALL)


def _propagate(
    s: Session, args: Args, stream: Stream, options: _Options, text: bytes | None
) -> None:
    """Propagate the id that was given and the bound that was reached."""
    argv = list(args)
    if text is not None and not options.has_sequence:
        argv[options.at] = text
    trim = options.trim
    if trim is not None and trim.is_rough:
        argv[trim.at - 1] = b"="
        argv[trim.at] = _reached(stream, trim)
    s.core.propagate_as(argv)


def _reached(stream: Stream, trim: _Trim) -> bytes:
    if not trim.by_id:
        return b"%d" % stream.length
    return format_id(stream.nodes[0].first if stream.nodes else MAX_ID)


def _parse_options(s: Session, args: Args, *, adding: bool) -> _Options:
    strategy, bound, bound_at, is_rough = b"", 0, 0, False
    limit, limit_is_given = 0, False
    may_create = True
    wanted, has_sequence = None, False
    at, n = 2, len(args)
    while at < n:
        word, more = args[at].lower(), n - at - 1
        if adding and word == b"*":
            break
        if word in (b"maxlen", b"minid") and more:
            if strategy:
                raise ResponseError(
                    "ERR syntax error, MAXLEN and MINID options at the same time "
                    "are not compatible"
                )
            strategy = word
            if more >= 2 and args[at + 1] in (b"~", b"="):
                at += 1
                is_rough = args[at] == b"~"
            at = bound_at = at + 1
            bound = _to_length(args[at]) if word == b"maxlen" else to_id(args[at])
        elif word == b"limit" and more:
            at += 1
            limit, limit_is_given = _to_limit(args[at]), True
        elif adding and word == b"nomkstream":
            may_create = False
        elif adding:
            wanted, has_sequence = _to_new_id(args[at])
            break
        else:
            raise syntax_error()
        at += 1
    if limit and not strategy:
        raise ResponseError(
            "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
        )
    if not strategy and not adding:
        raise ResponseError(
            "ERR syntax error, XTRIM must be called with a trimming strategy"
        )
    limit = _effective_limit(s, limit, given=limit_is_given, is_rough=is_rough)
    if not strategy:
        return _Options(at, None, may_create, wanted, has_sequence)
    trim = _Trim(strategy == b"minid", bound, is_rough, limit, bound_at)
    return _Options(at, trim, may_create, wanted, has_sequence)


def _to_length(text: bytes) -> int:
    length = to_int(text)
    if length < 0:
        raise ResponseError("ERR The MAXLEN argument must be >= 0.")
    return length


def _to_limit(text: bytes) -> int:
    limit = to_int(text)
    if limit < 0:
        raise ResponseError("ERR The LIMIT argument must be >= 0.")
    return limit


def _to_new_id(text: bytes) -> tuple[int, bool]:
    """Read the id for a new entry; whether it has a sequence, and not ``*`` in its place."""
    milliseconds, _, sequence = text.partition(b"-")
    if sequence == b"*" and len(text) < 128:
        return to_id(milliseconds), False
    return to_id(text), True


def _effective_limit(s: Session, limit: int, *, given: bool, is_rough: bool) -> int:
    if s.core.is_loading:
        # What is replayed was limited when it ran first.
        return 0
    if given and not is_rough:
        raise ResponseError(
            "ERR syntax error, LIMIT cannot be used without the special ~ option"
        )
    if given or not is_rough:
        return limit
    entries: int = s.core.config.values["stream-node-max-entries"]
    return min(100 * entries or _DEFAULT_LIMIT, _MAX_LIMIT)


# Trimming and deleting -------------------------------------------------------------


def _trim(stream: Stream, trim: _Trim) -> int:
    drop = stream.trim_before if trim.by_id else stream.trim_to_length
    return drop(trim.bound, whole_nodes=trim.is_rough, limit=trim.limit)


@command("XTRIM")
def xtrim(s: Session, args: Args) -> int:
    """Drops the oldest entries of a stream, by its length or by their ids."""
    options = _parse_options(s, args, adding=False)
    db, key = s.db, args[1]
    stream = db.lookup_type(key, Stream)
    if stream is None or options.trim is None:
        return 0
    dropped = _trim(stream, options.trim)
    if dropped:
        db.changed(STREAM, b"xtrim", key, dropped)
        if options.trim.is_rough and s.core.sinks:
            _propagate(s, args, stream, options, None)
    return dropped


@command("XDEL")
def xdel(s: Session, args: Args) -> int:
    """Deletes entries from a stream and returns how many there were."""
    db, key = s.db, args[1]
    stream = db.lookup_type(key, Stream)
    if stream is None:
        return 0
    ids = [to_id(text) for text in args[2:]]
    deleted = sum(map(stream.remove, ids))
    if deleted:
        db.changed(STREAM, b"xdel", key, deleted)
    return deleted


@command("XSETID")
def xsetid(s: Session, args: Args) -> Status:
    """Sets the last id a stream has given, and its counters."""
    last_id = to_id(args[2])
    added, deleted_id = _parse_xsetid(args, last_id)
    db, key = s.db, args[1]
    stream = db.lookup_type(key, Stream)
    if stream is None:
        raise ResponseError("ERR no such key")
    if last_id < stream.max_deleted_id:
        raise ResponseError(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
        )
    if stream.length:
        if last_id < stream.top_id:
            raise ResponseError(
                "ERR The ID specified in XSETID is smaller than the target stream top item"
            )
        if added is not None and added < stream.length:
            raise ResponseError(
                "ERR The entries_added specified in XSETID is smaller than "
                "the target stream length"
            )
    stream.last_id = last_id
    if added is not None:
        stream.entries_added = added
    if deleted_id:
        stream.max_deleted_id = deleted_id
    note_change(db, b"xsetid", key)
    return OK


def _parse_xsetid(args: Args, last_id: int) -> tuple[int | None, int]:
    added, deleted_id = None, 0
    at, n = 3, len(args)
    while at < n:
        word, more = args[at].lower(), n - at - 1
        if word == b"entriesadded" and more:
            added = to_int(args[at + 1])
            if added < 0:
                raise ResponseError("ERR entries_added must be positive")
        elif word == b"maxdeletedid" and more:
            deleted_id = to_id(args[at + 1])
            if last_id < deleted_id:
                raise ResponseError(
                    "ERR The ID specified in XSETID is smaller than "
                    "the provided max_deleted_entry_id"
                )
        else:
            raise syntax_error()
        at += 2
    return added, deleted_id


# Reading ---------------------------------------------------------------------------


@command("XLEN")
def xlen(s: Session, args: Args) -> int:
    """Returns how many entries a stream has."""
    stream = s.db.read_type(args[1], Stream)
    return 0 if stream is None else stream.length


@command("XRANGE")
def xrange(s: Session, args: Args) -> Reply:
    """Returns the entries between two ids, oldest first."""
    low, high = args[2], args[3]
    start = 0 if low == b"-" else to_start(low)
    end = MAX_ID if high == b"+" else to_end(high)
    return _range(s, args, start, end, reverse=False)


@command("XREVRANGE")
def xrevrange(s: Session, args: Args) -> Reply:
    """Returns the entries between two ids, newest first."""
    start, end = to_start(args[3]), to_end(args[2])
    return _range(s, args, start, end, reverse=True)


def _range(s: Session, args: Args, start: int, end: int, *, reverse: bool) -> Reply:
    count = None
    for at in range(4, len(args), 2):
        if args[at].lower() != b"count" or at + 1 == len(args):
            raise syntax_error()
        count = max(to_int(args[at + 1]), 0)
    stream = s.db.read_type(args[1], Stream)
    if stream is None:
        return []
    if count == 0:
        return s.null_array
    return show_entries(stream.iter_range(start, end, count or 0, reverse=reverse))
