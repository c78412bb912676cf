"""Replies to Lua values and back.

A script reads replies as RESP2 types them until it calls ``redis.setresp(3)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from trignb.doubles import format_number
from trignb.errors import ResponseError
from trignb.reply import (
    BigNumber,
    NullArray,
    Reply,
    SetReply,
    ShownDouble,
    Status,
    Verbatim,
    to_resp2,
)

__all__ = ["LuaTable", "from_lua", "number_argument", "reply_error", "to_lua"]

LuaTable = Any
MakeTable = Callable[[Any], LuaTable]

_LONG_MIN: Final = -(1 << 63)
_LONG_MAX: Final = (1 << 63) - 1
_DEEPEST: Final = 1000
# The field of an error's table that says that INFO knows of it, as Redis calls it.
COUNTED: Final = b"ignore_error_stats_update"


def to_lua(reply: Reply, table: MakeTable, resp: int) -> Any:
    """Return a reply as the script sees it; `table` makes a Lua table of a dict or list."""
    if resp == 2:
        return _resp2_to_lua(to_resp2(reply), table)
    return _resp3_to_lua(reply, table)


def _resp2_to_lua(reply: Reply, table: MakeTable) -> Any:
    kind = type(reply)
    if kind is bytes or kind is int:
        return reply
    if reply is None or kind is NullArray:
        return False
    if kind is Status:
        return table({b"ok": reply.encode()})
    if kind is list:
        return table([_resp2_to_lua(item, table) for item in reply])
    return error_table(reply, table)


def _resp3_to_lua(reply: Reply, table: MakeTable) -> Any:
    kind = type(reply)
    if kind is bytes or kind is int or kind is bool:
        return reply
    if reply is None or kind is NullArray:
        return None
    if kind is Status:
        return table({b"ok": reply.encode()})
    if kind is float or kind is ShownDouble:
        return table({b"double": float(reply)})
    if kind is list:
        return table([_resp3_to_lua(item, table) for item in reply])
    if kind is dict:
        pairs = {
            _resp3_to_lua(key, table): _resp3_to_lua(value, table)
            for key, value in reply.items()
        }
        return table({b"map": table(pairs)})
    if kind is SetReply or kind is set or kind is frozenset:
        return table({b"set": table({_resp3_to_lua(m, table): True for m in reply})})
    if kind is Verbatim:
        text = {b"string": bytes(reply), b"format": reply.format.encode()}
        return table({b"verbatim_string": table(text)})
    if kind is BigNumber:
        return table({b"big_number": b"%d" % reply})
    return error_table(reply, table)


def error_table(error: ResponseError, table: MakeTable) -> LuaTable:
    """Return an error as ``redis.pcall`` gives it."""
    text = str(error).encode("utf-8", "surrogateescape")
    return table({b"err": text, **({COUNTED: True} if error.counted else {})})


def reply_error(value: LuaTable, text: str) -> ResponseError:
    """Return the error reply that an error's table stands for."""
    error = ResponseError(text)
    error.counted = value[COUNTED] is True
    return error


def from_lua(value: Any, is_table: Callable[[Any], bool], resp: int) -> Reply:
    """Return what a script returned as a reply; ``resp`` is the script's protocol."""
    return _from_lua(value, is_table, resp, 0)


def _from_lua(
    value: Any, is_table: Callable[[Any], bool], resp: int, depth: int
) -> Reply:
    if value is None or value is False:
        return False if value is False and resp == 3 else None
    if value is True:
        return True if resp == 3 else 1
    if isinstance(value, bytes):
        return value
    if isinstance(value, (int, float)):
        return to_integer(value)
    if not is_table(value):
        return None
    if depth > _DEEPEST:
        raise ResponseError("ERR reached lua stack limit")
    return _table_to_reply(value, is_table, resp, depth + 1)


def _table_to_reply(
    value: LuaTable, is_table: Callable[[Any], bool], resp: int, depth: int
) -> Reply:
    error = value[b"err"]
    if isinstance(error, bytes):
        return reply_error(value, one_line(error))
    status = value[b"ok"]
    if isinstance(status, bytes):
        return Status(one_line(status))
    double = value[b"double"]
    if isinstance(double, (int, float)) and not isinstance(double, bool):
        return float(double)
    pairs = value[b"map"]
    if is_table(pairs):
        return {
            _hashable(_from_lua(k, is_table, resp, depth)): _from_lua(
                v, is_table, resp, depth
            )
            for k, v in pairs.items()
        }
    members = value[b"set"]
    if is_table(members):
        return SetReply(
            [_from_lua(k, is_table, resp, depth) for k, _ in members.items()]
        )
    number = value[b"big_number"]
    if isinstance(number, bytes):
        return _big_number(number)
    verbatim = value[b"verbatim_string"]
    if is_table(verbatim):
        text, form = verbatim[b"string"], verbatim[b"format"]
        if isinstance(text, bytes) and isinstance(form, bytes):
            reply = Verbatim(text)
            reply.format = form[:3].decode("ascii", "replace")
            return reply
    items: list[Reply] = []
    at = 1
    while (item := value[at]) is not None:
        items.append(_from_lua(item, is_table, resp, depth))
        at += 1
    return items


def _big_number(text: bytes) -> Reply:
    try:
        return BigNumber(text)
    except ValueError:
        return text


def _hashable(value: Reply) -> Any:
    return tuple(value) if isinstance(value, list) else value


def to_integer(number: float) -> int:
    """Return a Lua number as the integer reply it becomes: cut, not rounded."""
    try:
        value = int(number)
    except (OverflowError, ValueError):
        return _LONG_MIN
    return value if _LONG_MIN <= value <= _LONG_MAX else _LONG_MIN


def number_argument(number: float) -> bytes:
    """Return a Lua number as an argument of a command; ``1e8`` becomes ``1e+8``."""
    return format_number(float(number))


def one_line(text: bytes) -> str:
    """Return text that fits into a simple string or an error."""
    return (
        text.replace(b"\r", b" ")
        .replace(b"\n", b" ")
        .decode("utf-8", "surrogateescape")
    )
