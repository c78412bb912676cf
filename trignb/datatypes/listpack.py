"""How many bytes Redis's listpack would take: OBJECT ENCODING depends on it, nothing else does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["FRAME", "entry_size", "is_int64", "listpack_size"]

# Header and end mark of an empty listpack.
FRAME: Final = 7

# Payload bytes of a signed integer, by the number of bits it needs.
_INTEGER_SIZES: Final = ((13, 2), (16, 3), (24, 4), (32, 5), (64, 9))


def is_int64(text: bytes) -> bool:
    """Whether Redis would keep this text as a 64-bit integer: canonical decimal digits."""
    if not 0 < len(text) < 21:
        return False
    digits = text[1:] if text[0] == 0x2D else text
    if not digits.isdigit() or (digits[0] == 0x30 and text != b"0"):
        return False
    return len(text) < 19 or -(1 << 63) <= int(text) < 1 << 63


def entry_size(element: bytes) -> int:
    """Return the bytes of one entry, the length of the way back included."""
    n = len(element)
    if n < 21 and is_int64(element):
        size = _integer_size(int(element))
    else:
        size = n + (1 if n < 64 else 2 if n < 4096 else 5)
    if size <= 127:
        return size + 1
    return size + (2 if size < 16383 else 3 if size < 2097151 else 4)


def _integer_size(value: int) -> int:
    if 0 <= value <= 127:
        return 1
    for bits, size in _INTEGER_SIZES:
        if -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            return size
    raise OverflowError(value)


def listpack_size(elements: Iterable[bytes]) -> int:
    """Return the bytes of a listpack of these elements."""
    return FRAME + sum(map(entry_size, elements))
