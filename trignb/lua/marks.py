"""Tables from Lua, as one list of values that takes few crossings to read.

`trignb/lua/flatten.lua` takes a table apart; what is not a plain value there is one of these marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

__all__ = ["MARKS", "Mark", "Tree"]


class Mark:
    """Stands for something that is no plain value in a list from Lua."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


MARKS: Final = {
    name: Mark(name)
    for name in (
        "array",
        "big_number",
        "double",
        "error",
        "flat",
        "function",
        "long",
        "map",
        "null",
        "set",
        "status",
        "thread",
        "too_deep",
        "userdata",
        "verbatim",
    )
}

# Lua's stack holds eight thousand values.
_AT_ONCE: Final = 4000


class Tree:
    """Reads values of Lua, whatever their metatables say, and makes tables.

    `null` is Lua's ``cjson.null``.
    """

    def __init__(self, table: Callable[[Any], Any]) -> None:
        self.table = table
        self.null: Any = None
        self._take: Callable[..., Any] = _not_started
        self._slice: Callable[..., Any] = _not_started

    def start(self, api: Any) -> None:
        """Read with these functions of Lua from now on."""
        self.null = api[b"null"]
        self._take, self._slice = api[b"tree"], api[b"slice"]

    def read(self, value: Any, deepest: int, *, stop: bool) -> list[Any]:
        """Return a value as a list: a table is MARKS["map"], the number of its pairs, and they.

        One that lies deeper is MARKS["too_deep"], with which the list ends if it is to `stop`.
        """
        table, length = self._take(value, deepest, stop)
        return self.list(table, int(length))

    def from_pairs(self, pairs: Iterable[tuple[Any, Any]]) -> Any:
        """Return a table of pairs, whose keys may be tables too; later ones win."""
        table = self.table({})
        for key, value in pairs:
            table[key] = value
        return table

    def list(self, table: Any, length: int) -> list[Any]:
        """Return the first elements of a table."""
        values: list[Any] = []
        for first in range(1, length + 1, _AT_ONCE):
            last = min(first + _AT_ONCE - 1, length)
            part = self._slice(table, first, last)
            if first == last:
                values.append(part)
            else:
                values.extend(part)
        return values


def _not_started(*_args: Any) -> Any:
    raise RuntimeError("there is no state of Lua yet")
