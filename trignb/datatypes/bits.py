"""Bits of a string: bit 0 is the highest bit of the first byte, and beyond the end all bits are 0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = [
    "BIT_OPERATIONS",
    "combine",
    "count_bits",
    "find_bit",
    "fit",
    "get_bit",
    "grow",
    "read_field",
    "write_field",
]

_Bytes = bytes | bytearray

BIT_OPERATIONS: Final = (b"and", b"or", b"xor", b"not")

# A byte that has a clear bit, a byte that has a set one.
_HOLDS = (re.compile(rb"[^\xff]"), re.compile(rb"[^\x00]"))


def get_bit(value: _Bytes, offset: int) -> int:
    """Return the bit at `offset`."""
    byte = offset >> 3
    return (value[byte] >> (~offset & 7)) & 1 if byte < len(value) else 0


def grow(value: bytearray, size: int) -> bool:
    """Pad with zero bytes up to `size`; tell whether anything was added."""
    missing = size - len(value)
    if missing <= 0:
        return False
    value.extend(bytes(missing))
    return True


def count_bits(value: _Bytes, first: int, last: int) -> int:
    """Return how many bits from `first` to `last`, both included, are set."""
    number = int.from_bytes(value[first >> 3 : (last >> 3) + 1], "big")
    number >>= ~last & 7
    if first & 7:
        number &= (1 << (last - first + 1)) - 1
    return number.bit_count()


def find_bit(value: _Bytes, bit: int, first: int, last: int) -> int:
    """Return where the first bit like `bit` is from `first` to `last`, -1 if nowhere."""
    flip = 0 if bit else 0xFF
    byte = first >> 3
    found = (value[byte] ^ flip) & (0xFF >> (first & 7))
    if not found:
        match = _HOLDS[bit].search(value, byte + 1, (last >> 3) + 1)
        if match is None:
            return -1
        byte = match.start()
        found = value[byte] ^ flip
    position = byte * 8 + 8 - found.bit_length()
    return position if position <= last else -1


def combine(operation: bytes, values: Sequence[_Bytes]) -> bytes:
    """Return values combined by one of `BIT_OPERATIONS`, as long as the longest."""
    size = max(map(len, values))
    # Little-endian, so that a short value is padded at its end.
    numbers = [int.from_bytes(value, "little") for value in values]
    result = numbers[0]
    if operation == b"not":
        result ^= (1 << (8 * size)) - 1
    for number in numbers[1:]:
        if operation == b"and":
            result &= number
        elif operation == b"or":
            result |= number
        else:
            result ^= number
    return result.to_bytes(size, "little")


def read_field(value: _Bytes, offset: int, width: int, *, signed: bool) -> int:
    """Return the integer of `width` bits at `offset`."""
    start, end = offset >> 3, (offset + width + 7) >> 3
    number = int.from_bytes(value[start:end].ljust(end - start, b"\0"), "big")
    number >>= -(offset + width) & 7
    number &= (1 << width) - 1
    if signed and number >> (width - 1):
        number -= 1 << width
    return number


def write_field(value: bytearray, offset: int, width: int, number: int) -> None:
    """Write an integer of `width` bits at `offset`; the string is long enough."""
    start, end = offset >> 3, (offset + width + 7) >> 3
    shift = -(offset + width) & 7
    mask = ((1 << width) - 1) << shift
    whole = int.from_bytes(value[start:end], "big") & ~mask
    whole |= (number << shift) & mask
    value[start:end] = whole.to_bytes(end - start, "big")


def fit(number: int, width: int, *, signed: bool, overflow: bytes) -> int | None:
    """Return a number as `width` bits hold it, None where it may not overflow.

    ``overflow`` is what happens to one that is too big: ``wrap``, ``sat`` or ``fail``.
    """
    low, high = 0, (1 << width) - 1
    if signed:
        low, high = -(1 << (width - 1)), high >> 1
    if low <= number <= high:
        return number
    if overflow == b"fail":
        return None
    if overflow == b"sat":
        return high if number > high else low
    number &= (1 << width) - 1
    return number - (1 << width) if number > high else number
