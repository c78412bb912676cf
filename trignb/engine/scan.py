"""Cursors that survive changes: what SCAN, HSCAN, SSCAN and ZSCAN share.

Redis walks the buckets of a hash table; a dict has none to show. Here the first page is read straight
from the dict, the second takes down what is left, and the following ones read from that list. So a whole
scan costs one copy of the names, every page but the second costs its own length, and what is there from
the first page to the last is returned, whatever comes and goes meanwhile.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from itertools import count, dropwhile, islice
from typing import Any, Final, NamedTuple

from trignb.engine.args import syntax_error, to_int
from trignb.errors import ResponseError
from trignb.glob import matcher

__all__ = ["Cursors", "ScanOptions", "parse_cursor", "parse_options"]

# Scans that were begun and not ended are forgotten, the one that rested longest first.
_KEPT: Final = 256

# A cursor is the walk's number, then how far it got.
_POSITION_BITS: Final = 32
_POSITION: Final = (1 << _POSITION_BITS) - 1

_BLANKS: Final = b" \t\n\v\f\r"


class _Walk:
    """One scan: the names of its first page, then a list of the rest."""

    __slots__ = ("first", "place", "rest")

    def __init__(self, place: Hashable, first: Collection[bytes]) -> None:
        self.place = place
        self.first = frozenset(first)
        self.rest: list[bytes] | None = None

    def names_left(self, container: Mapping[bytes, Any]) -> list[bytes]:
        """Return what the first page left over, taken down when first asked for."""
        if self.rest is None:
            # Dicts append: what the first page gave and still stands in its place comes
            # first, then everything it did not give.
            self.rest = list(dropwhile(self.first.__contains__, container))
        return self.rest


class Cursors:
    """The scans of one engine that are under way."""

    def __init__(self) -> None:
        self._walks: OrderedDict[int, _Walk] = OrderedDict()
        self._numbers = count(1)

    def page(
        self,
        cursor: int,
        size: int,
        container: Mapping[bytes, Any],
        place: Hashable,
    ) -> tuple[int, list[bytes]]:
        """Return the next cursor and this page's names, those that are there now.

        Parameters
        ----------
        cursor : int
            0 begins. An unknown or forgotten one begins again, so nothing is missed.
        size : int
            How many names are looked at (COUNT).
        container : mapping
            What is walked. In order of insertion, as every dict is.
        place : hashable
            Which container that is, by name: ``(database, key)``, ``(database, None)`` for
            the keys themselves. It may be another object at the next call.
        """
        number, at = cursor >> _POSITION_BITS, cursor & _POSITION
        walk = self._walks.get(number)
        if walk is None or walk.place != place:
            return self._begin(size, container, place)
        names = walk.names_left(container)
        page = [name for name in names[at : at + size] if name in container]
        if at + size >= len(names):
            del self._walks[number]
            return 0, page
        self._walks.move_to_end(number)
        return number << _POSITION_BITS | (at + size), page

    def _begin(
        self, size: int, container: Mapping[bytes, Any], place: Hashable
    ) -> tuple[int, list[bytes]]:
        page = list(islice(container, size))
        if len(page) == len(container):
            return 0, page
        number = next(self._numbers)
        self._walks[number] = _Walk(place, page)
        if len(self._walks) > _KEPT:
            self._walks.popitem(last=False)
        return number << _POSITION_BITS, page


class ScanOptions(NamedTuple):
    """What follows the cursor; ``matches`` is None where everything does."""

    matches: Callable[[bytes], object] | None = None
    # Hides tuple's method of that name, which nobody needs here.
    count: int = 10  # type: ignore[assignment]
    kind: bytes | None = None


def parse_cursor(text: bytes) -> int:
    """Return the cursor Redis reads: C's ``strtoul``, refusing what is left over."""
    # A C string ends at its first NUL, and an empty one is 0; a sign is taken.
    text = text.partition(b"\0")[0]
    sign = text[:1] if text[:1] in (b"-", b"+") else b""
    digits = text[len(sign) :]
    if digits.isdigit() and int(digits) < 1 << 64:
        value = int(digits)
        return (1 << 64) - value if sign == b"-" and value else value
    if text == b"":
        return 0
    raise ResponseError("ERR invalid cursor")


def parse_options(
    args: list[bytes], start: int, *, with_type: bool = False
) -> ScanOptions:
    """Return the options from ``args[start]`` on; TYPE only where Redis takes it."""
    matches: Callable[[bytes], object] | None = None
    size, kind = 10, None
    for i in range(start, len(args), 2):
        word = args[i].upper()
        if i + 1 == len(args):
            raise syntax_error()
        value = args[i + 1]
        if word == b"COUNT":
            size = to_int(value)
            if size < 1:
                raise syntax_error()
        elif word == b"MATCH":
            matches = None if value == b"*" else matcher(value)
        elif word == b"TYPE" and with_type:
            kind = value
        else:
            raise syntax_error()
    return ScanOptions(matches, size, kind)
