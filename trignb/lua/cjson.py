"""Lua's ``cjson``: JSON to Lua tables and back, with the quirks scripts rely on.

An empty table is written as an object; a table of positive integer keys as an array, with gaps as null
while it is not too sparse; null is a value of its own, ``cjson.null``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from trignb.lua.arguments import ArgumentError, number, text_of, to_int32
from trignb.lua.jsontext import JsonError, parse

if TYPE_CHECKING:
    from trignb.lua.marks import Tree

__all__ = ["library", "new_instance"]

Answer = tuple[Any, ...]

# Texts that Python's reader and cjson read alike hold none of these: escapes of code points, a minus before a
# zero, a NUL; and Python's goes less deep.
_READ_APART: Final = re.compile(rb"\\u|-0|\x00")
_DEEP: Final = 100
_INT_MAX: Final = 2**31 - 1


class Codec:
    """Encoder and decoder with the settings of one ``cjson``."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.sparse_convert, self.sparse_ratio, self.sparse_safe = False, 2, 10
        self.encode_depth = self.decode_depth = 1000
        self.precision = 14
        self.encode_invalid: bool | bytes = False
        self.decode_invalid = True
        self.keep_buffer = True

    def encoding(self) -> Answer:
        """Return the settings of ``json.lua``, which writes."""
        return (
            self.sparse_convert,
            self.sparse_ratio,
            self.sparse_safe,
            self.encode_depth,
            self.precision,
            self.encode_invalid,
        )

    # -- decoding

    def decode(self, text: bytes) -> Any:
        """Return the Lua value of a JSON text; raises JsonError."""
        if not _READ_APART.search(text):
            try:
                return self._to_lua(json.loads(text, parse_constant=_refuse), 0)
            except (ValueError, RecursionError):
                pass
        return parse(
            text,
            self.tree.table,
            self.tree.null,
            allow_invalid=self.decode_invalid,
            deepest=self.decode_depth,
        )

    def _to_lua(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return value.encode("utf-8")
        if value is None:
            return self.tree.null
        if kind is list or kind is dict:
            if depth >= min(self.decode_depth, _DEEP):
                raise ValueError("too deep")
            depth += 1
            if kind is list:
                return self.tree.table([self._to_lua(item, depth) for item in value])
            return self.tree.table(
                {
                    key.encode("utf-8"): self._to_lua(item, depth)
                    for key, item in value.items()
                }
            )
        return float(value) if kind is int and abs(value) > 2**53 else value


def _refuse(_name: str) -> float:
    raise ValueError("not a number of JSON's")


def library(tree: Tree) -> dict[bytes, dict[bytes, Any]]:
    """Return the library as functions that answer (failed, value…)."""
    return _instance(Codec(tree))


def _instance(codec: Codec) -> dict[bytes, dict[bytes, Any]]:
    def decode(n: int, *args: Any) -> Any:
        if n != 1:
            raise ArgumentError.bad(1, "expected 1 argument")
        return codec.decode(text_of(args, 1))

    functions = {
        b"decode": decode,
        b"encode_max_depth": _limit(codec, "encode_depth", _INT_MAX),
        b"decode_max_depth": _limit(codec, "decode_depth", _INT_MAX),
        b"encode_number_precision": _limit(codec, "precision", 14),
        b"encode_keep_buffer": _switch(codec, "keep_buffer"),
        b"encode_invalid_numbers": _switch(codec, "encode_invalid", b"null"),
        b"decode_invalid_numbers": _switch(codec, "decode_invalid"),
    }
    many = {b"encode_sparse_array": _sparse_array(codec)}
    return {
        b"functions": {name: _guarded(f) for name, f in functions.items()},
        b"many": {name: _guarded(f) for name, f in many.items()},
        b"constants": {b"_NAME": b"cjson", b"_VERSION": b"2.1.0"},
        b"settings": {b"encoding": codec.encoding},
    }


def new_instance(tree: Tree) -> dict[bytes, dict[bytes, Any]]:
    """Return what ``cjson.new`` makes: the library once more, with settings of its own."""
    return _instance(Codec(tree))


def _guarded(work: Callable[..., Any]) -> Callable[..., Answer]:
    def call(n: int, *args: Any) -> Answer:
        try:
            answer = work(n, *args)
        except (JsonError, ArgumentError) as error:
            return True, str(error).encode("utf-8", "surrogateescape")
        return (False, *answer) if type(answer) is tuple else (False, answer)

    return call


def _at_most(n: int, most: int) -> None:
    if n > most:
        raise ArgumentError.bad(most + 1, "found too many arguments")


def _is_given(args: tuple[Any, ...], position: int) -> bool:
    return position <= len(args) and args[position - 1] is not None


def _integer(args: tuple[Any, ...], position: int, low: int, high: int) -> int:
    value = to_int32(number(args, position))
    if not low <= value <= high:
        raise ArgumentError.bad(1, f"expected integer between {low} and {high}")
    return value


def _choice(args: tuple[Any, ...], *more: bytes) -> bool | bytes:
    """Read a setting that is on or off, or one of the words."""
    value = args[0]
    if isinstance(value, bool):
        return value
    text = text_of(args, 1)
    if text in (b"on", b"off"):
        return text == b"on"
    if text in more:
        return text
    raise ArgumentError.bad(1, f"invalid option '{text.decode('latin-1')}'")


def _limit(codec: Codec, name: str, high: int) -> Callable[..., Any]:
    def change(n: int, *args: Any) -> Any:
        _at_most(n, 1)
        if _is_given(args, 1):
            setattr(codec, name, _integer(args, 1, 1, high))
        return getattr(codec, name)

    return change


def _switch(codec: Codec, name: str, *more: bytes) -> Callable[..., Any]:
    def change(n: int, *args: Any) -> Any:
        _at_most(n, 1)
        if _is_given(args, 1):
            setattr(codec, name, _choice(args, *more))
        return getattr(codec, name)

    return change


def _sparse_array(codec: Codec) -> Callable[..., Any]:
    def change(n: int, *args: Any) -> Answer:
        _at_most(n, 3)
        if _is_given(args, 1):
            codec.sparse_convert = bool(_choice(args))
        if _is_given(args, 2):
            codec.sparse_ratio = _integer(args, 2, 0, _INT_MAX)
        if _is_given(args, 3):
            codec.sparse_safe = _integer(args, 3, 0, _INT_MAX)
        return codec.sparse_convert, codec.sparse_ratio, codec.sparse_safe

    return change
