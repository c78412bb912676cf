"""Values on the channel: one tag byte, a length where there is one, the bytes.

V8 alone has no UTF-8 codec and decoding in JavaScript is slow, so text crosses as ASCII
or, when it is not, as UTF-16LE; Python converts in C and is the side that finds out what
is not UTF-8. The two directions differ on purpose: to JavaScript goes what RESP3 says,
back comes what a reply is made of.

A reply that JavaScript cannot represent is refused here, with the text it will throw.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from trignb.errors import ResponseError
from trignb.reply import (
    BigNumber,
    NullArray,
    Reply,
    SetOfLists,
    SetReply,
    Status,
    Verbatim,
)

__all__ = [
    "decode",
    "encode",
    "encode_count",
    "encode_flat",
    "encode_pairs",
    "encode_reply",
    "encode_text",
    "flat_items",
    "is_text",
    "vector",
]

_HEAD: Final = struct.Struct("<BI")
_INT: Final = struct.Struct("<Bi")
_LONG: Final = struct.Struct("<Bq")
_DOUBLE: Final = struct.Struct("<Bd")
_U32: Final = struct.Struct("<I")
_I64: Final = struct.Struct("<q")
_F64: Final = struct.Struct("<d")
_TEXT_PAIR: Final = struct.Struct("<BIii")
_BUFFER_PAIR: Final = struct.Struct("<BIBI")
_VECTORS: Final = [struct.Struct("<%di" % n) for n in range(64)]

_INT_MIN: Final = -(1 << 31)
_INT_MAX: Final = (1 << 31) - 1
_LONG_MIN: Final = -(1 << 63)
_LONG_MAX: Final = (1 << 63) - 1

_BULK: Final = ord("B")
_WIDE: Final = ord("B") | 128
_BUFFER: Final = ord("X")
_SMALL: Final = ord("i")
_BIG: Final = ord("I")
_FLOAT: Final = ord("D")
_NULL: Final = ord("N")
_TRUE: Final = ord("T")
_FALSE: Final = ord("F")
_ARRAY: Final = ord("A")
_TEXTS: Final = ord("L")
_MAP: Final = ord("M")
_SET: Final = ord("E")
_NUMBER: Final = ord("G")
_STATUS: Final = ord("S")
_WIDE_STATUS: Final = ord("S") | 128
_VERBATIM: Final = ord("V")
_WIDE_VERBATIM: Final = ord("V") | 128
_VERBATIM_BUFFER: Final = ord("W")

NOT_TEXT: Final = "Could not decode value as string"
BINARY_KEY: Final = "Binary map key is not supported"
BAD_KEY: Final = "Given object can not be a object key"

Out = list[bytes]


def vector(n: int) -> struct.Struct:
    """Return the struct of `n` int32."""
    return _VECTORS[n] if n < 64 else struct.Struct("<%di" % n)


def wide(value: bytes) -> bytes:
    """Return UTF-8 as UTF-16LE.

    Raises
    ------
    UnicodeDecodeError
        It is not UTF-8.
    """
    return value.decode().encode("utf-16-le")


def narrow(value: bytes) -> bytes:
    """Return UTF-16LE as UTF-8; a lone surrogate becomes U+FFFD."""
    return value.decode("utf-16-le", "replace").encode()


def is_text(value: bytes) -> bool:
    """Return whether `value` is UTF-8."""
    if value.isascii():
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def encode_count(count: int) -> bytes:
    """Return how many values follow."""
    return _U32.pack(count)


# To JavaScript ----------------------------------------------------------------------


def encode_reply(value: Reply, raw: bool) -> bytes:
    """Return `value` as ``call`` gives it to JavaScript, or ``callRaw`` if `raw`.

    Raises
    ------
    ResponseError
        It cannot be represented: text that is not UTF-8, an error inside.
    """
    if type(value) is bytes and not raw and value.isascii():
        return _HEAD.pack(_BULK, len(value)) + value
    out: Out = []
    encode(value, out, raw)
    return b"".join(out)


def encode_text(text: str) -> bytes:
    """Return one string, whatever it contains."""
    out: Out = []
    _text(text.encode("utf-8", "replace"), out)
    return b"".join(out)


def encode(value: Reply, out: Out, raw: bool) -> None:
    """Append `value` to `out`."""
    kind = type(value)
    if kind is bytes:
        _bulk(value, out, raw)
    elif kind is int:
        _integer(value, out)
    elif value is None or kind is NullArray:
        out.append(b"N")
    elif kind is list or kind is tuple:
        _array(value, out, raw)
    else:
        _ENCODERS.get(kind, _other)(value, out, raw)


def _text(value: bytes, out: Out) -> None:
    if value.isascii():
        out.append(_HEAD.pack(_BULK, len(value)))
    else:
        value = wide(value)
        out.append(_HEAD.pack(_WIDE, len(value)))
    out.append(value)


def _bulk(value: bytes, out: Out, raw: bool) -> None:
    if raw:
        out.append(_HEAD.pack(_BUFFER, len(value)))
        out.append(value)
        return
    try:
        _text(value, out)
    except UnicodeDecodeError:
        raise ResponseError(NOT_TEXT) from None


def _integer(value: int, out: Out) -> None:
    if _INT_MIN <= value <= _INT_MAX:
        out.append(_INT.pack(_SMALL, value))
    elif _LONG_MIN <= value <= _LONG_MAX:
        out.append(_LONG.pack(_BIG, value))
    else:
        _big_number(value, out, False)


def _array(items: Sequence[Reply], out: Out, raw: bool) -> None:
    if items and not raw and type(items[0]) is bytes and _texts(items, out):
        return
    out.append(_HEAD.pack(_ARRAY, len(items)))
    for item in items:
        encode(item, out, raw)


def _texts(items: Sequence[Any], out: Out) -> bool:
    # Ten times as fast as one by one, if all are ASCII.
    try:
        data = b"".join(items)
        lengths = vector(len(items)).pack(*map(len, items))
    except (TypeError, struct.error):
        return False
    if not data.isascii() or any(type(item) is not bytes for item in items):
        return False
    out.append(_HEAD.pack(_TEXTS, len(items)))
    out.append(lengths)
    out.append(data)
    return True


def _double(value: float, out: Out, raw: bool) -> None:
    out.append(_DOUBLE.pack(_FLOAT, value))


def _boolean(value: bool, out: Out, raw: bool) -> None:
    out.append(b"T" if value else b"F")


def _status(value: str, out: Out, raw: bool) -> None:
    _bulk(value.encode("utf-8", "replace"), out, raw)


def _big_number(value: int, out: Out, raw: bool) -> None:
    text = b"%d" % value
    out.append(_HEAD.pack(_NUMBER, len(text)) + text)


def _verbatim(value: Verbatim, out: Out, raw: bool) -> None:
    form = value.format.encode("ascii", "replace")[:3].ljust(3)
    if raw:
        out.append(b"W" + form + _U32.pack(len(value)))
        out.append(bytes(value))
        return
    ascii_only = value.isascii()
    try:
        text = bytes(value) if ascii_only else wide(value)
    except UnicodeDecodeError:
        raise ResponseError(NOT_TEXT) from None
    size = len(text) if ascii_only else -len(text)
    out.append(b"V" + form + _VECTORS[1].pack(size))
    out.append(text)


def _map(value: dict[Any, Any], out: Out, raw: bool) -> None:
    out.append(_HEAD.pack(_MAP, len(value)))
    for key, item in value.items():
        _key(key, out)
        encode(item, out, raw)


def _key(key: Any, out: Out) -> None:
    if type(key) is int:
        _integer(key, out)
        return
    if isinstance(key, str):
        key = key.encode("utf-8", "replace")
    if not isinstance(key, bytes):
        raise ResponseError(BAD_KEY)
    try:
        _text(key, out)
    except UnicodeDecodeError:
        raise ResponseError(BINARY_KEY) from None


def _set(value: Iterable[Any], out: Out, raw: bool) -> None:
    members = list(value)
    out.append(_HEAD.pack(_SET, len(members)))
    for member in members:
        encode(member, out, raw)


def _error(value: ResponseError, out: Out, raw: bool) -> None:
    raise ResponseError(str(value))


def _bytes_like(value: bytearray | memoryview, out: Out, raw: bool) -> None:
    _bulk(bytes(value), out, raw)


_Encoder = Callable[[Any, Out, bool], None]
_ENCODERS: Final[dict[type, _Encoder]] = {
    float: _double,
    bool: _boolean,
    Status: _status,
    str: _status,
    BigNumber: _big_number,
    Verbatim: _verbatim,
    dict: _map,
    SetReply: _set,
    SetOfLists: _set,
    set: _set,
    frozenset: _set,
    bytearray: _bytes_like,
    memoryview: _bytes_like,
    ResponseError: _error,
}


def _other(value: Any, out: Out, raw: bool) -> None:
    for kind, encoder in _ENCODERS.items():
        if isinstance(value, kind):
            encoder(value, out, raw)
            return
    raise TypeError(f"not a reply: {type(value).__name__}")


def encode_pairs(pairs: Sequence[tuple[bytes, bytes]], out: Out) -> None:
    """Append pairs as arrays of text, null where it is none, and once more as buffers."""
    head = _HEAD.pack(_ARRAY, len(pairs))
    out.append(head)
    for pair in pairs:
        both = pair[0] + pair[1]
        if both.isascii():
            sizes = _TEXT_PAIR.pack(_TEXTS, 2, len(pair[0]), len(pair[1]))
            out.append(sizes + both)
        else:
            _array([each if is_text(each) else None for each in pair], out, False)
    out.append(head)
    for a, b in pairs:
        out.append(_BUFFER_PAIR.pack(_ARRAY, 2, _BUFFER, len(a)) + a)
        out.append(_HEAD.pack(_BUFFER, len(b)) + b)


# Flat arguments: signed lengths (negative: UTF-16LE), then the bytes of all ----------


def encode_flat(args: Sequence[bytes]) -> bytes:
    """Return the arguments of a function.

    Raises
    ------
    UnicodeDecodeError
        One of them is not UTF-8.
    """
    data = b"".join(args)
    if data.isascii():
        return vector(len(args)).pack(*map(len, args)) + data
    sizes: list[int] = []
    texts: list[bytes] = []
    for arg in args:
        if arg.isascii():
            texts.append(arg)
            sizes.append(len(arg))
        else:
            texts.append(wide(arg))
            sizes.append(-len(texts[-1]))
    return vector(len(args)).pack(*sizes) + b"".join(texts)


def flat_items(data: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """Return `count` texts as JavaScript wrote them, and where they end."""
    sizes = vector(count).unpack_from(data, at)
    at += 4 * count
    items = []
    for size in sizes:
        if size >= 0:
            end = at + size
            items.append(data[at:end])
        else:
            end = at - size
            items.append(narrow(data[at:end]))
        at = end
    return items, at


# From JavaScript ----------------------------------------------------------------------


def decode(data: bytes, at: int = 0) -> tuple[Reply, int]:
    """Return the value at `at` and where the next one begins."""
    tag = data[at]
    at += 1
    if tag == _SMALL:
        return _VECTORS[1].unpack_from(data, at)[0], at + 4
    if tag == _NULL:
        return None, at
    if tag in (_TRUE, _FALSE):
        return tag == _TRUE, at
    if tag == _BIG:
        return _I64.unpack_from(data, at)[0], at + 8
    if tag == _FLOAT:
        return _F64.unpack_from(data, at)[0], at + 8
    size = _U32.unpack_from(data, at)[0]
    at += 4
    if tag == _BULK:
        return data[at : at + size], at + size
    if tag == _WIDE:
        return narrow(data[at : at + size]), at + size
    return _decode_aggregate(tag, size, data, at)


def _decode_aggregate(tag: int, size: int, data: bytes, at: int) -> tuple[Reply, int]:
    if tag == _TEXTS:
        return flat_items(data, at, size)
    if tag == _ARRAY:
        return _decode_items(data, at, size)
    if tag == _MAP:
        return _decode_map(data, at, size)
    if tag == _SET:
        members, at = _decode_items(data, at, size)
        return _make_set(members), at
    text = data[at : at + size]
    at += size
    if tag in (_STATUS, _WIDE_STATUS):
        if tag == _WIDE_STATUS:
            text = narrow(text)
        return Status(text.decode()), at
    if tag in (_VERBATIM, _WIDE_VERBATIM):
        if tag == _WIDE_VERBATIM:
            text = narrow(text)
        verbatim = Verbatim(text[3:])
        verbatim.format = text[:3].decode()
        return verbatim, at
    raise ValueError(f"unknown tag {tag}")


def _make_set(members: list[Any]) -> SetReply | SetOfLists:
    # By type too: to Python, 1 and True are one member.
    different = list({(type(member), member): member for member in members}.values())
    made = SetReply(different)
    return made if len(made) == len(different) else SetOfLists(different)


def _decode_items(data: bytes, at: int, count: int) -> tuple[list[Reply], int]:
    items = []
    for _ in range(count):
        item, at = decode(data, at)
        items.append(item)
    return items, at


def _decode_map(data: bytes, at: int, count: int) -> tuple[dict[Any, Reply], int]:
    pairs: dict[Any, Reply] = {}
    for _ in range(count):
        key, at = decode(data, at)
        pairs[key], at = decode(data, at)
    return pairs, at
