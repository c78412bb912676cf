"""Lua's ``struct``: values to bytes and back by a format string.

Letters: ``b B h H l L i I`` integers (``i``/``I`` with a size), ``T`` size_t, ``f d`` floats, ``s`` a
string that ends with NUL, ``c`` a string of fixed length, ``x`` padding, ``> < =`` the order of bytes,
``!`` alignment, blanks are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["LIBRARY"]

_SIZES: Final = {"b": 1, "h": 2, "l": 8, "i": 4, "t": 8}
_NATIVE_ALIGNMENT: Final = 8
_LARGEST: Final = 32


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
    has_size: bool = field(default=False)


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
        if code == " ":
            continue
        if code in "<>=":
            layout.little = code != ">"
        elif code == "!":
            layout.alignment = _NATIVE_ALIGNMENT if number is None else number
            if layout.alignment & (layout.alignment - 1) or not layout.alignment:
                raise FormatError("alignment is not a power of 2")
        else:
            yield _Item(code, _size(code, number), layout.little, number is not None)


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
    if code in "sx":
        return 0 if code == "s" else 1
    raise FormatError(f"bad argument #1 to '{{name}}' (invalid format option '{code}')")


def _padding(item: _Item, layout: _Layout) -> int:
    size = item.size
    if item.code in "scx" or size <= 1 or layout.alignment == 1:
        return 0
    align = min(size, layout.alignment)
    return -layout.at % align


def _pack(n: int, *args: Any) -> tuple[bool, Any]:
    if not args or not isinstance(args[0], bytes):
        raise FormatError("bad argument #1 to 'pack' (string expected, got no value)")
    layout, out, values = _Layout(), bytearray(), list(args[1:])
    position = 2
    for item in _items(args[0], layout):
        layout.at = len(out)
        out += b"\0" * _padding(item, layout)
        if item.code == "x":
            out.append(0)
            continue
        if not values:
            raise FormatError(
                f"bad argument #{position} to 'pack' (number expected, got no value)"
                if item.code not in "sc"
                else f"bad argument #{position} to 'pack' (string expected, got no value)"
            )
        out += _pack_value(item, values.pop(0), position)
        position += 1
    return False, bytes(out)


def _pack_value(item: _Item, value: Any, position: int) -> bytes:
    if item.code in "sc":
        text = (
            value if isinstance(value, bytes) else b"%.14g" % _number(value, position)
        )
        if item.code == "s":
            return text + b"\0"
        size = item.size if item.size else len(text)
        if len(text) < size:
            raise FormatError(f"bad argument #{position} to 'pack' (string too short)")
        return text[:size]
    number = _number(value, position)
    if item.code in "fd":
        return struct.pack(("<" if item.little else ">") + item.code, number)
    bits = 8 * item.size
    order = "little" if item.little else "big"
    return (int(number) & ((1 << bits) - 1)).to_bytes(item.size, order)  # type: ignore[arg-type]


def _number(value: Any, position: int) -> float:
    if isinstance(value, bytes):
        try:
            return float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FormatError(f"bad argument #{position} to 'pack' (number expected)")
    return value


def _unpack(n: int, *args: Any) -> tuple[Any, ...]:
    if n < 2 or not isinstance(args[0], bytes) or not isinstance(args[1], bytes):
        raise FormatError("bad argument #1 to 'unpack' (string expected)")
    form, data = args[0], args[1]
    layout = _Layout()
    layout.at = int(args[2]) - 1 if len(args) > 2 and args[2] is not None else 0
    if layout.at < 0:
        raise FormatError("bad argument #3 to 'unpack' (offset must be 1 or greater)")
    values: list[Any] = []
    for item in _items(form, layout):
        layout.at += _padding(item, layout)
        size = item.size
        if item.code == "c" and item.has_size and not size:
            size = _length_before(values)
        if layout.at + size > len(data):
            raise FormatError("bad argument #2 to 'unpack' (data string too short)")
        if item.code == "s":
            end = data.find(b"\0", layout.at)
            if end < 0:
                raise FormatError(
                    "bad argument #2 to 'unpack' (unfinished string in data)"
                )
            values.append(data[layout.at : end])
            layout.at = end + 1
            continue
        raw = data[layout.at : layout.at + size]
        layout.at += size
        if item.code != "x":
            values.append(_unpack_value(item, raw))
    return (False, *values, layout.at + 1)


def _length_before(values: list[Any]) -> int:
    if not values or not isinstance(values[-1], (int, float)):
        raise FormatError("format 'c0' needs a previous size")
    return int(values.pop())


def _unpack_value(item: _Item, raw: bytes) -> Any:
    if item.code == "c":
        return raw
    if item.code in "fd":
        return struct.unpack(("<" if item.little else ">") + item.code, raw)[0]
    order = "little" if item.little else "big"
    number = int.from_bytes(raw, order, signed=item.code.islower())  # type: ignore[arg-type]
    return float(number) if abs(number) > 2**53 else number


def _calcsize(n: int, *args: Any) -> tuple[bool, Any]:
    layout = _Layout()
    form = args[0] if args and isinstance(args[0], bytes) else b""
    for item in _items(form, layout):
        if item.code == "s":
            raise FormatError("variable-size format for option 's'")
        if item.code == "c" and not item.size:
            raise FormatError("variable-length format for option 'c0'")
        layout.at += _padding(item, layout) + item.size
    return False, layout.at


def _guarded(name: str, work: Any) -> Any:
    def call(n: int, *args: Any) -> tuple[Any, ...]:
        try:
            return work(n, *args)  # type: ignore[no-any-return]
        except (FormatError, OverflowError, struct.error) as error:
            return True, str(error).replace("{name}", name).encode()

    return call


LIBRARY: Final[dict[bytes, dict[bytes, Any]]] = {
    b"functions": {
        b"pack": _guarded("pack", _pack),
        b"unpack": _guarded("unpack", _unpack),
        b"size": _guarded("size", _calcsize),
    },
    b"constants": {},
}
