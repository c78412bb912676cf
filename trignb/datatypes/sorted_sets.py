"""The sorted set: a dict of scores, and the same sorted by score, then member."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import nextafter
from typing import Final

from sortedcontainers import SortedList

__all__ = ["Entry", "SortedSet"]

Entry = tuple[float, bytes]

_INFINITY: Final = float("inf")
# Redis writes a whole score into a listpack as an integer, which has no minus zero.
_ZERO: Final = 0.0


class SortedSet:
    """Members with scores, in the order of ranks.

    Attributes
    ----------
    scores : dict
        Member to score; read only from outside.
    entries : SortedList of (score, member)
        In the order of ranks; read only. Slice it: 100 entries by slice take 5 µs,
        by `islice` 20.
    is_small : bool
        Whether Redis would keep it in a listpack; only goes to False.
    """

    __slots__ = ("entries", "is_small", "scores")

    def __init__(self, pairs: Iterable[tuple[bytes, float]] = ()) -> None:
        self.scores: dict[bytes, float] = dict(pairs)
        self.entries = SortedList(
            (score, member) for member, score in self.scores.items()
        )
        self.is_small = self._fits(128, 64)

    def __repr__(self) -> str:
        return f"<SortedSet of {len(self)}, {self.encoding}>"

    def __len__(self) -> int:
        return len(self.scores)

    def __contains__(self, member: bytes) -> bool:
        return member in self.scores

    def __iter__(self) -> Iterator[bytes]:
        """Go through the members by rank."""
        return (member for _, member in self.entries)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SortedSet):
            return NotImplemented
        return self.scores == other.scores

    __hash__ = None  # type: ignore[assignment]

    def copy(self) -> SortedSet:
        """Return a sorted set of the same members and the same encoding."""
        twin = SortedSet()
        twin.scores = self.scores.copy()
        twin.entries = self.entries.copy()
        twin.is_small = self.is_small
        return twin

    def parts(self) -> tuple[dict[bytes, float], list[list[Entry]]]:
        """Return the containers the entries are in, to be freed one by one."""
        return self.scores, self.entries._lists

    # -- changing

    def put(
        self, member: bytes, score: float, max_entries: int = 128, max_value: int = 64
    ) -> None:
        """Give a member a score, new or not.

        The limits are ``zset-max-listpack-entries`` and ``-value``.
        """
        scores = self.scores
        old = scores.get(member)
        if old is None:
            if self.is_small and (
                len(scores) >= max_entries or len(member) > max_value
            ):
                self.is_small = False
        elif old == score:
            # Zero and minus zero are equal here, and Redis keeps the old one too.
            return
        else:
            self.entries.remove((old, member))
        if score == 0 and self.is_small:
            score = _ZERO
        scores[member] = score
        self.entries.add((score, member))

    def discard(self, member: bytes) -> bool:
        """Remove a member; tell whether there was one."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        self.entries.remove((score, member))
        return True

    def drop_ranks(self, start: int, stop: int) -> list[Entry]:
        """Remove the entries of ranks start to before stop; returns them."""
        dropped: list[Entry] = self.entries[start:stop]
        del self.entries[start:stop]
        for _, member in dropped:
            del self.scores[member]
        return dropped

    # -- ranks

    def rank(self, member: bytes) -> int:
        """Return the rank of a member that is there, 0 for the lowest score."""
        return int(self.entries.bisect_left((self.scores[member], member)))

    def rank_of_score(self, score: float, *, beyond: bool = False) -> int:
        """Return how many entries have a lower score, or with `beyond` one not higher."""
        if beyond:
            if score == _INFINITY:
                return len(self.scores)
            score = nextafter(score, _INFINITY)
        # A tuple of the score alone sorts before every entry of that score.
        return int(self.entries.bisect_left((score,)))

    # -- encoding

    @property
    def encoding(self) -> str:
        """What OBJECT ENCODING says: ``listpack`` or ``skiplist``."""
        return "listpack" if self.is_small else "skiplist"

    def choose_encoding(self, max_entries: int = 128, max_value: int = 64) -> None:
        """Choose the encoding by contents, as for a sorted set made in one go."""
        self.is_small = self._fits(max_entries, max_value)
        if self.is_small:
            self._drop_minus_zeros()

    def _fits(self, max_entries: int, max_value: int) -> bool:
        return len(self.scores) <= max_entries and (
            max(map(len, self.scores), default=0) <= max_value
        )

    def _drop_minus_zeros(self) -> None:
        zeros = [member for member, score in self.scores.items() if score == 0]
        for member in zeros:
            self.entries.remove((_ZERO, member))
            self.entries.add((_ZERO, member))
            self.scores[member] = _ZERO
