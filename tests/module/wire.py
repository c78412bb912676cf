"""Replies as they stand on the wire: types and order of everything are kept.

`oracle.wire` reads replies into Python's own types, which forget whether a text was a status
or a bulk string, and in which order the fields of a map came. Here both matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from oracle.wire import Connection

__all__ = ["Link", "Raw", "show"]

_AGGREGATES = frozenset("*%~>")


@dataclass(frozen=True)
class Raw:
    """One reply: its type byte and what follows it.

    ``value`` is a text for what has a line, bytes for what has a length, None for a null and
    a list for an aggregate; the items of a map are its keys and values in turn.
    """

    kind: str
    value: str | bytes | list[Raw] | None

    @property
    def items(self) -> list[Raw]:
        """The items of an aggregate; none for anything else."""
        return self.value if isinstance(self.value, list) else []


class Link(Connection):
    """A client whose replies are `Raw`; pushes that come before a reply wait in `raw_pushes`."""

    def __init__(self, port: int, resp: int = 2) -> None:
        self.raw_pushes: list[Raw] = []
        super().__init__(port, resp)

    def ask(self, *args: str | bytes) -> Raw:
        """Send one command and return its reply."""
        self.send(*args)
        return self.raw_reply()

    def raw_reply(self) -> Raw:
        """Return the next reply, keeping the pushes before it."""
        while (message := self._raw()).kind == ">":
            self.raw_pushes.append(message)
        return message

    def _raw(self) -> Raw:
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = chr(line[0]), line[1:-2]
        if kind in _AGGREGATES:
            if rest == b"-1":
                return Raw(kind, None)
            count = int(rest) * (2 if kind == "%" else 1)
            return Raw(kind, [self._raw() for _ in range(count)])
        if kind in "$=":
            size = int(rest)
            return Raw(kind, None if size < 0 else self.reader.read(size + 2)[:-2])
        return Raw(kind, rest.decode("utf-8", "backslashreplace"))


Shown: TypeAlias = str


def show(raw: Raw) -> Shown:
    """Return a reply as a text that tells all of it."""
    if isinstance(raw.value, list):
        return f"{raw.kind}[{', '.join(map(show, raw.value))}]"
    if isinstance(raw.value, bytes):
        return f"{raw.kind}{repr(raw.value)[1:]}"
    return f"{raw.kind}{'-1' if raw.value is None else raw.value}"
