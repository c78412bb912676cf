"""Lua's ``cmsgpack``: MessagePack to Lua values and back."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from trignb.lua.arguments import ArgumentError, integer, text_of
from trignb.lua.marks import MARKS, Tree

__all__ = ["library"]

Answer = tuple[Any, ...]

# Deeper tables are cut off as nil, as the original does.
_DEEPEST: Final = 16
# Unpacking goes no deeper than Lua's C calls may.
_DEEPEST_INPUT: Final = 150
# More values than Lua's stack holds.
_MOST_VALUES: Final = 7900
_MAP: Final = MARKS["map"]


class PackError(Exception):
    """What cmsgpack raises as a Lua error."""


class _Packer:
    """Packs values that `Tree.read` has taken apart."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self.at = 0

    def pack(self) -> bytes:
        """Return the bytes of the value that begins here."""
        value = self.values[self.at]
        self.at += 1
        if value is _MAP:
            return self._table()
        kind = type(value)
        if kind is bool:
            return b"\xc3" if value else b"\xc2"
        if kind is bytes:
            return _pack_bytes(value)
        if kind is int or kind is float:
            return _pack_number(value)
        return b"\xc0"

    def _table(self) -> bytes:
        count = self.values[self.at]
        self.at += 1
        keys, packed = [], []
        for _ in range(count):
            key = self.values[self.at]
            keys.append(key if type(key) is int else None)
            packed.append((self.pack(), self.pack()))
        if _is_array(keys):
            items: list[bytes] = [b""] * count
            for key, (_, item) in zip(keys, packed, strict=True):
                items[key - 1] = item  # type: ignore[operator]
            return _header(count, 0x90, 0xDC) + b"".join(items)
        body = b"".join(key + item for key, item in packed)
        return _header(count, 0x80, 0xDE) + body


class _Unpacker:
    def __init__(self, tree: Tree, data: bytes) -> None:
        self.tree = tree
        self.data = data

    def unpack(self, at: int) -> tuple[Any, int]:
        """Return the value at an offset and the offset behind it."""
        try:
            return self._unpack(at, 0)
        except (IndexError, struct.error):
            raise PackError("Missing bytes in input.") from None

    def _unpack(self, at: int, depth: int) -> tuple[Any, int]:
        data = self.data
        code = data[at]
        at += 1
        if code < 0x80:
            return code, at
        if code >= 0xE0:
            return code - 256, at
        if code < 0x90:
            return self._map(at, code & 15, depth)
        if code < 0xA0:
            return self._array(at, code & 15, depth)
        if code < 0xC0:
            return self._take(at, code & 31)
        if code in _CONSTANTS:
            return _CONSTANTS[code], at
        if code in _NUMBERS:
            form = _NUMBERS[code]
            (number,) = form.unpack_from(data, at)
            return _lua_number(number), at + form.size
        if code in _LENGTHS:
            form, kind = _LENGTHS[code]
            (n,) = form.unpack_from(data, at)
            at += form.size
            if kind == "bytes":
                return self._take(at, n)
            return (self._array if kind == "array" else self._map)(at, n, depth)
        raise PackError("Bad data format in input.")

    def _take(self, at: int, n: int) -> tuple[bytes, int]:
        if at + n > len(self.data):
            raise PackError("Missing bytes in input.")
        return self.data[at : at + n], at + n

    def _array(self, at: int, n: int, depth: int) -> tuple[Any, int]:
        self._check(depth)
        items = {}
        for i in range(1, n + 1):
            value, at = self._unpack(at, depth + 1)
            if value is not None:
                items[i] = value
        if len(items) == n:
            return self.tree.table(list(items.values())), at
        return self.tree.table(items), at

    def _map(self, at: int, n: int, depth: int) -> tuple[Any, int]:
        self._check(depth)
        pairs: list[tuple[Any, Any]] = []
        for _ in range(n):
            key, at = self._unpack(at, depth + 1)
            value, at = self._unpack(at, depth + 1)
            if key is None:
                raise PackError("table index is nil")
            if key != key:
                raise PackError("table index is NaN")
            pairs.append((key, value))
        return self.tree.from_pairs(pairs), at

    def _check(self, depth: int) -> None:
        if depth > _DEEPEST_INPUT:
            raise PackError("too many nested tables in input")


_CONSTANTS: Final = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS: Final = {
    0xCA: struct.Struct(">f"),
    0xCB: struct.Struct(">d"),
    0xCC: struct.Struct(">B"),
    0xCD: struct.Struct(">H"),
    0xCE: struct.Struct(">I"),
    # As the original reads it, which has no unsigned numbers of this size.
    0xCF: struct.Struct(">q"),
    0xD0: struct.Struct(">b"),
    0xD1: struct.Struct(">h"),
    0xD2: struct.Struct(">i"),
    0xD3: struct.Struct(">q"),
}
_LENGTHS: Final = {
    0xD9: (struct.Struct(">B"), "bytes"),
    0xDA: (struct.Struct(">H"), "bytes"),
    0xDB: (struct.Struct(">I"), "bytes"),
    0xDC: (struct.Struct(">H"), "array"),
    0xDD: (struct.Struct(">I"), "array"),
    0xDE: (struct.Struct(">H"), "map"),
    0xDF: (struct.Struct(">I"), "map"),
}
# Lua's numbers are doubles: larger integers lose digits.
_EXACT: Final = 2**53


def _lua_number(number: float) -> float:
    if type(number) is int and abs(number) > _EXACT:
        return float(number)
    return number


def _is_array(keys: list[int | None]) -> bool:
    n = len(keys)
    return all(key is not None and 0 < key <= n for key in keys)


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


def _pack_number(number: float) -> bytes:
    if type(number) is float:
        if abs(number) < 2.0**63 and number == int(number):
            return _pack_integer(int(number))
        try:
            single = struct.pack(">f", number)
        except OverflowError:
            single = b""
        if single and struct.unpack(">f", single)[0] == number:
            return b"\xca" + single
        return struct.pack(">Bd", 0xCB, number)
    return _pack_integer(int(number))


def _pack_integer(n: int) -> bytes:
    if 0 <= n < 128:
        return bytes((n,))
    if -32 <= n < 0:
        return bytes((n & 0xFF,))
    for low, high, code, form in _INTEGERS:
        if low <= n <= high:
            return struct.pack(">B" + form, code, n)
    return _pack_number(float(n))


_INTEGERS: Final = (
    (0, 0xFF, 0xCC, "B"),
    (0, 0xFFFF, 0xCD, "H"),
    (0, 0xFFFFFFFF, 0xCE, "I"),
    (0, 2**63 - 1, 0xCF, "Q"),
    (-(2**7), -1, 0xD0, "b"),
    (-(2**15), -1, 0xD1, "h"),
    (-(2**31), -1, 0xD2, "i"),
    (-(2**63), -1, 0xD3, "q"),
)


def library(tree: Tree) -> dict[bytes, dict[bytes, Any]]:
    """Return the library as functions that answer (failed, values…)."""

    def pack(n: int, *args: Any) -> bytes:
        if n == 0:
            raise ArgumentError.bad(0, "MessagePack pack needs input.")
        packed = []
        for arg in args:
            values = tree.read(arg, _DEEPEST, stop=False)
            packed.append(_Packer(values).pack())
        return b"".join(packed)

    def unpack(n: int, *args: Any) -> Answer:
        return _unpack(tree, args, 0, 0, whole=True)

    def unpack_one(n: int, *args: Any) -> Answer:
        offset = integer(args, 2, 0)
        text_of(args, 1)
        return _unpack(tree, args, 1, offset)

    def unpack_limit(n: int, *args: Any) -> Answer:
        limit = integer(args, 2)
        return _unpack(tree, args, limit, integer(args, 3, 0))

    many = {
        b"unpack": unpack,
        b"unpack_one": unpack_one,
        b"unpack_limit": unpack_limit,
    }
    constants = {
        b"_NAME": b"cmsgpack",
        b"_VERSION": b"lua-cmsgpack 0.4.0",
        b"_DESCRIPTION": b"MessagePack C implementation for Lua",
        b"_COPYRIGHT": b"Copyright (C) 2012, Salvatore Sanfilippo",
    }
    return {
        b"functions": {b"pack": _guarded(pack)},
        b"many": {name: _guarded(work) for name, work in many.items()},
        b"constants": constants,
    }


def _guarded(work: Callable[..., Any]) -> Callable[..., Answer]:
    def call(n: int, *args: Any) -> Answer:
        try:
            answer = work(n, *args)
        except (PackError, ArgumentError) as error:
            return True, str(error).encode()
        return (False, *answer) if type(answer) is tuple else (False, answer)

    return call


def _unpack(
    tree: Tree, args: Answer, limit: int, offset: int, *, whole: bool = False
) -> Answer:
    """Return the values in a text; in front of some of them, the offset of the rest or -1."""
    data = text_of(args, 1)
    if offset < 0 or limit < 0:
        raise PackError(
            f"Invalid request to unpack with offset of {offset} and limit of "
            f"{len(data)}."
        )
    if offset > len(data):
        raise PackError(f"Start offset {offset} greater than input length {len(data)}.")
    everything = whole or (limit == 0 and offset == 0)
    if everything:
        limit = 2**31 - 1
    unpacker = _Unpacker(tree, data)
    values: list[Any] = []
    at = offset
    while at < len(data) and len(values) < limit:
        value, at = unpacker.unpack(at)
        values.append(value)
        if len(values) > _MOST_VALUES:
            raise PackError(
                "stack overflow (too many return values at once; use unpack_one or "
                "unpack_limit instead.)"
            )
    if not everything:
        values.insert(0, -1 if at >= len(data) else at)
    return tuple(values)
