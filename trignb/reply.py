"""What a command can answer, in Python's own types.

Replies are typed as RESP3 types them; `to_resp2` says the same in RESP2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from trignb.doubles import format_double
from trignb.errors import ResponseError

__all__ = [
    "NO_REPLY",
    "NULL_ARRAY",
    "OK",
    "QUEUED",
    "BigNumber",
    "BigNumberText",
    "Encoded",
    "MapOfPairs",
    "Messages",
    "NoReply",
    "NullArray",
    "Reply",
    "SetOfLists",
    "SetReply",
    "ShownDouble",
    "Status",
    "Verbatim",
    "format_double",
    "to_resp2",
]

Reply: TypeAlias = Any


class Status(str):
    """A simple string (``+OK``)."""

    __slots__ = ()


class ShownDouble(float):
    """A double that goes over the wire as a text of its own, ``text``."""

    text: bytes


class Verbatim(bytes):
    """A verbatim string; ``format`` is its three-letter kind, ``txt`` or ``mkd``."""

    format: str = "txt"


class BigNumber(int):
    """A RESP3 big number."""

    __slots__ = ()


class BigNumberText(bytes):
    """A RESP3 big number of a script's, which need not be a number."""

    __slots__ = ()


class MapOfPairs(list[Any]):
    """A map as a list of ``(key, value)``, whose keys Python cannot hash or tell apart."""

    __slots__ = ()


class SetReply(set[Any]):
    """A set reply that goes through its members in the order in which Redis sends them.

    A plain set's order changes with every process, which no notebook could repeat.
    """

    __slots__ = ("order",)

    def __init__(self, order: list[Any]) -> None:
        super().__init__(order)
        self.order = order

    def __iter__(self) -> Iterator[Any]:
        return iter(self.order)

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self.order)) + "}" if self.order else "set()"


class SetOfLists(list[Any]):
    """A RESP3 set whose members are aggregates, which Python cannot hash."""

    __slots__ = ()


class NullArray:
    """RESP2's null array (``*-1``), which RESP3 and Python call null and None."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NULL_ARRAY"

    def __bool__(self) -> bool:
        return False


class NoReply:
    """Stands for the reply of a command that answers by push messages or not at all."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_REPLY"


OK: Final = Status("OK")
QUEUED: Final = Status("QUEUED")
NULL_ARRAY: Final = NullArray()
NO_REPLY: Final = NoReply()


class Encoded(bytes):
    """Bytes of a protocol, sent as they are: part of a reply that speaks another one."""


class Messages(list[Any]):
    """Messages that stand where one reply of a transaction would, each written as a push."""


_LISTS: Final = (list, tuple, SetOfLists, Messages)


def to_resp2(value: Reply) -> Reply:
    """Lower a reply to the types RESP2 has: int, bytes, Status, list, null, error."""
    try:
        return _to_resp2(value)
    except RecursionError:
        # A script's arrays within arrays, thousands deep, which are RESP2's own already.
        return value


def _to_resp2(value: Reply) -> Reply:
    kind = type(value)
    if kind is bytes or kind is int or value is None or kind is Status:
        return value
    if kind in _LISTS:
        return [_to_resp2(item) for item in value]
    if kind is dict:
        flat = []
        for key, item in value.items():
            flat.append(_to_resp2(key))
            flat.append(_to_resp2(item))
        return flat
    if kind is MapOfPairs:
        return [_to_resp2(item) for pair in value for item in pair]
    if kind is SetReply or kind is set or kind is frozenset:
        return [_to_resp2(item) for item in value]
    if kind is float:
        return format_double(value)
    if kind is bool:
        return int(value)
    if kind is Verbatim or kind is BigNumberText:
        return bytes(value)
    if kind is BigNumber:
        return b"%d" % value
    if isinstance(value, (ResponseError, NullArray)):
        return value
    if kind is bytearray or kind is memoryview:
        return bytes(value)
    raise TypeError(f"not a reply: {kind.__name__}")
