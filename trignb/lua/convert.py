"""Replies to Lua values and back.

A script reads replies as RESP2 types them until it calls ``redis.setresp(3)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from trignb.doubles import format_number
from trignb.errors import ResponseError
from trignb.lua.marks import MARKS, Mark
from trignb.reply import (
    BigNumber,
    BigNumberText,
    MapOfPairs,
    NullArray,
    Reply,
    SetOfLists,
    SetReply,
    ShownDouble,
    Status,
    Verbatim,
    to_resp2,
)

__all__ = [
    "LuaTable",
    "from_list",
    "from_lua",
    "number_argument",
    "reply_error",
    "to_lua",
]

LuaTable = Any
MakeTable = Callable[[Any], LuaTable]

# What Lua takes as it is, in lists as well.
_PLAIN: Final = {bytes, int}
_LONG_MIN: Final = -(1 << 63)
_LONG_MAX: Final = (1 << 63) - 1
# The field of an error's table that says that INFO knows of it, as Redis calls it.
COUNTED: Final = b"ignore_error_stats_update"


def to_lua(reply: Reply, table: MakeTable, resp: int) -> Any:
    """Return a reply as the script sees it; `table` makes a Lua table of a dict or list."""
    kind = type(reply)
    if kind is bytes or kind is int:
        return reply
    if kind is list and set(map(type, reply)) <= _PLAIN:
        return table(reply)
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


def reply_error(text: str, counted: bool) -> ResponseError:
    """Return the error reply that an error's table stands for."""
    error = ResponseError(text)
    error.counted = counted
    return error


def from_lua(value: Any, resp: int) -> Reply:
    """Return a value other than a table as a reply; ``resp`` is the script's protocol."""
    kind = type(value)
    if kind is bytes:
        return value
    if kind is int or kind is float:
        return to_integer(value)
    if value is True:
        return True if resp == 3 else 1
    if value is False and resp == 3:
        return False
    return None


class _Open:
    """An aggregate of which elements are still to come."""

    __slots__ = ("items", "left", "mark")

    def __init__(self, mark: Mark, left: int) -> None:
        self.mark = mark
        self.left = left
        self.items: list[Reply] = []


def from_list(
    values: Sequence[Any], resp: int, count_error: Callable[[ResponseError], object]
) -> Reply:
    """Return the reply that a list from Lua (``flatten.lua``) stands for.

    Errors inside of others are counted; one that is all of the reply is by who sends it.
    """
    open_: list[_Open] = []
    at = 0
    while True:
        value = values[at]
        at += 1
        if type(value) is not Mark:
            item = from_lua(value, resp)
        elif value in _AGGREGATES:
            count = values[at]
            at += 1
            if count:
                open_.append(
                    _Open(value, 2 * count if value is MARKS["map"] else count)
                )
                continue
            item = _EMPTY[value]()
        else:
            item, at = _special(value, values, at)
            if open_ and isinstance(item, ResponseError):
                count_error(item)
        while open_:
            innermost = open_[-1]
            innermost.items.append(item)
            innermost.left -= 1
            if innermost.left:
                break
            item = _close(open_.pop())
        else:
            return item


def _special(mark: Mark, values: Sequence[Any], at: int) -> tuple[Reply, int]:
    """Return what a mark and the values behind it stand for, and where the next are."""
    if mark is MARKS["null"]:
        return None, at
    if mark is MARKS["too_deep"]:
        return ResponseError("ERR reached lua stack limit"), at
    text = values[at]
    if mark is MARKS["double"]:
        return float(text), at + 1
    if mark is MARKS["status"]:
        return Status(one_line(text)), at + 1
    if mark is MARKS["error"]:
        return reply_error(one_line(text), values[at + 1]), at + 2
    if mark is MARKS["verbatim"]:
        verbatim = Verbatim(text)
        # Redis's buffer for it holds three letters, filled up with blanks.
        verbatim.format = values[at + 1][:3].ljust(3).decode("ascii", "replace")
        return verbatim, at + 2
    return _big_number(text), at + 1


def _close(aggregate: _Open) -> Reply:
    items = aggregate.items
    if aggregate.mark is MARKS["array"]:
        return items
    try:
        if aggregate.mark is MARKS["set"]:
            members = SetReply(items)
            return members if len(members) == len(items) else SetOfLists(items)
        pairs = dict(zip(items[0::2], items[1::2], strict=True))
    except TypeError:
        pairs = {}
    if aggregate.mark is MARKS["set"]:
        return SetOfLists(items)
    if 2 * len(pairs) == len(items):
        return pairs
    return MapOfPairs(zip(items[0::2], items[1::2], strict=True))


_AGGREGATES: Final = {MARKS["array"], MARKS["map"], MARKS["set"]}
_EMPTY: Final[dict[Mark, Callable[[], Reply]]] = {
    MARKS["array"]: list,
    MARKS["map"]: dict,
    MARKS["set"]: lambda: SetReply([]),
}


def _big_number(text: bytes) -> Reply:
    try:
        number = BigNumber(text)
    except ValueError:
        return BigNumberText(one_line(text).encode("utf-8", "surrogateescape"))
    return number if b"%d" % number == text else BigNumberText(text)


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
    """Return text that fits into a simple string or an error, which C ends at a NUL."""
    return (
        text.split(b"\0", 1)[0]
        .replace(b"\r", b" ")
        .replace(b"\n", b" ")
        .decode("utf-8", "surrogateescape")
    )
