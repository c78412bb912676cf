"""Bitmaps: strings seen as bits, and as integers of any width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from trignb.datatypes import STRING_TYPES
from trignb.datatypes.bits import (
    BIT_OPERATIONS,
    combine,
    count_bits,
    find_bit,
    fit,
    get_bit,
    grow,
    read_field,
    write_field,
)
from trignb.engine.args import INT64_MAX, syntax_error, to_int, wrong_type
from trignb.engine.events import GENERIC, STRING
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("bitmap")
command = family.command

Args = list[bytes]

_BAD_OFFSET: Final = "ERR bit offset is not an integer or out of range"
_BAD_BIT: Final = "ERR bit is not an integer or out of range"
_BAD_TYPE: Final = (
    "ERR Invalid bitfield type. Use something like i16 u8. "
    "Note that u64 is not supported but i64 is."
)
_UINT64: Final = (1 << 64) - 1
_BITS: Final = {b"0": 0, b"1": 1}

# A bit that is allowed whatever proto-max-bulk-len says, whose least value is 1 MB.
_ALWAYS_ALLOWED: Final = 1 << 23


# Looking up ------------------------------------------------------------------------


def _read(s: Session, key: bytes) -> bytes | bytearray | None:
    value = s.db.read(key)
    if value is not None and type(value) not in STRING_TYPES:
        raise wrong_type()
    return value  # type: ignore[no-any-return]


def _changeable(s: Session, key: bytes, last_bit: int) -> tuple[bytearray, bool]:
    """Return a string that reaches up to a bit, and whether it had to be made longer."""
    db = s.db
    value = db.lookup(key)
    size = (last_bit >> 3) + 1
    if value is None:
        value = bytearray(size)
        db.add(key, value)
        return value, True
    if type(value) is not bytearray:
        if type(value) not in STRING_TYPES:
            raise wrong_type()
        # The same key with the same deadline, only kept so that it can change in place.
        value = db.data[key] = bytearray(value)
    return value, grow(value, size)


def _to_offset(s: Session, text: bytes, width: int = 0) -> int:
    """Read the offset of a bit, for BITFIELD also ``#n``: n times the width."""
    counted = width and text[:1] == b"#"
    offset = to_int(text[1:] if counted else text, _BAD_OFFSET)
    if counted:
        # The product wraps as C's does.
        offset = (offset * width + INT64_MAX + 1 & _UINT64) - INT64_MAX - 1
    if 0 <= offset < _ALWAYS_ALLOWED:
        return offset
    core = s.core
    if offset < 0 or (
        offset >> 3 >= core.config.values["proto-max-bulk-len"] and not core.is_loading
    ):
        raise ResponseError(_BAD_OFFSET)
    return offset


# Single bits -----------------------------------------------------------------------


@command("SETBIT")
def setbit(s: Session, args: Args) -> int:
    """Sets or clears the bit at an offset and returns what it was; the string grows to hold it."""
    offset = _to_offset(s, args[2])
    bit = _BITS.get(args[3])
    if bit is None:
        raise ResponseError(_BAD_BIT)
    key = args[1]
    value, grown = _changeable(s, key, offset)
    byte, mask = offset >> 3, 0x80 >> (offset & 7)
    old = 1 if value[byte] & mask else 0
    if old != bit:
        value[byte] ^= mask
    elif not grown:
        return old
    s.db.changed(STRING, b"setbit", key)
    return old


@command("GETBIT")
def getbit(s: Session, args: Args) -> int:
    """Returns the bit at an offset, 0 beyond the end of the string."""
    offset = _to_offset(s, args[2])
    value = _read(s, args[1])
    return 0 if value is None else get_bit(value, offset)


# Whole strings ---------------------------------------------------------------------


@command("BITCOUNT")
def bitcount(s: Session, args: Args) -> int:
    """Counts the set bits of a string or of a range of its bytes or bits."""
    # The key comes first: for one that is absent the other arguments are not looked at.
    value = _read(s, args[1])
    if value is None:
        return 0
    start, end, by_bit = 0, -1, False
    if len(args) in (4, 5):
        start, end = to_int(args[2]), to_int(args[3])
        by_bit = len(args) == 5 and _is_bit(args[4])
    elif len(args) != 2:
        raise syntax_error()
    if end < start < 0:
        return 0
    first, last = _bit_range(len(value), start, end, by_bit=by_bit)
    return count_bits(value, first, last) if first <= last else 0


@command("BITPOS")
def bitpos(s: Session, args: Args) -> int:
    """Finds the first bit that is set, or clear, in a string or a range of it."""
    bit = to_int(args[2])
    if bit not in (0, 1):
        raise ResponseError("ERR The bit argument must be 1 or 0.")
    value = _read(s, args[1])
    if value is None:
        return -1 if bit else 0
    start, end, by_bit = 0, -1, False
    if len(args) > 6:
        raise syntax_error()
    if len(args) > 3:
        start = to_int(args[3])
    if len(args) == 6:
        by_bit = _is_bit(args[5])
    if len(args) > 4:
        end = to_int(args[4])
    first, last = _bit_range(len(value), start, end, by_bit=by_bit)
    if first > last:
        return -1
    found = find_bit(value, bit, first, last)
    if found < 0 and not bit and len(args) < 5:
        # Without an end the string goes on with zeros.
        return len(value) * 8
    return found


def _is_bit(unit: bytes) -> bool:
    """Tell whether a range counts bits; it counts bytes otherwise."""
    unit = unit.lower()
    if unit not in (b"bit", b"byte"):
        raise syntax_error()
    return unit == b"bit"


def _bit_range(size: int, start: int, end: int, *, by_bit: bool) -> tuple[int, int]:
    """Return the first and the last bit of a range; nothing is in it if they are crossed."""
    total = size * 8 if by_bit else size
    start = max(start + total, 0) if start < 0 else start
    end = max(end + total, 0) if end < 0 else end
    end = min(end, total - 1)
    if by_bit or start > end:
        return start, end
    return start * 8, end * 8 + 7


@command("BITOP")
def bitop(s: Session, args: Args) -> int:
    """Combines strings by AND, OR, XOR or NOT and keeps the result under another key."""
    operation, target = args[1].lower(), args[2]
    if operation not in BIT_OPERATIONS:
        raise syntax_error()
    if operation == b"not" and len(args) != 4:
        raise ResponseError("ERR BITOP NOT must be called with a single source key.")
    values = [_read(s, key) or b"" for key in args[3:]]
    result = combine(operation, values)
    db = s.db
    if result:
        # In place, as it were: never an integer to Redis, whatever the bytes.
        db.assign(target, bytearray(result))
        db.changed(STRING, b"set", target)
    elif db.remove(target):
        db.changed(GENERIC, b"del", target)
    return len(result)


# Integers --------------------------------------------------------------------------


class _Step(NamedTuple):
    """One operation of BITFIELD."""

    name: bytes
    signed: bool
    width: int
    offset: int
    number: int
    overflow: bytes


@command("BITFIELD")
def bitfield(s: Session, args: Args) -> list[int | None]:
    """Reads, sets and increments integers of any width at any bit of a string."""
    steps = _parse_steps(s, args)
    ends = [step.offset + step.width - 1 for step in steps if step.name != b"get"]
    if not ends:
        return _read_fields(s, args[1], steps)
    key = args[1]
    value, grown = _changeable(s, key, max(ends))
    replies = []
    changes = 0
    for step in steps:
        reply, old, new = _run_step(value, step)
        replies.append(reply)
        if new is not None and (grown or new != old):
            changes += 1
    if changes:
        s.db.changed(STRING, b"setbit", key, changes)
    return replies


@command("BITFIELD_RO")
def bitfield_ro(s: Session, args: Args) -> list[int | None]:
    """Reads integers of any width at any bit of a string."""
    steps = _parse_steps(s, args)
    if any(step.name != b"get" for step in steps):
        raise ResponseError("ERR BITFIELD_RO only supports the GET subcommand")
    return _read_fields(s, args[1], steps)


def _read_fields(s: Session, key: bytes, steps: list[_Step]) -> list[int | None]:
    value = _read(s, key) or b""
    return [
        read_field(value, step.offset, step.width, signed=step.signed) for step in steps
    ]


def _run_step(
    value: bytearray, step: _Step
) -> tuple[int | None, int | None, int | None]:
    """Return the reply to an operation, what was there, and what it wrote, if it did."""
    old = read_field(value, step.offset, step.width, signed=step.signed)
    if step.name == b"get":
        return old, None, None
    if step.name == b"incrby":
        number = old + step.number
    elif step.signed:
        number = step.number
    else:
        number = step.number & _UINT64
    new = fit(number, step.width, signed=step.signed, overflow=step.overflow)
    if new is None:
        return None, None, None
    write_field(value, step.offset, step.width, new)
    return (new if step.name == b"incrby" else old), old, new


def _parse_steps(s: Session, args: Args) -> list[_Step]:
    steps = []
    overflow = b"wrap"
    at, n = 2, len(args)
    while at < n:
        name, rest = args[at].lower(), n - at - 1
        if name == b"overflow" and rest >= 1:
            overflow = args[at + 1].lower()
            if overflow not in (b"wrap", b"sat", b"fail"):
                raise ResponseError("ERR Invalid OVERFLOW type specified")
            at += 2
            continue
        size = 2 if name == b"get" else 3
        if name not in (b"get", b"set", b"incrby") or rest < size:
            raise syntax_error()
        signed, width = _to_field_type(args[at + 1])
        offset = _to_offset(s, args[at + 2], width)
        number = 0 if name == b"get" else to_int(args[at + 3])
        steps.append(_Step(name, signed, width, offset, number, overflow))
        at += size + 1
    return steps


def _to_field_type(text: bytes) -> tuple[bool, int]:
    """Read ``i16`` or ``u8``: whether it is signed, and its width."""
    if text[:1] not in (b"i", b"u"):
        raise ResponseError(_BAD_TYPE)
    signed = text[:1] == b"i"
    width = to_int(text[1:].split(b"\0")[0], _BAD_TYPE)
    if not 1 <= width <= (64 if signed else 63):
        raise ResponseError(_BAD_TYPE)
    return signed, width
