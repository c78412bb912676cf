"""Lua's ``bit`` library: operations on 32-bit integers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from trignb.lua.arguments import ArgumentError, number

__all__ = ["LIBRARY"]

_MASK: Final = 0xFFFFFFFF
# Adding it to a number leaves the rounded number in the low bits of the double.
_MAGIC: Final = 6755399441055744.0

Answer = tuple[bool, Any]


def to_bits(args: tuple[Any, ...], position: int) -> int:
    """Return an argument as 32 bits, rounded as the original's arithmetic does."""
    value = float(number(args, position))
    # The low half of the double's bits, whatever became of the rest.
    (bits,) = struct.unpack("<Q", struct.pack("<d", value + _MAGIC))
    return int(bits) & _MASK


def signed(bits: int) -> int:
    """Return 32 bits as a signed number."""
    return bits - (1 << 32) if bits & 0x80000000 else bits


def _guarded(operation: Callable[..., int | bytes]) -> Callable[..., Answer]:
    def guarded(n: int, *args: Any) -> Answer:
        try:
            return False, operation(args)
        except ArgumentError as error:
            return True, str(error).encode()

    return guarded


def _fold(combine: Callable[[int, int], int]) -> Callable[..., int]:
    def operation(args: tuple[Any, ...]) -> int:
        total = to_bits(args, 1)
        for position in range(2, len(args) + 1):
            total = combine(total, to_bits(args, position))
        return signed(total)

    return operation


def _shift(move: Callable[[int, int], int]) -> Callable[..., int]:
    def operation(args: tuple[Any, ...]) -> int:
        value, by = to_bits(args, 1), to_bits(args, 2)
        return signed(move(value, by & 31) & _MASK)

    return operation


def _tobit(args: tuple[Any, ...]) -> int:
    return signed(to_bits(args, 1))


def _bnot(args: tuple[Any, ...]) -> int:
    return signed(~to_bits(args, 1) & _MASK)


def _bswap(args: tuple[Any, ...]) -> int:
    raw = to_bits(args, 1).to_bytes(4, "little")
    return signed(int.from_bytes(raw, "big"))


def _tohex(args: tuple[Any, ...]) -> bytes:
    bits = to_bits(args, 1)
    width = 8 if len(args) < 2 else signed(to_bits(args, 2))
    text = b"%08x" % bits
    if width < 0:
        text, width = text.upper(), -width
    return text[8 - min(width, 8) :]


_FUNCTIONS: Final[dict[bytes, Callable[..., int | bytes]]] = {
    b"tobit": _tobit,
    b"bnot": _bnot,
    b"bswap": _bswap,
    b"tohex": _tohex,
    b"band": _fold(lambda a, b: a & b),
    b"bor": _fold(lambda a, b: a | b),
    b"bxor": _fold(lambda a, b: a ^ b),
    b"lshift": _shift(lambda a, n: a << n),
    b"rshift": _shift(lambda a, n: a >> n),
    b"arshift": _shift(lambda a, n: signed(a) >> n),
    b"rol": _shift(lambda a, n: a << n | a >> (32 - n)),
    b"ror": _shift(lambda a, n: a >> n | a << (32 - n)),
}

LIBRARY: Final[dict[bytes, dict[bytes, Any]]] = {
    b"functions": {name: _guarded(work) for name, work in _FUNCTIONS.items()},
    b"constants": {},
}
