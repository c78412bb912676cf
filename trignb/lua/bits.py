"""Lua's ``bit`` library: operations on 32-bit integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

__all__ = ["LIBRARY"]

_MASK: Final = 0xFFFFFFFF
_MAGIC: Final = 6755399441055744.0


class ArgumentError(Exception):
    """An argument Lua refuses; ``str(error)`` is the text."""


def to_bits(value: Any, position: int, name: str) -> int:
    """Return a Lua number as 32 bits, rounded as the original's arithmetic does."""
    if isinstance(value, bytes):
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        got = "no value" if value is None else _lua_type(value)
        raise ArgumentError(
            f"bad argument #{position} to '{name}' (number expected, got {got})"
        )
    if isinstance(value, float):
        value = int(value + _MAGIC - _MAGIC) if abs(value) < 2**51 else int(value)
    return int(value) & _MASK


def _lua_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, bytes) else "table"


def signed(bits: int) -> int:
    """Return 32 bits as a signed number."""
    return bits - (1 << 32) if bits & 0x80000000 else bits


def _fold(
    name: str, combine: Callable[[int, int], int]
) -> Callable[..., tuple[bool, Any]]:
    def operation(n: int, *values: Any) -> tuple[bool, Any]:
        numbers = [to_bits(v, i, name) for i, v in enumerate(values or (None,), 1)]
        total = numbers[0]
        for number in numbers[1:]:
            total = combine(total, number)
        return False, signed(total)

    return _guarded(operation)


def _shift(
    name: str, move: Callable[[int, int], int]
) -> Callable[..., tuple[bool, Any]]:
    def operation(n: int, value: Any = None, by: Any = None) -> tuple[bool, Any]:
        moved = move(to_bits(value, 1, name), to_bits(by, 2, name) & 31)
        return False, signed(moved & _MASK)

    return _guarded(operation)


def _guarded(
    operation: Callable[..., tuple[bool, Any]],
) -> Callable[..., tuple[bool, Any]]:
    def guarded(n: int, *values: Any) -> tuple[bool, Any]:
        try:
            return operation(n, *values)
        except ArgumentError as error:
            return True, str(error).encode()

    return guarded


def _tobit(n: int, value: Any = None) -> tuple[bool, Any]:
    return False, signed(to_bits(value, 1, "tobit"))


def _bnot(n: int, value: Any = None) -> tuple[bool, Any]:
    return False, signed(~to_bits(value, 1, "bnot") & _MASK)


def _bswap(n: int, value: Any = None) -> tuple[bool, Any]:
    raw = to_bits(value, 1, "bswap").to_bytes(4, "little")
    return False, signed(int.from_bytes(raw, "big"))


def _tohex(n: int, value: Any = None, digits: Any = None) -> tuple[bool, Any]:
    bits = to_bits(value, 1, "tohex")
    width = 8 if digits is None else signed(to_bits(digits, 2, "tohex"))
    text = b"%08x" % bits
    if width < 0:
        text, width = text.upper(), -width
    return False, text[8 - min(width, 8) :]


_FUNCTIONS: Final[dict[bytes, Callable[..., tuple[bool, Any]]]] = {
    b"tobit": _guarded(_tobit),
    b"bnot": _guarded(_bnot),
    b"bswap": _guarded(_bswap),
    b"tohex": _guarded(_tohex),
    b"band": _fold("band", lambda a, b: a & b),
    b"bor": _fold("bor", lambda a, b: a | b),
    b"bxor": _fold("bxor", lambda a, b: a ^ b),
    b"lshift": _shift("lshift", lambda a, n: a << n),
    b"rshift": _shift("rshift", lambda a, n: a >> n),
    b"arshift": _shift("arshift", lambda a, n: signed(a) >> n),
    b"rol": _shift("rol", lambda a, n: a << n | a >> (32 - n)),
    b"ror": _shift("ror", lambda a, n: a >> n | a << (32 - n)),
}

LIBRARY: Final[dict[bytes, dict[bytes, Any]]] = {
    b"functions": _FUNCTIONS,
    b"constants": {},
}
