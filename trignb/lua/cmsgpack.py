"""Lua's ``cmsgpack``: MessagePack to Lua values and back."""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import inf
from typing import Any, Final

__all__ = ["library"]

Answer = tuple[bool, Any]

# Deeper tables are cut off as nil, as the original does.
_DEEPEST: Final = 16


class PackError(Exception):
    """What cmsgpack raises as a Lua error."""


class Codec:
    """Packs and unpacks for one Lua state."""

    def __init__(
        self, table: Callable[[Any], Any], is_table: Callable[[Any], bool]
    ) -> None:
        self.table = table
        self.is_table = is_table

    # -- packing

    def pack(self, value: Any, depth: int = 0) -> bytes:
        """Return one value's bytes."""
        if value is None or depth > _DEEPEST:
            return b"\xc0"
        if value is True or value is False:
            return b"\xc3" if value else b"\xc2"
        if isinstance(value, bytes):
            return _pack_bytes(value)
        if isinstance(value, (int, float)):
            return _pack_number(value)
        if self.is_table(value):
            return self._pack_table(value, depth)
        return b"\xc0"

    def _pack_table(self, value: Any, depth: int) -> bytes:
        items = list(value.items())
        keys = [key for key, _ in items]
        if _is_array(keys):
            parts = [self.pack(value[at], depth + 1) for at in range(1, len(keys) + 1)]
            return _header(len(parts), 0x90, 0xDC) + b"".join(parts)
        body = b"".join(
            self.pack(key, depth + 1) + self.pack(item, depth + 1)
            for key, item in items
        )
        return _header(len(items), 0x80, 0xDE) + body

    # -- unpacking

    def unpack(self, data: bytes, at: int) -> tuple[Any, int]:
        """Return the value at an offset and the offset behind it."""
        try:
            return self._unpack(data, at)
        except (IndexError, struct.error):
            raise PackError("Missing bytes in input.") from None

    def _unpack(self, data: bytes, at: int) -> tuple[Any, int]:
        code = data[at]
        at += 1
        if code < 0x80:
            return code, at
        if code >= 0xE0:
            return code - 256, at
        if code < 0x90:
            return self._map(data, at, code & 15)
        if code < 0xA0:
            return self._array(data, at, code & 15)
        if code < 0xC0:
            return _take(data, at, code & 31)
        if code in _CONSTANTS:
            return _CONSTANTS[code], at
        if code in _NUMBERS:
            form = _NUMBERS[code]
            (number,) = form.unpack_from(data, at)
            return number, at + form.size
        if code in _LENGTHS:
            form, kind = _LENGTHS[code]
            (n,) = form.unpack_from(data, at)
            at += form.size
            if kind == "bytes":
                return _take(data, at, n)
            return (self._array if kind == "array" else self._map)(data, at, n)
        raise PackError("Bad data format in input.")

    def _array(self, data: bytes, at: int, n: int) -> tuple[Any, int]:
        items = {}
        for i in range(1, n + 1):
            items[i], at = self._unpack(data, at)
        return self.table({k: v for k, v in items.items() if v is not None}), at

    def _map(self, data: bytes, at: int, n: int) -> tuple[Any, int]:
        pairs = {}
        for _ in range(n):
            key, at = self._unpack(data, at)
            pairs[key], at = self._unpack(data, at)
        return self.table(pairs), at


_CONSTANTS: Final = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS: Final = {
    0xCA: struct.Struct(">f"),
    0xCB: struct.Struct(">d"),
    0xCC: struct.Struct(">B"),
    0xCD: struct.Struct(">H"),
    0xCE: struct.Struct(">I"),
    0xCF: struct.Struct(">Q"),
    0xD0: struct.Struct(">b"),
    0xD1: struct.Struct(">h"),
    0xD2: struct.Struct(">i"),
    0xD3: struct.Struct(">q"),
}
_LENGTHS: Final = {
    0xC4: (struct.Struct(">B"), "bytes"),
    0xC5: (struct.Struct(">H"), "bytes"),
    0xC6: (struct.Struct(">I"), "bytes"),
    0xD9: (struct.Struct(">B"), "bytes"),
    0xDA: (struct.Struct(">H"), "bytes"),
    0xDB: (struct.Struct(">I"), "bytes"),
    0xDC: (struct.Struct(">H"), "array"),
    0xDD: (struct.Struct(">I"), "array"),
    0xDE: (struct.Struct(">H"), "map"),
    0xDF: (struct.Struct(">I"), "map"),
}


def _take(data: bytes, at: int, n: int) -> tuple[bytes, int]:
    if at + n > len(data):
        raise PackError("Missing bytes in input.")
    return data[at : at + n], at + n


def _is_array(keys: list[Any]) -> bool:
    n = len(keys)
    return n > 0 and all(
        isinstance(k, int) and not isinstance(k, bool) and 0 < k <= n for k in keys
    )


def _header(n: int, fix: int, code: int) -> bytes:
    if n < 16:
        return bytes((fix | n,))
    if n < 1 << 16:
        return struct.pack(">BH", code, n)
    return struct.pack(">BI", code + 1, n)


def _pack_bytes(text: bytes) -> bytes:
    n = len(text)
    if n < 32:
        return bytes((0xA0 | n,)) + text
    if n < 256:
        return struct.pack(">BB", 0xD9, n) + text
    if n < 1 << 16:
        return struct.pack(">BH", 0xDA, n) + text
    return struct.pack(">BI", 0xDB, n) + text


def _fits(number: float) -> bool:
    """Whether a number has a place among C's floats, infinity included."""
    return abs(number) < 3e38 or abs(number) == inf


def _pack_number(number: float) -> bytes:
    if isinstance(number, float):
        if number != int(number) if abs(number) < 2**63 else True:
            single = struct.pack(">f", number) if _fits(number) else b""
            if single and struct.unpack(">f", single)[0] == number:
                return b"\xca" + single
            return struct.pack(">Bd", 0xCB, number)
        number = int(number)
    return _pack_integer(number)


def _pack_integer(n: int) -> bytes:
    if 0 <= n < 128:
        return bytes((n,))
    if -32 <= n < 0:
        return bytes((n & 0xFF,))
    for low, high, code, form in _INTEGERS:
        if low <= n <= high:
            return struct.pack(">B" + form, code, n)
    return struct.pack(">Bd", 0xCB, float(n))


_INTEGERS: Final = (
    (0, 0xFF, 0xCC, "B"),
    (0, 0xFFFF, 0xCD, "H"),
    (0, 0xFFFFFFFF, 0xCE, "I"),
    (0, 2**64 - 1, 0xCF, "Q"),
    (-(2**7), -1, 0xD0, "b"),
    (-(2**15), -1, 0xD1, "h"),
    (-(2**31), -1, 0xD2, "i"),
    (-(2**63), -1, 0xD3, "q"),
)


def library(
    table: Callable[[Any], Any], is_table: Callable[[Any], bool]
) -> dict[bytes, dict[bytes, Any]]:
    """Return the library as functions that answer (failed, values…)."""
    codec = Codec(table, is_table)

    def pack(n: int, *args: Any) -> Answer:
        if n == 0:
            return True, b"bad argument #0 to 'pack' (MessagePack pack needs input.)"
        values = args + (None,) * (n - len(args))
        return False, b"".join(codec.pack(value) for value in values)

    def unpack(n: int, data: Any = None) -> tuple[Any, ...]:
        return _unpack_many(codec, data, 0, None)

    def unpack_one(n: int, data: Any = None, offset: Any = 0) -> tuple[Any, ...]:
        return _unpack_many(codec, data, offset, 1)

    def unpack_limit(n: int, data: Any = None, limit: Any = 0, offset: Any = 0) -> Any:
        return _unpack_many(codec, data, offset, int(limit))

    functions = {
        b"pack": pack,
        b"unpack": unpack,
        b"unpack_one": unpack_one,
        b"unpack_limit": unpack_limit,
    }
    constants = {
        b"_NAME": b"cmsgpack",
        b"_VERSION": b"lua-cmsgpack 0.4.0",
        b"_DESCRIPTION": b"MessagePack C implementation for Lua",
        b"_COPYRIGHT": b"Copyright (C) 2012, Redis Ltd.",
    }
    return {b"functions": functions, b"constants": constants}


def _unpack_many(
    codec: Codec, data: Any, offset: Any, limit: int | None
) -> tuple[Any, ...]:
    if not isinstance(data, bytes):
        return True, b"bad argument #1 to 'unpack' (string expected)"
    at = int(offset)
    if at < 0 or (limit or 0) < 0:
        return True, b"Invalid request to unpack with offset of %d and limit of %d." % (
            at,
            len(data),
        )
    if at > len(data):
        return True, b"Start offset %d greater than input length %d." % (at, len(data))
    values: list[Any] = []
    try:
        while at < len(data) and (limit is None or len(values) < limit):
            value, at = codec.unpack(data, at)
            values.append(value)
    except PackError as error:
        return True, str(error).encode()
    if limit is not None:
        values.insert(0, -1 if at >= len(data) else at)
    return (False, *values)
