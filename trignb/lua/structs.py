"""Lua's ``struct``: values to bytes and back by a format string.

Letters: ``b B h H l L i I`` integers (``i``/``I`` with a size), ``T`` size_t, ``f d`` floats, ``s`` a
string that ends with NUL, ``c`` a string of fixed length, ``x`` padding, ``> <`` the order of bytes,
``!`` alignment, blanks are skipped.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from trignb.lua.arguments import ArgumentError, integer, number, text_of, to_int64

__all__ = ["LIBRARY"]

_LETTERS: Final = frozenset("bBhHlLTiIfdscx")
_SIZES: Final = {"b": 1, "h": 2, "l": 8, "i": 4, "t": 8}
_NATIVE_ALIGNMENT: Final = 8
_LARGEST: Final = 32
_LONG: Final = (1 << 64) - 1
_INT_MAX: Final = (1 << 31) - 1


Answer = tuple[Any, ...]


class FormatError(Exception):
    """What struct raises as a Lua error."""


@dataclass(slots=True)
class _Layout:
    little: bool = True
    alignment: int = 1
    at: int = 0

    @property
    def order(self) -> str:
        return "little" if self.little else "big"


@dataclass(frozen=True, slots=True)
class _Item:
    """One letter of a format: its size and the padding in front of it."""

    code: str
    size: int
    little: bool


def _items(form: bytes, layout: _Layout) -> Iterator[_Item]:
    text = form.decode("latin-1")
    at = 0
    while at < len(text):
        code = text[at]
        at += 1
        start = at
        if code in "iIc!":
            while at < len(text) and text[at].isdigit():
                at += 1
        number = int(text[start:at]) if at > start else None
        if number is not None and number > _INT_MAX:
            raise FormatError("integral size overflow")
        if code == " ":
            continue
        if code in "<>":
            layout.little = code == "<"
        elif code == "!":
            layout.alignment = _NATIVE_ALIGNMENT if number is None else number
            if layout.alignment & (layout.alignment - 1) or not layout.alignment:
                raise FormatError(f"alignment {layout.alignment} is not a power of 2")
        else:
            yield _Item(code, _size(code, number), layout.little)


def _size(code: str, number: int | None) -> int:
    if code in "iI":
        size = 4 if number is None else number
        if size > _LARGEST:
            raise FormatError(
                f"integral size {size} is larger than limit of {_LARGEST}"
            )
        return size
    if code == "c":
        return 1 if number is None else number
    if code in "bBhHlLT":
        return _SIZES[code.lower()]
    if code in "fd":
        return 4 if code == "f" else 8
    if not code.isalnum():
        raise ArgumentError.bad(1, f"invalid format option '{code}'")
    return 1 if code == "x" else 0


def _padding(item: _Item, layout: _Layout) -> int:
    size = item.size
    if item.code in "scx" or size <= 1 or layout.alignment == 1:
        return 0
    align = min(size, layout.alignment)
    return -layout.at % align


def _pack(n: int, *args: Any) -> Answer:
    form = text_of(args, 1)
    # A value that is missing counts as nil.
    args = (*args, None)
    layout, out, position = _Layout(), bytearray(), 2
    for item in _items(form, layout):
        layout.at = len(out)
        out += b"\0" * _padding(item, layout)
        if item.code == "x":
            out.append(0)
            continue
        out += _pack_value(item, args, position)
        position += 1
    return (bytes(out),)


def _pack_value(item: _Item, args: tuple[Any, ...], position: int) -> bytes:
    if item.code not in _LETTERS:
        raise ArgumentError.bad(1, f"invalid format option '{item.code}'")
    if item.code in "sc":
        text = text_of(args, position)
        size = item.size or len(text)
        if len(text) < size:
            raise ArgumentError.bad(position + 1, "string too short")
        return text + b"\0" if item.code == "s" else text[:size]
    value = number(args, position)
    if item.code in "fd":
        return _float_bytes(item, value)
    bits = _to_bits(value) & (1 << 8 * item.size) - 1
    return bits.to_bytes(item.size, "little" if item.little else "big")


def _to_bits(value: float) -> int:
    """Return a number as C's conversions to 64 bits leave it on x86."""
    if value < 0:
        return to_int64(value) & _LONG
    if value != value:
        return 1 << 63
    return int(value) if value <= _LONG and not math.isinf(value) else 0


def _float_bytes(item: _Item, value: float) -> bytes:
    form = ("<" if item.little else ">") + item.code
    try:
        return struct.pack(form, value)
    except OverflowError:
        return struct.pack(form, math.inf if value > 0 else -math.inf)


def _unpack(n: int, *args: Any) -> Answer:
    form, data = text_of(args, 1), text_of(args, 2)
    offset = integer(args, 3, 1)
    if offset == 0:
        raise ArgumentError.bad(3, "offset must be 1 or greater")
    if offset < 0:
        # Without a sign, far behind the end.
        raise ArgumentError.bad(2, "data string too short")
    layout = _Layout()
    layout.at = offset - 1
    values: list[Any] = []
    for item in _items(form, layout):
        layout.at += _padding(item, layout)
        size = item.size
        if layout.at + size > len(data):
            raise ArgumentError.bad(2, "data string too short")
        if item.code not in _LETTERS:
            raise ArgumentError.bad(1, f"invalid format option '{item.code}'")
        if item.code == "s":
            end = data.find(b"\0", layout.at)
            if end < 0:
                raise FormatError("unfinished string in data")
            values.append(data[layout.at : end])
            layout.at = end + 1
            continue
        if item.code == "c" and not size:
            size = _length_before(values)
            if layout.at + size > len(data):
                raise ArgumentError.bad(2, "data string too short")
        raw = data[layout.at : layout.at + size]
        layout.at += size
        if item.code != "x":
            values.append(_unpack_value(item, raw))
    return (*values, layout.at + 1)


def _length_before(values: list[Any]) -> int:
    if not values or not isinstance(values[-1], (int, float)):
        raise FormatError("format 'c0' needs a previous size")
    return to_int64(values.pop())


def _unpack_value(item: _Item, raw: bytes) -> Any:
    if item.code == "c":
        return raw
    if item.code in "fd":
        return struct.unpack(("<" if item.little else ">") + item.code, raw)[0]
    # What is longer than C's longest integer gives its low end.
    raw = raw[:8] if item.little else raw[-8:]
    value = int.from_bytes(
        raw, "little" if item.little else "big", signed=item.code.islower()
    )
    return float(value) if abs(value) > 2**53 else value


def _size_of(n: int, *args: Any) -> Answer:
    layout = _Layout()
    for item in _items(text_of(args, 1), layout):
        if item.code == "s":
            raise ArgumentError.bad(1, "option 's' has no fixed size")
        if item.code == "c" and not item.size:
            raise ArgumentError.bad(1, "option 'c0' has no fixed size")
        layout.at += _padding(item, layout) + item.size
    return (layout.at,)


def _guarded(work: Callable[..., Answer]) -> Callable[..., Answer]:
    def call(n: int, *args: Any) -> Answer:
        try:
            return (False, *work(n, *args))
        except (FormatError, ArgumentError) as error:
            return True, str(error).encode("utf-8", "surrogateescape")

    return call


LIBRARY: Final[dict[bytes, dict[bytes, Any]]] = {
    b"functions": {b"pack": _guarded(_pack), b"size": _guarded(_size_of)},
    b"many": {b"unpack": _guarded(_unpack)},
    b"constants": {},
}
