"""Replies as bytes, in RESP2 and RESP3.

What a client gets most (bulk strings, integers, OK, null) takes one comparison of types; the rest goes
through `_write`, which appends pieces to a list that is joined once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

from trignb.errors import ResponseError
from trignb.reply import (
    NULL_ARRAY,
    OK,
    BigNumber,
    BigNumberText,
    Encoded,
    MapOfPairs,
    Messages,
    NoReply,
    NullArray,
    Reply,
    SetOfLists,
    SetReply,
    ShownDouble,
    Status,
    Verbatim,
    format_double,
)

__all__ = ["encode", "encode_error", "encode_push"]

Append = Callable[[bytes], None]

_OK: Final = b"+OK\r\n"
_NULL: Final = {2: b"$-1\r\n", 3: b"_\r\n"}
_NULL_ARRAY: Final = {2: b"*-1\r\n", 3: b"_\r\n"}
# From so many elements on it pays to look at all of them first.
_SEVERAL: Final = 4
_HEADS: Final = [b"$%d\r\n" % size for size in range(1024)]
_bulk_head: Final = _HEADS.__getitem__
_SETS: Final = (SetReply, set, frozenset, SetOfLists)

# A line of the protocol must not hold what ends it.
_ONE_LINE: Final = str.maketrans("\r\n\0", "   ")


def encode(reply: Reply, resp: int) -> bytes:
    """Return a reply as the bytes of a protocol, 2 or 3.

    Raises
    ------
    TypeError
        For a value that no handler may answer.
    """
    kind = type(reply)
    if kind is bytes:
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if reply is OK:
        return _OK
    if kind is int:
        return b":%d\r\n" % reply
    if reply is None:
        return _NULL[resp]
    pieces: list[bytes] = []
    try:
        _write(pieces.append, reply, resp)
    except RecursionError:
        pieces.clear()
        _write_deep(pieces.append, reply, resp)
    return b"".join(pieces)


def encode_push(message: list[Any], resp: int) -> bytes:
    """Return a push message; RESP2 has plain arrays for it."""
    pieces = [b"%b%d\r\n" % (b">" if resp == 3 else b"*", len(message))]
    for item in message:
        _write(pieces.append, item, resp)
    return b"".join(pieces)


def encode_error(error: ResponseError) -> bytes:
    """Return an error reply, which is one line whatever the text."""
    text = str(error).translate(_ONE_LINE)
    return b"-%b\r\n" % text.encode("utf-8", "surrogateescape")


def _write(append: Append, value: Reply, resp: int) -> None:
    kind = type(value)
    if kind is bytes:
        append(b"$%d\r\n%b\r\n" % (len(value), value))
    elif kind is int:
        append(b":%d\r\n" % value)
    elif value is None:
        append(_NULL[resp])
    elif kind is list or kind is tuple:
        append(b"*%d\r\n" % len(value))
        _write_items(append, value, resp)
    elif kind is Status:
        text = value.translate(_ONE_LINE).encode("utf-8", "surrogateescape")
        append(b"+%b\r\n" % text)
    elif kind is dict:
        _write_map(append, value, resp)
    elif kind in _SETS:
        append(b"%b%d\r\n" % (b"~" if resp == 3 else b"*", len(value)))
        _write_items(append, list(value), resp)
    elif kind is NullArray or value is NULL_ARRAY:
        append(_NULL_ARRAY[resp])
    elif isinstance(value, ResponseError):
        append(encode_error(value))
    else:
        _write_scalar(append, value, resp)


def _write_map(append: Append, value: dict[Any, Any], resp: int) -> None:
    if resp == 3:
        append(b"%%%d\r\n" % len(value))
    else:
        append(b"*%d\r\n" % (2 * len(value)))
    _write_items(append, list(chain.from_iterable(value.items())), resp)


def _write_items(append: Append, items: Sequence[Any], resp: int) -> None:
    """Write elements one after another."""
    if len(items) > _SEVERAL:
        together = _short_texts(items)
        if together is not None:
            append(together)
            return
    for item in items:
        _write(append, item, resp)


def _short_texts(items: Sequence[Any]) -> bytes | None:
    """Return many short byte strings as bulk strings, None if there is anything else.

    Column by column, which takes a third of the time.
    """
    if set(map(type, items)) != {bytes}:
        return None
    pieces = [b"\r\n"] * (3 * len(items))
    try:
        pieces[0::3] = map(_bulk_head, map(len, items))
    except IndexError:
        return None
    pieces[1::3] = items
    return b"".join(pieces)


def _write_scalar(append: Append, value: Reply, resp: int) -> None:
    """Write what RESP3 has a type for and RESP2 does not."""
    if isinstance(value, bool):
        truth = (b"#t\r\n", b"#f\r\n") if resp == 3 else (b":1\r\n", b":0\r\n")
        append(truth[not value])
    elif isinstance(value, float):
        text = value.text if type(value) is ShownDouble else format_double(value)
        append(b",%b\r\n" % text if resp == 3 else b"$%d\r\n%b\r\n" % (len(text), text))
    elif isinstance(value, Verbatim) and resp == 3:
        head = value.format.encode()
        append(b"=%d\r\n%b:%b\r\n" % (len(value) + 4, head, value))
    elif isinstance(value, MapOfPairs):
        size = len(value) if resp == 3 else 2 * len(value)
        append(b"%b%d\r\n" % (b"%" if resp == 3 else b"*", size))
        _write_items(append, list(chain.from_iterable(value)), resp)
    elif isinstance(value, BigNumberText) and resp == 3:
        append(b"(%b\r\n" % value.replace(b"\r", b" ").replace(b"\n", b" "))
    elif isinstance(value, BigNumber):
        text = b"%d" % value
        append(b"(%b\r\n" % text if resp == 3 else b"$%d\r\n%b\r\n" % (len(text), text))
    elif isinstance(value, Encoded):
        append(value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        append(b"$%d\r\n%b\r\n" % (len(value), bytes(value)))
    elif isinstance(value, Messages):
        # As Redis does: the transaction's array has one place for all of them.
        for message in value:
            append(encode_push(message, resp))
    elif isinstance(value, NoReply):
        # Of CLIENT REPLY in a transaction: its array counts a reply that is not sent.
        return
    else:
        raise TypeError(f"not a reply: {type(value).__name__}")


def _write_deep(append: Append, reply: Reply, resp: int) -> None:
    """Write what is nested deeper than Python's own calls may be: a script's table of tables."""
    waiting = [reply]
    while waiting:
        value = waiting.pop()
        if not isinstance(value, (list, tuple, dict, SetReply)):
            _write(append, value, resp)
            continue
        if isinstance(value, (dict, MapOfPairs)):
            pairs = value.items() if isinstance(value, dict) else value
            head, per_item, items = b"%", 2, list(chain.from_iterable(pairs))
        else:
            head = b"~" if isinstance(value, _SETS) else b"*"
            per_item, items = 1, list(value)
        if resp == 3:
            append(b"%b%d\r\n" % (head, len(items) // per_item))
        else:
            append(b"*%d\r\n" % len(items))
        waiting.extend(reversed(items))
