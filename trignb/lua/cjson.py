"""Lua's ``cjson``: JSON to Lua tables and back, with the quirks scripts rely on.

An empty table is written as an object; a table of positive integer keys as an array, with gaps as null
while it is not too sparse; null is a value of its own, ``cjson.null``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final

__all__ = ["library"]

Answer = tuple[bool, Any]

_ESCAPES: Final = {
    **{code: b"\\u%04x" % code for code in range(0x20)},
    0x22: b'\\"',
    0x5C: b"\\\\",
    0x2F: b"\\/",
    0x08: b"\\b",
    0x09: b"\\t",
    0x0A: b"\\n",
    0x0C: b"\\f",
    0x0D: b"\\r",
    0x7F: b"\\u007f",
}


class JsonError(Exception):
    """What cjson raises as a Lua error."""


class _Null:
    """``cjson.null``; a light userdata to Lua."""


class Codec:
    """Encoder and decoder with the settings of one Lua state."""

    def __init__(
        self, table: Callable[[Any], Any], is_table: Callable[[Any], bool]
    ) -> None:
        self.table = table
        self.is_table = is_table
        self.null = _Null()
        self.sparse_convert, self.sparse_ratio, self.sparse_safe = False, 2, 10
        self.encode_depth = self.decode_depth = 1000
        self.precision = 14
        self.encode_invalid: Any = False
        self.decode_invalid = True
        self.keep_buffer = True

    # -- encoding

    def encode(self, value: Any) -> bytes:
        """Return the JSON text of a Lua value."""
        out: list[bytes] = []
        self._encode(value, out, 0)
        return b"".join(out)

    def _encode(self, value: Any, out: list[bytes], depth: int) -> None:
        if value is None or isinstance(value, _Null):
            out.append(b"null")
        elif value is True or value is False:
            out.append(b"true" if value else b"false")
        elif isinstance(value, bytes):
            out.append(self._string(value))
        elif isinstance(value, (int, float)):
            out.append(self._number(value))
        elif self.is_table(value):
            self._encode_table(value, out, depth + 1)
        else:
            raise JsonError("Cannot serialise function: type not supported")

    def _string(self, text: bytes) -> bytes:
        parts = [_ESCAPES.get(byte) or bytes((byte,)) for byte in text]
        return b'"' + b"".join(parts) + b'"'

    def _number(self, number: float) -> bytes:
        if not math.isfinite(number):
            if self.encode_invalid == "null":
                return b"null"
            if not self.encode_invalid:
                raise JsonError("Cannot serialise number: must not be NaN or Inf")
            return b"nan" if number != number else (b"inf" if number > 0 else b"-inf")
        return b"%.*g" % (self.precision, float(number))

    def _encode_table(self, value: Any, out: list[bytes], depth: int) -> None:
        if depth > self.encode_depth:
            raise JsonError(f"Cannot serialise, excessive depth ({depth})")
        items = list(value.items())
        length = self._array_length(items)
        if length is not None:
            out.append(b"[")
            for at in range(1, length + 1):
                if at > 1:
                    out.append(b",")
                self._encode(value[at], out, depth)
            out.append(b"]")
            return
        out.append(b"{")
        for at, (key, item) in enumerate(items):
            if at:
                out.append(b",")
            out.append(self._key(key) + b":")
            self._encode(item, out, depth)
        out.append(b"}")

    def _key(self, key: Any) -> bytes:
        if isinstance(key, bytes):
            return self._string(key)
        if isinstance(key, (int, float)) and not isinstance(key, bool):
            return b'"' + self._number(key) + b'"'
        raise JsonError(
            "Cannot serialise boolean: table key must be a number or string"
        )

    def _array_length(self, items: list[tuple[Any, Any]]) -> int | None:
        """Return the length of the array a table is, None for an object."""
        if not items:
            return None
        longest = 0
        for key, _ in items:
            whole = type(key) is int and key > 0
            if not whole:
                return None
            longest = max(longest, key)
        sparse = (
            self.sparse_ratio > 0
            and longest > len(items) * self.sparse_ratio
            and longest > self.sparse_safe
        )
        if sparse:
            if not self.sparse_convert:
                raise JsonError("Cannot serialise table: excessively sparse array")
            return None
        return longest

    # -- decoding

    def decode(self, text: bytes) -> Any:
        """Return the Lua value of a JSON text."""
        try:
            value = json.loads(
                text.decode("utf-8", "surrogateescape"),
                parse_constant=self._constant,
                strict=False,
            )
        except JsonError:
            raise
        except (ValueError, RecursionError) as error:
            raise JsonError(_describe(text, error)) from None
        return self._to_lua(value, 0)

    def _constant(self, name: str) -> float:
        if not self.decode_invalid:
            raise JsonError("Expected value but found invalid token at character 1")
        return float(name.replace("Infinity", "inf"))

    def _to_lua(self, value: Any, depth: int) -> Any:
        if value is None:
            return self.null
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if isinstance(value, (list, dict)):
            if depth >= self.decode_depth:
                raise JsonError(f"Found too many nested data structures ({depth + 1})")
            if isinstance(value, list):
                items = [self._to_lua(item, depth + 1) for item in value]
                return self.table(items)
            return self.table(
                {
                    key.encode("utf-8", "surrogateescape"): self._to_lua(
                        item, depth + 1
                    )
                    for key, item in value.items()
                }
            )
        return float(value) if isinstance(value, int) and abs(value) > 2**53 else value


# What Python's decoder expects, and how cjson says it.
_EXPECTED: Final = (
    ("property name", "object key string"),
    ("':' delimiter", "colon"),
    ("',' delimiter", "comma or {end} end"),
)


def _describe(text: bytes, error: Exception) -> str:
    at = getattr(error, "pos", 0)
    message = getattr(error, "msg", "")
    if message == "Extra data":
        expected = "the end"
    else:
        expected = next(
            (ours for theirs, ours in _EXPECTED if theirs in message), "value"
        )
    if "{end}" in expected:
        opened = max(text.rfind(b"[", 0, at), text.rfind(b"{", 0, at))
        end = "array" if text[opened : opened + 1] == b"[" else "object"
        expected = expected.replace("{end}", end)
    token = "invalid token" if text[at:].strip() else "T_END"
    place = at + 1 if token != "T_END" else len(text) + 1
    return f"Expected {expected} but found {token} at character {place}"


def library(
    table: Callable[[Any], Any], is_table: Callable[[Any], bool]
) -> dict[bytes, dict[bytes, Any]]:
    """Return the library as functions that answer (failed, value)."""
    codec = Codec(table, is_table)

    def guarded(work: Callable[..., Any]) -> Callable[..., Answer]:
        def call(n: int, *args: Any) -> Answer:
            try:
                return False, work(n, *args)
            except JsonError as error:
                return True, str(error).encode("utf-8", "surrogateescape")

        return call

    def encode(n: int, *args: Any) -> bytes:
        if n != 1:
            raise JsonError("bad argument #1 to 'encode' (expected 1 argument)")
        return codec.encode(args[0] if args else None)

    def decode(n: int, *args: Any) -> Any:
        if n != 1:
            raise JsonError("bad argument #1 to 'decode' (expected 1 argument)")
        text = args[0] if args else None
        if isinstance(text, (int, float)) and not isinstance(text, bool):
            text = b"%.14g" % text
        if not isinstance(text, bytes):
            raise JsonError("bad argument #1 to 'decode' (string expected, got nil)")
        return codec.decode(text)

    def setting(name: str, low: int, high: int) -> Callable[..., Any]:
        def change(n: int, value: Any = None) -> Any:
            if value is not None:
                if not isinstance(value, (int, float)) or not low <= value <= high:
                    raise JsonError(
                        f"bad argument #1 to '{name}' "
                        f"(expected integer between {low} and {high})"
                    )
                setattr(codec, name, int(value))
            return getattr(codec, name)

        return change

    def sparse(n: int, convert: Any = None, ratio: Any = None, safe: Any = None) -> Any:
        if convert is not None:
            codec.sparse_convert = bool(convert)
        if ratio is not None:
            codec.sparse_ratio = int(ratio)
        if safe is not None:
            codec.sparse_safe = int(safe)
        return codec.sparse_convert

    def invalid(name: str) -> Callable[..., Any]:
        def change(n: int, value: Any = None) -> Any:
            if value is not None:
                setattr(
                    codec, name, value.decode() if isinstance(value, bytes) else value
                )
            return getattr(codec, name)

        return change

    def keep_buffer(n: int, value: Any = None) -> bool:
        if value is not None:
            codec.keep_buffer = bool(value)
        return codec.keep_buffer

    def new(n: int) -> Any:
        raise JsonError("cjson.new is not available to scripts")

    functions: dict[bytes, Any] = {
        b"encode": guarded(encode),
        b"decode": guarded(decode),
        b"encode_sparse_array": guarded(sparse),
        b"encode_max_depth": guarded(setting("encode_depth", 1, 2**31 - 1)),
        b"decode_max_depth": guarded(setting("decode_depth", 1, 2**31 - 1)),
        b"encode_number_precision": guarded(setting("precision", 1, 14)),
        b"encode_keep_buffer": guarded(keep_buffer),
        b"encode_invalid_numbers": guarded(invalid("encode_invalid")),
        b"decode_invalid_numbers": guarded(invalid("decode_invalid")),
        b"new": guarded(new),
    }
    return {
        b"functions": functions,
        b"constants": {b"null": codec.null, b"_NAME": b"cjson", b"_VERSION": b"2.1.0"},
    }
