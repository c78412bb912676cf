"""Which triggers hear of a key: prefixes are looked up, never scanned.

Every prefix is a key of one dict. A key is cut to the shortest length that any prefix has; what
is left of it (the head) says which lengths are worth a look-up. So a key that matches nothing costs
one slice and one look-up, however many prefixes there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

__all__ = ["PrefixIndex"]


class Prefixed(Protocol):
    """What can be found by the prefix of a key."""

    @property
    def prefix(self) -> bytes:
        """What keys begin with; empty for all keys."""

    @property
    def position(self) -> int:
        """Place in the order in which the found are returned."""


T = TypeVar("T", bound=Prefixed)


class PrefixIndex(Generic[T]):
    """Items by prefix.

    Attributes
    ----------
    everywhere : tuple
        Items of the empty prefix.
    head_size : int
        Length of the shortest other prefix.
    heads : dict
        First `head_size` bytes of a key to the prefix lengths to try, ascending.
    """

    def __init__(self, items: Iterable[T] = ()) -> None:
        by_prefix: dict[bytes, list[T]] = {}
        for item in sorted(items, key=lambda item: item.position):
            by_prefix.setdefault(item.prefix, []).append(item)
        self.everywhere: tuple[T, ...] = tuple(by_prefix.pop(b"", ()))
        self._by_prefix = {p: tuple(found) for p, found in by_prefix.items()}
        self.head_size = min(map(len, by_prefix), default=0)
        lengths: dict[bytes, set[int]] = {}
        for prefix in by_prefix:
            lengths.setdefault(prefix[: self.head_size], set()).add(len(prefix))
        self.heads = {head: tuple(sorted(sizes)) for head, sizes in lengths.items()}

    def find(self, key: bytes) -> tuple[T, ...]:
        """Return the items whose prefix the key begins with, by position."""
        lengths = self.heads.get(key[: self.head_size])
        if lengths is None:
            return self.everywhere
        return self.among(lengths, key)

    def among(self, lengths: tuple[int, ...], key: bytes) -> tuple[T, ...]:
        """Return what `find` does, for a key whose head was found."""
        get, size = self._by_prefix.get, len(key)
        found = self.everywhere
        groups = bool(found)
        for length in lengths:
            if length > size:
                break
            hit = get(key[:length])
            if hit is not None:
                found = found + hit if groups else hit
                groups = True
        if len(found) > 1:
            found = tuple(sorted(found, key=_position))
        return found


def _position(item: Prefixed) -> int:
    return item.position
