"""Ranges of a sorted set: by rank, by score, by member, and what is left of them.

A range is resolved once, to the ranks ``start`` to before ``stop``; every command works on those.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.datatypes import SortedSet

__all__ = ["LexRange", "ScoreRange", "clip", "limit_ranks"]


@dataclass(frozen=True, slots=True)
class ScoreRange:
    """Scores from ``low`` to ``high``; an end can be excluded."""

    low: float
    high: float
    low_excluded: bool
    high_excluded: bool

    @classmethod
    def parse(cls, low: bytes, high: bytes) -> ScoreRange:
        """Read two ends, ``1.5``, ``(1.5``, ``-inf``."""
        a, a_excluded = _score_end(low)
        b, b_excluded = _score_end(high)
        return cls(a, b, a_excluded, b_excluded)

    def ranks(self, zset: SortedSet) -> tuple[int, int]:
        """Return the ranks of the entries in the range."""
        start = zset.rank_of_score(self.low, beyond=self.low_excluded)
        stop = zset.rank_of_score(self.high, beyond=not self.high_excluded)
        return (start, stop) if start < stop else (0, 0)


# What C's strtod takes: blanks in front, a zero byte ends the text, nothing at all is zero.
_NUMBER = re.compile(
    rb"(?:[ \t\n\v\f\r]*(?P<number>[+-]?(?:inf(?:inity)?"
    rb"|(?P<hex>0x)(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?"
    rb"|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)))?(?:\0.*)?",
    re.IGNORECASE | re.DOTALL,
)


def _score_end(text: bytes) -> tuple[float, bool]:
    excluded = text[:1] == b"("
    match = _NUMBER.fullmatch(text, excluded)
    if match is None:
        raise ResponseError("ERR min or max is not a float")
    number = match["number"]
    if number is None:
        return 0.0, excluded
    if match["hex"] is None:
        return float(number), excluded
    try:
        return float.fromhex(number.decode()), excluded
    except OverflowError:
        return -inf if number[:1] == b"-" else inf, excluded


# Ends of a range of members: before everything, a member, after everything.
_FIRST: Final = (0, b"")
_LAST: Final = (2, b"")


@dataclass(frozen=True, slots=True)
class LexRange:
    """Members from ``low`` to ``high``.

    Where all entries have one score the members ascend, and both ends are searched.
    Otherwise Redis walks on from the first member that is not below ``low`` until
    one is above ``high``, and so do we.
    """

    low: tuple[int, bytes]
    high: tuple[int, bytes]
    low_excluded: bool
    high_excluded: bool

    @classmethod
    def parse(cls, low: bytes, high: bytes) -> LexRange:
        """Read two ends, ``[a``, ``(a``, ``-``, ``+``."""
        a, a_excluded = _lex_end(low)
        b, b_excluded = _lex_end(high)
        return cls(a, b, a_excluded, b_excluded)

    def ranks(
        self,
        zset: SortedSet,
        offset: int = 0,
        count: int = -1,
        *,
        reverse: bool = False,
    ) -> tuple[int, int]:
        """Return the ranks of the entries in the range, limited from where it begins."""
        if not self._can_match():
            return 0, 0
        entries = zset.entries
        if entries[0][0] == entries[-1][0]:
            start = self._rank(zset, self.low, self.low_excluded)
            stop = self._rank(zset, self.high, not self.high_excluded)
            return limit_ranks(start, stop, offset, count, reverse=reverse)
        if (
            offset < 0
            or self._is_below(entries[-1][1])
            or self._is_above(entries[0][1])
        ):
            return 0, 0
        if reverse:
            return self._walk_down(zset, offset, count)
        return self._walk_up(zset, offset, count)

    def _can_match(self) -> bool:
        if self.low == self.high:
            return not (self.low_excluded or self.high_excluded)
        return self.low < self.high

    def _is_below(self, member: bytes) -> bool:
        entry = (1, member)
        return entry <= self.low if self.low_excluded else entry < self.low

    def _is_above(self, member: bytes) -> bool:
        entry = (1, member)
        return entry >= self.high if self.high_excluded else entry > self.high

    def _walk_up(self, zset: SortedSet, offset: int, count: int) -> tuple[int, int]:
        entries, n = zset.entries, len(zset)
        start = self._first(zset)
        if start == n or self._is_above(entries[start][1]):
            return 0, 0
        start = stop = start + offset
        if start >= n:
            return 0, 0
        for _, member in entries.islice(start):
            if count == stop - start or self._is_above(member):
                break
            stop += 1
        return start, stop

    def _walk_down(self, zset: SortedSet, offset: int, count: int) -> tuple[int, int]:
        entries = zset.entries
        last = self._last(zset)
        if last < 0 or self._is_below(entries[last][1]):
            return 0, 0
        start = stop = last - offset + 1
        if stop <= 0:
            return 0, 0
        for _, member in entries.islice(0, stop, reverse=True):
            if count == stop - start or self._is_below(member):
                break
            start -= 1
        return start, stop

    def _first(self, zset: SortedSet) -> int:
        """Return the rank of the first member that is not below the range."""
        entries = zset.entries
        if zset.is_small:
            walked = enumerate(entries)
            found = (i for i, (_, member) in walked if not self._is_below(member))
            return next(found, len(entries))
        # A skiplist is searched as if its members ascended.
        return bisect_left(
            range(len(entries)), True, key=lambda i: not self._is_below(entries[i][1])
        )

    def _last(self, zset: SortedSet) -> int:
        """Return the rank of the last member that is not above the range, or -1."""
        entries = zset.entries
        if zset.is_small:
            ranks = range(len(entries) - 1, -1, -1)
            return next((i for i in ranks if not self._is_above(entries[i][1])), -1)
        return (
            bisect_left(
                range(len(entries)), True, key=lambda i: self._is_above(entries[i][1])
            )
            - 1
        )

    @staticmethod
    def _rank(zset: SortedSet, end: tuple[int, bytes], beyond: bool) -> int:
        if end == _FIRST:
            return 0
        if end == _LAST:
            return len(zset)
        score = zset.entries[0][0]
        entry = (score, end[1])
        if beyond:
            return int(zset.entries.bisect_right(entry))
        return int(zset.entries.bisect_left(entry))


def _lex_end(text: bytes) -> tuple[tuple[int, bytes], bool]:
    if text == b"-":
        return _FIRST, False
    if text == b"+":
        return _LAST, False
    if text[:1] == b"[":
        return (1, text[1:]), False
    if text[:1] == b"(":
        return (1, text[1:]), True
    raise ResponseError("ERR min or max not valid string range item")


def clip(start: int, stop: int, n: int) -> tuple[int, int]:
    """Return Redis's inclusive index range as ``0 ≤ start ≤ stop ≤ n``, stop excluded."""
    if start < 0:
        start = max(start + n, 0)
    if stop < 0:
        stop += n
    stop = min(stop + 1, n)
    return (start, stop) if start < stop else (0, 0)


def limit_ranks(
    start: int, stop: int, offset: int, count: int, *, reverse: bool
) -> tuple[int, int]:
    """Apply ``LIMIT offset count`` to a range of ranks, from its end when reversed."""
    if offset < 0:
        return 0, 0
    n = max(stop - start - offset, 0)
    if count >= 0:
        n = min(n, count)
    if reverse:
        stop -= offset
        return (stop - n, stop) if n else (0, 0)
    start += offset
    return (start, start + n) if n else (0, 0)
