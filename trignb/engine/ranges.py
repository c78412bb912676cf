"""Ranges of a sorted set: by rank, by score, by member, and what is left of them.

A range is resolved once, to the ranks ``start`` to before ``stop``; every command works on those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trignb.engine.args import to_float
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


def _score_end(text: bytes) -> tuple[float, bool]:
    excluded = text[:1] == b"("
    error = "ERR min or max is not a float"
    return to_float(text[1:] if excluded else text, error), excluded


# Ends of a range of members: before everything, a member, after everything.
_FIRST: Final = (0, b"")
_LAST: Final = (2, b"")


@dataclass(frozen=True, slots=True)
class LexRange:
    """Members from ``low`` to ``high``, for entries that all have one score."""

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

    def ranks(self, zset: SortedSet) -> tuple[int, int]:
        """Return the ranks of the entries in the range."""
        start = self._rank(zset, self.low, self.low_excluded)
        stop = self._rank(zset, self.high, not self.high_excluded)
        return (start, stop) if start < stop else (0, 0)

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
