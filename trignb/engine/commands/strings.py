"""Strings: GET, SET and everything that changes bytes or counts in place.

GET, SET, MGET and INCR are written out flat: each leaves the common case to one test, as a call costs a
tenth of such a command. Every other line goes through `Database`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trignb.datatypes import STRING_TYPES, DecimalText
from trignb.datatypes.listpack import is_int64
from trignb.datatypes.longdouble import LongDouble, add, parse, show
from trignb.datatypes.strings import Match, common_subsequence
from trignb.engine.args import (
    INT64_MAX,
    INT64_MIN,
    syntax_error,
    to_int,
    wrong_arity,
    wrong_type,
)
from trignb.engine.events import GENERIC, NEW, STRING
from trignb.engine.laziness import EXPIRE
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import OK, Reply

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("string")
command = family.command

Args = list[bytes]

_TIMES: Final = frozenset({b"EX", b"PX", b"EXAT", b"PXAT"})
_IN_SECONDS: Final = frozenset({b"EX", b"EXAT"})
_FROM_NOW: Final = frozenset({b"EX", b"PX"})
_LIFETIME: Final = _TIMES | {b"KEEPTTL", b"PERSIST"}


# -- look-ups


def _read(s: Session, key: bytes) -> bytes | bytearray | None:
    """Return a key's string for a command that reads."""
    value = s.db.read(key)
    if value is None or type(value) in STRING_TYPES:
        return value  # type: ignore[no-any-return]
    raise wrong_type()


def _lookup(s: Session, key: bytes) -> bytes | bytearray | None:
    """Return a key's string for a command that writes."""
    value = s.db.lookup(key)
    if value is None or type(value) in STRING_TYPES:
        return value  # type: ignore[no-any-return]
    raise wrong_type()


def _read_bytes(s: Session, key: bytes) -> bytes | None:
    """`_read`, as a reply."""
    value = _read(s, key)
    return value if value is None or type(value) is bytes else bytes(value)


# -- GET and what it is part of


@command("GET")
def get(s: Session, args: Args) -> bytes | None:
    """Returns the string a key holds."""
    db, key = s.db, args[1]
    value = db.data.get(key)
    if type(value) is bytes and (not db.expires or key not in db.expires):
        s.core.hits += 1
        return value
    return _read_bytes(s, key)


@command("MGET")
def mget(s: Session, args: Args) -> list[bytes | None]:
    """Returns the strings of several keys, null for a key without one."""
    db, keys = s.db, args[1:]
    if not db.expires:
        values = [*map(db.data.get, keys)]
        for value in values:
            if type(value) is not bytes:
                break
        else:
            s.core.hits += len(values)
            return values
    found = map(db.read, keys)
    return [bytes(v) if type(v) in STRING_TYPES else None for v in found]


@command("GETSET")
def getset(s: Session, args: Args) -> bytes | None:
    """Sets a key's string and returns the one it held before."""
    old = _read_bytes(s, args[1])
    _put(s, args[1], args[2])
    if s.core.sinks:
        s.core.propagate_as([b"SET", args[1], args[2]])
    return old


@command("GETDEL")
def getdel(s: Session, args: Args) -> bytes | None:
    """Returns a key's string and deletes the key."""
    db, key = s.db, args[1]
    value = _read_bytes(s, key)
    if value is not None:
        db.remove(key)
        db.changed(GENERIC, b"del", key)
        if s.core.sinks:
            s.core.propagate_as([b"DEL", key])
    return value


@command("GETEX")
def getex(s: Session, args: Args) -> bytes | None:
    """Returns a key's string and sets or drops the key's deadline."""
    core, db, key = s.core, s.db, args[1]
    options, time = _parse_options(args, 2, frozenset({b"PERSIST"}))
    value = _read_bytes(s, key)
    if value is None:
        return None
    if time is None:
        if b"PERSIST" in options and db.persist(key):
            db.changed(GENERIC, b"persist", key)
            if core.sinks:
                core.propagate_as([b"PERSIST", key])
        return value
    deadline = _deadline(s, options, time, "getex")
    if (
        not options & _FROM_NOW
        and deadline <= core.now_ms()
        and not (core.is_loading or core.is_replica)
    ):
        db.remove(key, EXPIRE)
        db.changed(GENERIC, b"del", key)
        if core.sinks:
            core.propagate_as([db.deletion_name(EXPIRE), key])
        return value
    db.set_deadline(key, deadline)
    db.changed(GENERIC, b"expire", key)
    if core.sinks:
        core.propagate_as([b"PEXPIREAT", key, b"%d" % deadline])
    return value


# -- SET and its older forms


@command("SET")
def set_(s: Session, args: Args) -> Reply:
    """Sets a key's string, whatever the key held; options bind it to a condition or a time."""
    if len(args) != 3:
        return _set_with_options(s, args)
    core, db, key = s.core, s.db, args[1]
    old = db.data.get(key)
    mask = core.event_mask
    # Flat: this is all that `db.assign` and `db.changed` do unless somebody watches or waits,
    # wants to hear of new keys, the key has a deadline, or its old value takes long to free.
    if (
        (type(old) is not bytes and old is not None)
        or db.watched
        or core.waited_keys
        or mask & NEW
        or (db.expires and key in db.expires)
    ):
        db.assign(key, args[2])
        db.changed(STRING, b"set", key)
        return OK
    db.data[key] = args[2]
    core.dirty += 1
    if mask & STRING:
        core.emit(db, STRING, b"set", key)
    return OK


def _set_with_options(s: Session, args: Args) -> Reply:
    db, key = s.db, args[1]
    options, time = _parse_options(
        args, 3, frozenset({b"NX", b"XX", b"GET", b"KEEPTTL"})
    )
    deadline = None if time is None else _deadline(s, options, time, "set")
    wants_old = b"GET" in options
    old = _read_bytes(s, key) if wants_old else None
    conditional = b"NX" in options or b"XX" in options
    if conditional and (db.lookup(key) is None) == (b"XX" in options):
        return old
    keep = b"KEEPTTL" in options or deadline is not None
    _put(s, key, args[2], deadline, keep_ttl=keep)
    if s.core.sinks:
        if deadline is None and wants_old:
            kept = [arg for arg in args[3:] if arg.upper() != b"GET"]
            s.core.propagate_as([*args[:3], *kept])
        elif deadline is not None and b"PXAT" not in options:
            _propagate_with_deadline(s, key, args[2], deadline)
    return old if wants_old else OK


@command("SETNX")
def setnx(s: Session, args: Args) -> int:
    """Sets a key's string unless the key exists."""
    if s.db.lookup(args[1]) is not None:
        return 0
    _put(s, args[1], args[2])
    return 1


@command("SETEX")
def setex(s: Session, args: Args) -> Reply:
    """Sets a key's string and its time to live in seconds."""
    return _set_for(s, args, {b"EX"}, "setex")


@command("PSETEX")
def psetex(s: Session, args: Args) -> Reply:
    """Sets a key's string and its time to live in milliseconds."""
    return _set_for(s, args, {b"PX"}, "psetex")


def _set_for(s: Session, args: Args, unit: set[bytes], name: str) -> Reply:
    deadline = _deadline(s, unit, args[2], name)
    _put(s, args[1], args[3], deadline, keep_ttl=True)
    if s.core.sinks:
        _propagate_with_deadline(s, args[1], args[3], deadline)
    return OK


@command("MSET")
def mset(s: Session, args: Args) -> Reply:
    """Sets the strings of several keys."""
    _put_all(s, args, "mset")
    return OK


@command("MSETNX")
def msetnx(s: Session, args: Args) -> int:
    """Sets the strings of several keys, all of them or, if one exists, none."""
    if not len(args) & 1:
        raise wrong_arity("msetnx")
    if any(s.db.lookup(key) is not None for key in args[1::2]):
        return 0
    _put_all(s, args, "msetnx")
    return 1


def _put_all(s: Session, args: Args, name: str) -> None:
    if not len(args) & 1:
        raise wrong_arity(name)
    for i in range(1, len(args), 2):
        _put(s, args[i], args[i + 1])


def _put(
    s: Session,
    key: bytes,
    value: bytes,
    deadline: int | None = None,
    *,
    keep_ttl: bool = False,
) -> None:
    """Do what every form of SET comes down to, events included."""
    db = s.db
    db.assign(key, value, keep_ttl=keep_ttl)
    db.changed(STRING, b"set", key)
    if deadline is not None:
        db.set_deadline(key, deadline)
        db.changed(GENERIC, b"expire", key, 0)


def _propagate_with_deadline(
    s: Session, key: bytes, value: bytes, deadline: int
) -> None:
    s.core.propagate_as([b"SET", key, value, b"PXAT", b"%d" % deadline])


def _parse_options(
    args: Args, start: int, flags: frozenset[bytes]
) -> tuple[set[bytes], bytes | None]:
    """Return the option words in capitals, and the time that one of them carries."""
    given: set[bytes] = set()
    time = None
    words = iter(args[start:])
    for word in words:
        option = word.upper()
        if option in _TIMES:
            time = next(words, None)
            if time is None:
                raise syntax_error()
        elif option not in flags:
            raise syntax_error()
        given.add(option)
    if len(given & _LIFETIME) > 1 or {b"NX", b"XX"} <= given:
        raise syntax_error()
    return given, time


def _deadline(s: Session, options: set[bytes], time: bytes, name: str) -> int:
    """Return the deadline in ms that an EX, PX, EXAT or PXAT asks for."""
    deadline = to_int(time)
    if deadline > 0:
        if options & _IN_SECONDS:
            deadline *= 1000
        if options & _FROM_NOW:
            deadline += s.core.now_ms()
        if deadline <= INT64_MAX:
            return deadline
    raise ResponseError(f"ERR invalid expire time in '{name}' command")


# -- parts of a string


@command("STRLEN")
def strlen(s: Session, args: Args) -> int:
    """Returns the length of a key's string in bytes."""
    return len(_read(s, args[1]) or b"")


@command("APPEND")
def append(s: Session, args: Args) -> int:
    """Appends to a key's string, creating it if need be."""
    db, key, tail = s.db, args[1], args[2]
    value = _lookup(s, key)
    if value is None:
        db.add(key, tail)
        size = len(tail)
    else:
        _check_size(s, len(value) + len(tail))
        buffer = _to_buffer(s, key, value)
        buffer += tail
        size = len(buffer)
    db.changed(STRING, b"append", key)
    return size


@command("SETRANGE")
def setrange(s: Session, args: Args) -> int:
    """Overwrites a part of a key's string; zero bytes fill a gap before it."""
    db, key, part = s.db, args[1], args[3]
    at = to_int(args[2])
    if at < 0:
        raise ResponseError("ERR offset is out of range")
    value = _lookup(s, key)
    if not part:
        return len(value or b"")
    _check_size(s, at + len(part))
    if value is None:
        buffer = bytearray(at)
        buffer += part
        db.add(key, buffer)
    else:
        buffer = _to_buffer(s, key, value)
        if at > len(buffer):
            buffer += bytes(at - len(buffer))
        buffer[at : at + len(part)] = part
    db.changed(STRING, b"setrange", key)
    return len(buffer)


def _check_size(s: Session, size: int) -> None:
    if size > s.core.limits.string_size:
        raise ResponseError(
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        )


def _to_buffer(s: Session, key: bytes, value: bytes | bytearray) -> bytearray:
    """Return a key's string as one that can be changed in place, which it stays."""
    if type(value) is bytearray:
        return value
    buffer = s.db.data[key] = bytearray(value)
    return buffer


@command("GETRANGE")
def getrange(s: Session, args: Args) -> bytes:
    """Returns a part of a key's string; negative bounds count from its end."""
    start, end = to_int(args[2]), to_int(args[3])
    value = _read(s, args[1]) or b""
    if start < 0 and end < 0 and start > end:
        return b""
    n = len(value)
    first = max(start + n, 0) if start < 0 else start
    last = max(end + n, 0) if end < 0 else end
    return bytes(value[first : last + 1])


@command("SUBSTR")
def substr(s: Session, args: Args) -> bytes:
    """Returns a part of a key's string: GETRANGE's former name."""
    return getrange(s, args)  # type: ignore[no-any-return]


# -- counting


@command("INCR")
def incr(s: Session, args: Args) -> int:
    """Adds one to the number a key holds."""
    core, db, key = s.core, s.db, args[1]
    value = db.data.get(key)
    # Flat for a number above 0 that is far from the end of 64 bits.
    if (
        type(value) is bytes
        and value.isdigit()
        and value[0] != 0x30
        and len(value) < 19
        and not (db.watched or db.expires)
    ):
        total = int(value) + 1
        db.data[key] = b"%d" % total
        core.dirty += 1
        if core.event_mask & STRING:
            core.emit(db, STRING, b"incrby", key)
        return total
    return _add(s, key, 1)


@command("DECR")
def decr(s: Session, args: Args) -> int:
    """Subtracts one from the number a key holds."""
    return _add(s, args[1], -1)


@command("INCRBY")
def incrby(s: Session, args: Args) -> int:
    """Adds to the number a key holds."""
    return _add(s, args[1], to_int(args[2]))


@command("DECRBY")
def decrby(s: Session, args: Args) -> int:
    """Subtracts from the number a key holds."""
    amount = to_int(args[2])
    if amount == INT64_MIN:
        raise ResponseError("ERR decrement would overflow")
    return _add(s, args[1], -amount)


def _add(s: Session, key: bytes, amount: int) -> int:
    """Add to a number and return it."""
    db = s.db
    value = _lookup(s, key)
    total = amount if value is None else to_int(value) + amount
    if not INT64_MIN <= total <= INT64_MAX:
        raise ResponseError("ERR increment or decrement would overflow")
    if value is None:
        db.add(key, b"%d" % total)
    else:
        db.data[key] = b"%d" % total
    db.changed(STRING, b"incrby", key)
    return total


@command("INCRBYFLOAT")
def incrbyfloat(s: Session, args: Args) -> bytes:
    """Adds a decimal number to the one a key holds."""
    db, key = s.db, args[1]
    value = _lookup(s, key)
    number = LongDouble(0, 0) if value is None else parse(bytes(value))
    amount = parse(args[2])
    if number is None or amount is None:
        raise ResponseError("ERR value is not a valid float")
    total = add(number, amount)
    if total is None:
        raise ResponseError("ERR increment would produce NaN or Infinity")
    text = show(total)
    kept = DecimalText(text) if is_int64(text) else text
    if value is None:
        db.add(key, kept)
    else:
        db.data[key] = kept
    db.changed(STRING, b"incrbyfloat", key)
    if s.core.sinks:
        s.core.propagate_as([b"SET", key, text, b"KEEPTTL"])
    return text


# -- LCS


@command("LCS")
def lcs(s: Session, args: Args) -> Reply:
    """Returns the longest common subsequence of two strings, its length or its places."""
    values = [s.db.read(key) for key in args[1:3]]
    if any(v is not None and type(v) not in STRING_TYPES for v in values):
        raise ResponseError("ERR The specified keys must contain string values")
    a, b = (bytes(v or b"") for v in values)
    flags, shortest = _parse_lcs_options(args)
    wants_places = b"IDX" in flags
    if wants_places and b"LEN" in flags:
        raise ResponseError(
            "ERR If you want both the length and indexes, please just use IDX."
        )
    if (len(a) + 1) * (len(b) + 1) * 4 > s.core.limits.string_size:
        raise ResponseError(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
        )
    length, text, runs = common_subsequence(a, b, traced=b"LEN" not in flags)
    if wants_places:
        shown = [
            _show_run(run, with_length=b"WITHMATCHLEN" in flags)
            for run in runs
            if run.length >= shortest
        ]
        return {b"matches": shown, b"len": length}
    return length if b"LEN" in flags else text


def _parse_lcs_options(args: Args) -> tuple[set[bytes], int]:
    """Return the flags given, and MINMATCHLEN."""
    flags: set[bytes] = set()
    shortest = 0
    words = iter(args[3:])
    for word in words:
        option = word.upper()
        if option in (b"IDX", b"LEN", b"WITHMATCHLEN"):
            flags.add(option)
        elif option == b"MINMATCHLEN" and (number := next(words, None)) is not None:
            shortest = to_int(number)
        else:
            raise syntax_error()
    return flags, shortest


def _show_run(run: Match, *, with_length: bool) -> list[Reply]:
    shown: list[Reply] = [list(run.first), list(run.second)]
    return [*shown, run.length] if with_length else shown
