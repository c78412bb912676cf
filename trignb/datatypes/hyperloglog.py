"""HyperLogLog, byte for byte as Redis keeps it in a string.

A header of 16 bytes (``HYLL``, the representation, three zero bytes, the cached cardinality with its top bit
as the sign that it is stale), then 16384 registers: dense, 6 bits each from the low end, or sparse, runs of
equal registers:

=================  ==================================================
``00nnnnnn``       n + 1 registers are 0
``01nnnnnn`` n..   n + 1 registers are 0, n of 14 bits
``1vvvvvnn``       n + 1 registers are v + 1
=================  ==================================================

Work on many registers is done on strings of one byte per register ("raw") with arithmetic on long integers.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from typing import Final

__all__ = [
    "DENSE_SIZE",
    "REGISTERS",
    "CorruptedHyperLogLog",
    "add",
    "cached_count",
    "count",
    "decode",
    "densify",
    "estimate",
    "is_hyperloglog",
    "is_sparse",
    "merge_registers",
    "new",
    "set_registers",
    "store_count",
    "to_registers",
]

REGISTERS: Final = 1 << 14
DENSE_SIZE: Final = 16 + REGISTERS * 6 // 8

_HEADER: Final = 16
_DENSE, _SPARSE = 0, 1
_HASH_BITS: Final = 50
_ALPHA: Final = 0.721347520444481703680
_SEED: Final = 0xADC83B19
_MULTIPLIER: Final = 0xC6A4A7935BD1E995
_UINT64: Final = (1 << 64) - 1
_MAX_VALUE: Final = 32
_MAX_VALUE_RUN: Final = 4
_MAX_SHORT_ZEROS: Final = 64

# How many registers an opcode of one byte covers.
_SPANS: Final = bytes(
    (byte & 3) + 1 if byte & 0x80 else (byte & 63) + 1 for byte in range(256)
)

# Sparse strings whose runs are remembered.
_KNOWN_RUNS: Final = 32


class CorruptedHyperLogLog(Exception):
    """The opcodes of a sparse representation do not add up."""


def new() -> bytearray:
    """Return an empty one."""
    return bytearray(
        b"HYLL" + bytes([_SPARSE]) + bytes(11) + _zeros(REGISTERS, is_long=True)
    )


def is_hyperloglog(value: bytes | bytearray) -> bool:
    """Tell whether a string looks like one."""
    return (
        len(value) >= _HEADER
        and value[:4] == b"HYLL"
        and value[4] <= _SPARSE
        and (value[4] == _SPARSE or len(value) == DENSE_SIZE)
    )


def is_sparse(value: bytes | bytearray) -> bool:
    """Tell which representation is used."""
    return value[4] == _SPARSE


# Counting --------------------------------------------------------------------------


def cached_count(value: bytes | bytearray) -> int | None:
    """Return the cardinality kept in the header, None when it is stale."""
    if value[15] & 0x80:
        return None
    return int.from_bytes(value[8:16], "little")


def store_count(value: bytearray, number: int) -> None:
    """Keep a cardinality in the header."""
    value[8:16] = number.to_bytes(8, "little")


def count(value: bytes | bytearray) -> int:
    """Return the cardinality, computed."""
    return estimate(to_registers(value))


def estimate(registers: bytes | bytearray) -> int:
    """Return the cardinality that raw registers stand for.

    Source: O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches",
    arXiv:1702.01284, as Redis computes it.
    """
    m = float(REGISTERS)
    z = m * _tau((m - registers.count(_HASH_BITS + 1)) / m)
    for rank in range(_HASH_BITS, 0, -1):
        z = (z + registers.count(rank)) * 0.5
    z += m * _sigma(registers.count(0) / m)
    number = _ALPHA * m * m / z
    # Halves are rounded up.
    whole = math.floor(number)
    return whole + (number - whole >= 0.5)


def _sigma(x: float) -> float:
    if x == 1.0:
        return math.inf
    y, z = 1.0, x
    while True:
        x *= x
        before = z
        z += x * y
        y += y
        if before == z:
            return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z = 1.0, 1 - x
    while True:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
        if before == z:
            return z / 3


# Raw registers ---------------------------------------------------------------------

_LOW_6: Final = bytes(byte & 63 for byte in range(256))
_HIGH_6: Final = bytes(byte >> 2 for byte in range(256))
_HIGH_2: Final = bytes(byte >> 6 for byte in range(256))
_LOW_4_UP: Final = bytes((byte & 15) << 2 for byte in range(256))
_HIGH_4: Final = bytes(byte >> 4 for byte in range(256))
_LOW_2_UP: Final = bytes((byte & 3) << 4 for byte in range(256))
_TO_TOP_2: Final = bytes((byte & 3) << 6 for byte in range(256))
_TO_TOP_4: Final = bytes((byte & 15) << 4 for byte in range(256))
_TIMES_4: Final = bytes((byte << 2) & 255 for byte in range(256))


def to_registers(value: bytes | bytearray) -> bytearray:
    """Return one byte per register."""
    if value[4] == _DENSE:
        return _unpack(value)
    registers = bytearray(REGISTERS)
    at = 0
    for rank, run, _ in decode(value):
        if rank:
            registers[at : at + run] = bytes([rank]) * run
        at += run
    if at != REGISTERS:
        raise CorruptedHyperLogLog
    return registers


def decode(value: bytes | bytearray) -> list[tuple[int, int, bool]]:
    """Return the runs of a sparse one: value of the registers, how many, if in two bytes."""
    runs = []
    at, end = _HEADER, len(value)
    while at < end:
        byte = value[at]
        if byte & 0x80:
            runs.append(((byte >> 2 & 31) + 1, (byte & 3) + 1, False))
        elif byte & 0x40:
            low = value[at + 1] if at + 1 < end else 0
            runs.append((0, (byte & 63) * 256 + low + 1, True))
            at += 1
        else:
            runs.append((0, byte + 1, False))
        at += 1
    return runs


def merge_registers(one: bytes | bytearray, other: bytes | bytearray) -> bytes:
    """Return the larger of each pair of raw registers."""
    # All registers at once: bit 7 of each byte survives where `one` is not the smaller.
    tops = int.from_bytes(b"\x80" * REGISTERS, "big")
    a, b = int.from_bytes(one, "big"), int.from_bytes(other, "big")
    mask = ((((a | tops) - b) & tops) >> 7) * 0xFF
    return ((a & mask) | (b & ~mask)).to_bytes(REGISTERS, "big")


def _or(one: bytes, other: bytes) -> bytes:
    number = int.from_bytes(one, "big") | int.from_bytes(other, "big")
    return number.to_bytes(len(one), "big")


def _unpack(value: bytes | bytearray) -> bytearray:
    """Return the raw registers of a dense representation, four from three bytes."""
    a, b, c = (bytes(value[_HEADER + i :: 3]) for i in range(3))
    registers = bytearray(REGISTERS)
    registers[0::4] = a.translate(_LOW_6)
    registers[1::4] = _or(a.translate(_HIGH_2), b.translate(_LOW_4_UP))
    registers[2::4] = _or(b.translate(_HIGH_4), c.translate(_LOW_2_UP))
    registers[3::4] = c.translate(_HIGH_6)
    return registers


def _pack(registers: bytes | bytearray) -> bytearray:
    """Return raw registers in 6 bits each."""
    r = [bytes(registers[i::4]) for i in range(4)]
    packed = bytearray(DENSE_SIZE - _HEADER)
    packed[0::3] = _or(r[0], r[1].translate(_TO_TOP_2))
    packed[1::3] = _or(r[1].translate(_HIGH_6), r[2].translate(_TO_TOP_4))
    packed[2::3] = _or(r[2].translate(_HIGH_4), r[3].translate(_TIMES_4))
    return packed


def densify(value: bytearray) -> bool:
    """Change to the dense representation; tell whether it was sparse."""
    if value[4] == _DENSE:
        return False
    value[_HEADER:] = _pack(to_registers(value))
    value[4] = _DENSE
    return True


# Changing --------------------------------------------------------------------------


def add(value: bytearray, element: bytes, sparse_limit: int) -> bool:
    """Count an element; tell whether a register changed.

    ``sparse_limit`` is the size in bytes at which a sparse one becomes dense.
    """
    hashed = _hash(element)
    register = hashed & (REGISTERS - 1)
    # The rank: one more than the zeros at the low end of the other 50 bits.
    hashed = hashed >> 14 | 1 << _HASH_BITS
    rank = (hashed & -hashed).bit_length()
    if value[4] == _DENSE:
        return _set_dense(value, register, rank)
    return _set_sparse(value, register, rank, sparse_limit)


def set_registers(value: bytearray, registers: bytes, sparse_limit: int) -> None:
    """Raise registers to the raw ones given, as PFMERGE does."""
    if value[4] == _SPARSE:
        for register, rank in enumerate(registers):
            if rank and value[4] == _SPARSE:
                _set_sparse(value, register, rank, sparse_limit)
    if value[4] == _DENSE:
        value[_HEADER:] = _pack(merge_registers(_unpack(value), registers))


def _hash(data: bytes) -> int:
    """Return MurmurHash64A."""
    n = len(data)
    h = _SEED ^ (n * _MULTIPLIER & _UINT64)
    for (k,) in struct.iter_unpack("<Q", data[: n & ~7]):
        k = k * _MULTIPLIER & _UINT64
        k = (k ^ k >> 47) * _MULTIPLIER & _UINT64
        h = (h ^ k) * _MULTIPLIER & _UINT64
    if n & 7:
        h ^= int.from_bytes(data[n & ~7 :], "little")
        h = h * _MULTIPLIER & _UINT64
    h = (h ^ h >> 47) * _MULTIPLIER & _UINT64
    return h ^ h >> 47


def _set_dense(value: bytearray, register: int, rank: int) -> bool:
    bit = register * 6
    at, shift = _HEADER + (bit >> 3), bit & 7
    if shift <= 2:
        old = value[at] >> shift & 63
        if old >= rank:
            return False
        value[at] += rank - old << shift
        return True
    pair = value[at] | value[at + 1] << 8
    old = pair >> shift & 63
    if old >= rank:
        return False
    pair += rank - old << shift
    value[at], value[at + 1] = pair & 255, pair >> 8
    return True


def _set_sparse(value: bytearray, register: int, rank: int, limit: int) -> bool:
    """Raise a register, splitting the run it is in and joining equal neighbours.

    Follows Redis step for step, since the bytes depend on the order of events.
    """
    if rank > _MAX_VALUE:
        return _set_promoted(value, register, rank)
    runs = _runs_of(value)
    number = runs.find(register)
    at, first, after = runs.places[number], runs.firsts[number], runs.firsts[number + 1]
    byte = value[at]
    old = (byte >> 2 & 31) + 1 if byte & 0x80 else 0
    if old >= rank:
        return False
    size = runs.places[number + 1] - at
    split = (
        _run(old, register - first) + _run(rank, 1) + _run(old, after - 1 - register)
    )
    length = len(value)
    if len(split) > size and length + len(split) - size > limit:
        return _set_promoted(value, register, rank)
    value[at : at + size] = split
    _join_runs(value, runs.places[number - 1] if number else at)
    runs.changed(number, len(value) - length)
    value[15] |= 0x80
    return True


def _set_promoted(value: bytearray, register: int, rank: int) -> bool:
    _known_runs.pop(id(value), None)
    densify(value)
    value[15] |= 0x80
    return _set_dense(value, register, rank)


class _Runs:
    """Where the runs of one sparse representation begin, so that none has to be counted again.

    ``firsts`` are their first registers, ``places`` their bytes; both end with what lies
    behind the last run. It holds for as long as the string's body is ``body``.
    """

    __slots__ = ("body", "firsts", "places", "value")

    def __init__(self, value: bytearray) -> None:
        self.value = value
        self.body = value[_HEADER:]
        self.firsts, self.places = _scan(value, _HEADER, len(value), 0)

    def find(self, register: int) -> int:
        """Return the number of the run a register is in."""
        run = bisect_right(self.firsts, register) - 1
        if run == len(self.firsts) - 1:
            raise CorruptedHyperLogLog
        return run

    def changed(self, run: int, growth: int) -> None:
        """Take note of a change around a run that made the string longer by `growth`."""
        # A change splits one run and joins some of the five from the one before on.
        start, stop = max(run - 1, 0), min(run + 8, len(self.firsts) - 1)
        firsts, places, value = self.firsts, self.places, self.value
        end = places[stop] + growth
        fresh = _scan(value, places[start], end, firsts[start])
        firsts[start : stop + 1] = fresh[0]
        places[start:] = [*fresh[1], *[at + growth for at in places[stop + 1 :]]]
        self.body = value[_HEADER:]


def _scan(
    value: bytearray, at: int, end: int, first: int
) -> tuple[list[int], list[int]]:
    firsts, places = [first], [at]
    while at < end:
        byte = value[at]
        if byte & 0xC0 == 0x40:
            first += (byte & 63) * 256 + (value[at + 1] if at + 1 < end else 0) + 1
            at += 2
        else:
            first += _SPANS[byte]
            at += 1
        firsts.append(first)
        places.append(at)
    return firsts, places


# The strings changed last, by identity; one that was changed by other means is read anew.
_known_runs: dict[int, _Runs] = {}


def _runs_of(value: bytearray) -> _Runs:
    runs = _known_runs.get(id(value))
    if runs is None or runs.value is not value or runs.body != value[_HEADER:]:
        if len(_known_runs) >= _KNOWN_RUNS:
            _known_runs.clear()
        runs = _known_runs[id(value)] = _Runs(value)
    return runs


def _run(rank: int, length: int) -> bytes:
    """Return the opcode of a run, nothing when it is empty."""
    if not length:
        return b""
    if rank:
        return bytes([0x80 | rank - 1 << 2 | length - 1])
    return _zeros(length, is_long=length > _MAX_SHORT_ZEROS)


def _zeros(length: int, *, is_long: bool) -> bytes:
    length -= 1
    return bytes([0x40 | length >> 8, length & 255] if is_long else [length])


def _join_runs(value: bytearray, at: int) -> None:
    """Join neighbours of equal value among the next five opcodes, where the run stays short."""
    steps = 5
    while at < len(value) and steps:
        steps -= 1
        byte = value[at]
        if not byte & 0x80:
            at += 2 if byte & 0x40 else 1
            continue
        if at + 1 < len(value):
            after = value[at + 1]
            length = (byte & 3) + (after & 3) + 2
            if byte & 0xFC == after & 0xFC and length <= _MAX_VALUE_RUN:
                value[at : at + 2] = _run((byte >> 2 & 31) + 1, length)
                continue
        at += 1
