"""The list: two arrays back to back, so that both ends are cheap and the middle is not far.

Redis keeps a short list in one listpack and a long one in a quicklist. `List` counts bytes
only while it is short; whether a long one has become short again is found out when asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from trignb.datatypes.listpack import FRAME, entry_size, listpack_size

__all__ = ["List"]

# Bytes that ``list-max-listpack-size`` -1 … -5 stands for.
_SIZES: Final = (4096, 8192, 16384, 32768, 65536)
# The bound in bytes where the limit is a number of elements.
_SAFE_SIZE: Final = 8192
# What an entry takes beyond its text, at most.
_ENTRY_BOUND: Final = 8


class List:
    """Elements in order.

    Parameters
    ----------
    fill : int
        Redis's ``list-max-listpack-size``: a number of elements, or -1 … -5 for bytes.
    elements : iterable of bytes
        What it starts with; a list made this way chooses its encoding as a loaded one does.
    """

    __slots__ = (
        *("_first", "_head", "_is_small", "_long_at", "_tail", "_weight"),
        "fill",
    )

    def __init__(self, fill: int = -2, elements: Iterable[bytes] = ()) -> None:
        self.fill = fill
        # The first elements, last one first, then the rest: [2, 1, 0] + [3, 4, 5].
        self._head: list[bytes] = []
        self._tail: list[bytes] = []
        self._is_small = True
        # Not below the listpack's size; meaningless once the list is long.
        self._weight = FRAME
        # The length at which it is long though it could be short: that of a loaded one,
        # or of one that has just become long. Only what is taken away makes it short.
        self._long_at = -1
        # How many elements became the first piece of a quicklist together.
        self._first = 0
        if elements:
            self._tail += elements
            self._choose_encoding()

    @classmethod
    def loaded_long(cls, fill: int, elements: Iterable[bytes]) -> List:
        """Return a list that stays a quicklist, however short, until something is taken away."""
        loaded = cls(fill)
        loaded._tail += elements
        loaded._is_small, loaded._long_at = False, len(loaded._tail)
        return loaded

    def __repr__(self) -> str:
        return f"<List of {len(self)}, {self.encoding}>"

    def __len__(self) -> int:
        return len(self._head) + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        return chain(reversed(self._head), self._tail)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, List):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def copy(self) -> List:
        """Return a list of the same elements and the same encoding."""
        twin = List(self.fill)
        twin._head, twin._tail = self._head[:], self._tail[:]
        twin._is_small, twin._weight = self._is_small, self._weight
        twin._long_at, twin._first = self._long_at, self._first
        return twin

    def parts(self) -> tuple[list[bytes], ...]:
        """Return the containers the elements are in, to be freed one by one."""
        return self._head, self._tail

    # -- reading

    def __getitem__(self, index: int) -> bytes:
        """Return the element at an index of ``range(len(self))``."""
        behind = index - len(self._head)
        return self._tail[behind] if behind >= 0 else self._head[~index]

    def slice(self, start: int, stop: int) -> list[bytes]:
        """Return the elements from start to before stop, 0 ≤ start ≤ stop ≤ length."""
        head = self._head
        h = len(head)
        if start >= h:
            return self._tail[start - h : stop - h]
        front = head[max(h - stop, 0) : h - start]
        front.reverse()
        return front if stop <= h else front + self._tail[: stop - h]

    # -- the ends

    def push_left(self, elements: Sequence[bytes]) -> None:
        """Put elements in front one after the other: the last one comes first."""
        if self._is_small or self._long_at >= 0:
            self._push(elements)
        self._head += elements

    def push_right(self, elements: Sequence[bytes]) -> None:
        """Put elements behind one after the other."""
        if self._is_small or self._long_at >= 0:
            self._push(elements)
        self._tail += elements

    def pop_left(self) -> bytes:
        """Take the first element."""
        if not self._head:
            self._level()
        return self._head.pop()

    def pop_right(self) -> bytes:
        """Take the last element."""
        if not self._tail:
            self._level()
        return self._tail.pop() if self._tail else self._head.pop()

    def pop_left_many(self, count: int) -> list[bytes]:
        """Take up to count elements from the front, in the order of single pops."""
        popped = self.slice(0, min(count, len(self)))
        self.drop_left(len(popped))
        return popped

    def pop_right_many(self, count: int) -> list[bytes]:
        """Take up to count elements from the back, in the order of single pops."""
        n = len(self)
        popped = self.slice(max(n - count, 0), n)
        popped.reverse()
        self.drop_right(len(popped))
        return popped

    def drop_left(self, count: int) -> None:
        """Forget the first count elements, 0 ≤ count ≤ length."""
        if count > len(self._head):
            self._level()
        h = len(self._head)
        if count <= h:
            del self._head[h - count :]
        else:
            del self._tail[: count - h]
            self._head.clear()

    def drop_right(self, count: int) -> None:
        """Forget the last count elements, 0 ≤ count ≤ length."""
        if count > len(self._tail):
            self._level()
        t = len(self._tail)
        if count <= t:
            del self._tail[t - count :]
        else:
            del self._head[: count - t]
            self._tail.clear()

    # -- the middle

    def __setitem__(self, index: int, element: bytes) -> None:
        """Replace the element at an index of ``range(len(self))``."""
        if self._is_small:
            self._grow((element,))
        self._long_at = -1
        behind = index - len(self._head)
        if behind >= 0:
            self._tail[behind] = element
        else:
            self._head[~index] = element

    def insert(self, index: int, element: bytes) -> None:
        """Put an element before the one at index, 0 ≤ index ≤ length."""
        if self._is_small or self._long_at >= 0:
            self._push((element,))
        behind = index - len(self._head)
        if behind >= 0:
            self._tail.insert(behind, element)
        else:
            self._head.insert(-behind, element)

    def remove(self, element: bytes, count: int = 0) -> int:
        """Remove equal elements, as LREM: the first count, the last -count, or all."""
        elements = list(self)
        found = elements.count(element)
        if not found:
            return 0
        wanted = min(abs(count) or found, found)
        if wanted == found:
            kept = [e for e in elements if e != element]
        elif count > 0:
            kept = _without_first(elements, element, wanted)
        else:
            elements.reverse()
            kept = _without_first(elements, element, wanted)
            kept.reverse()
        self._head, self._tail = [], kept
        return wanted

    # -- encoding

    def adopt(self, fill: int) -> None:
        """Take another limit, which was set meanwhile; a long list keeps the one it has."""
        if self._is_small:
            self.fill = fill

    def make_room(self, element: bytes) -> None:
        """Become long if another element would make it so, which may then not come."""
        was_small = self._is_small
        if was_small:
            self._grow((element,))
        if was_small and not self._is_small:
            self._long_at = len(self)

    @property
    def encoding(self) -> str:
        """What OBJECT ENCODING says: ``listpack`` or ``quicklist``."""
        if not self._is_small and len(self) != self._long_at:
            self._shrink()
        return "listpack" if self._is_small else "quicklist"

    def nodes(self) -> Iterable[list[bytes]]:
        """Cut the list as Redis has it: in one listpack, or the pieces of a quicklist.

        Pieces are exact where elements came from one side and none has left; a quicklist that was
        changed otherwise may be cut elsewhere.
        """
        if self._is_small:
            return [list(self)]
        if self._tail:
            return self._packed(self)
        # Filled from the right, each piece with its last element first.
        pieces = list(self._packed(self._head))
        for piece in pieces:
            piece.reverse()
        return reversed(pieces)

    def _packed(self, elements: Iterable[bytes]) -> Iterator[list[bytes]]:
        """Cut elements into pieces that a listpack may hold, each as full as can be."""
        most = max(self.fill, 1) if self.fill >= 0 else sys.maxsize
        node: list[bytes] = []
        size = 0
        # Redis goes by a bound of what an element takes, not by what it will take.
        room = self._limit - FRAME - _ENTRY_BOUND
        first = self._first
        for element in elements:
            if (
                node
                and (len(node) >= most or size + len(element) > room)
                and (len(node) >= first or size > 2 * room)
            ):
                yield node
                node, size, first = [], 0, 0
            node.append(element)
            size += entry_size(element)
        yield node

    @property
    def _limit(self) -> int:
        """Bytes that a listpack may take."""
        return _SAFE_SIZE if self.fill >= 0 else _SIZES[min(~self.fill, 4)]

    def _choose_encoding(self) -> None:
        """Choose by what is there, as for a list made in one go."""
        self._weight = listpack_size(self)
        self._is_small = self._weight <= self._limit and (
            self.fill < 0 or len(self) <= max(self.fill, 1)
        )

    def _push(self, elements: Sequence[bytes]) -> None:
        """Take note that elements are put in, before they are."""
        was_whole = len(self) == self._long_at
        if self._is_small:
            self._grow(elements)
            was_whole = not self._is_small
        self._long_at = len(self) + len(elements) if was_whole else -1

    def _grow(self, elements: Sequence[bytes]) -> None:
        """Take note that a short list gets elements, before it does."""
        fill, n = self.fill, len(elements)
        added = sum(map(len, elements))
        limit = self._limit
        # No entry of fewer than 4096 bytes takes more than four beyond its text.
        self._weight += added + 4 * n + (added >> 8)
        if self._weight > limit:
            size = listpack_size(self)
            if size + added > limit:
                self._is_small, self._first = False, len(self)
            self._weight = size + added + 4 * n + (added >> 8)
        if fill >= 0 and len(self) + n > max(fill, 1):
            self._is_small, self._first = False, len(self)

    def _shrink(self) -> None:
        """Find out whether a long list has shrunk to half of what a listpack may hold."""
        if self.fill >= 0:
            # A quicklist of several nodes stays one.
            most, size = max(self.fill, 1) // 2, _SAFE_SIZE
        else:
            size = self._limit // 2
            most = size // 2
        if len(self) > most:
            return
        weight = listpack_size(self)
        if weight <= size or (self.fill >= 0 and self._has_one_node()):
            self._is_small, self._weight, self._first = True, weight, 0

    def _has_one_node(self) -> bool:
        return len(list(islice(self.nodes(), 2))) == 1

    def _level(self) -> None:
        """Give both arrays half of the elements; what empties one end pays for the next."""
        elements = list(self)
        half = (len(elements) + 1) // 2
        self._head, self._tail = elements[:half], elements[half:]
        self._head.reverse()


def _without_first(elements: list[bytes], element: bytes, count: int) -> list[bytes]:
    kept: list[bytes] = []
    start = 0
    for _ in range(count):
        found = elements.index(element, start)
        kept += elements[start:found]
        start = found + 1
    kept += elements[start:]
    return kept
