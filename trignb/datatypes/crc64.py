"""CRC-64 as RDB files and DUMP payloads carry it (Jones's polynomial, reflected, no inversion).

A byte at a time through a table takes 60 ns a byte, two seconds for the file of a million keys. So what is long is
folded first: Python shifts and XORs integers of any size at the speed of memory, and P, the polynomial,
divides one that has only nine terms,

    Q = x^(2k) + the sum of x^e over `_EXPONENTS`, k = 2^16, every e below k.

The first k bits of the data, the highest powers, can thus be replaced by eight copies of them further down, modulo
Q and so modulo P. Squaring Q doubles all exponents, which gives the same rule for longer pieces.
"""

from __future__ import annotations

from functools import cache
from typing import Final

__all__ = ["crc64"]

_POLYNOMIAL: Final = 0x95AC9329AC4BC9B5

_EXPONENTS: Final = (945, 4076, 7032, 7753, 26770, 26849, 31568, 55700)
_FOLD_BITS: Final = 1 << 16
# Shorter data goes through the table at once.
_FOLDED_FROM: Final = 3 * _FOLD_BITS // 8
# So much is folded in one go; longer pieces gain nothing.
_PIECE: Final = 1 << 19


@cache
def _tables() -> tuple[list[int], list[int]]:
    """Return what one byte does to the sum, and what a byte that another follows does."""
    one = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        one.append(crc)
    return one, [one[crc & 0xFF] ^ (crc >> 8) for crc in one]


def crc64(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """Return the checksum of `data`, or go on from the one of what stands before it."""
    if len(data) < _FOLDED_FROM:
        return _by_table(bytes(data), crc)
    view = memoryview(data)
    for start in range(0, len(view), _PIECE):
        piece = view[start : start + _PIECE]
        # The sum so far has the place of the first eight bytes.
        if len(piece) < _FOLDED_FROM:
            crc = _by_table(bytes(piece), crc)
        else:
            crc = _by_table(
                _folded(int.from_bytes(piece, "little") ^ crc, len(piece)), 0
            )
    return crc


def _folded(bits: int, size: int) -> bytes:
    """Return fewer bytes with the same checksum; the first byte is the lowest one."""
    rest = 8 * size
    k, factor = _FOLD_BITS, 1
    while rest >= 6 * k * factor:
        factor *= 2
    while factor:
        step = k * factor
        mask = (1 << step) - 1
        while rest >= 3 * step:
            head = bits & mask
            bits >>= step
            for e in _EXPONENTS:
                bits ^= head << (step - e * factor)
            rest -= step
        factor //= 2
    return bits.to_bytes((rest + 7) // 8, "little")


def _by_table(data: bytes, crc: int) -> int:
    one, two = _tables()
    # Two bytes a turn: 1.4 times as fast as one, four are no better.
    for low, high in zip(data[::2], data[1::2], strict=False):
        crc = (crc >> 16) ^ two[(crc & 0xFF) ^ low] ^ one[((crc >> 8) & 0xFF) ^ high]
    if len(data) & 1:
        crc = (crc >> 8) ^ one[(crc & 0xFF) ^ data[-1]]
    return crc
