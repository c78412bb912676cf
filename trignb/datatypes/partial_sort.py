"""The beginning of what sorting would give, with equal elements where Redis has them.

Redis sorts only as far as the result is asked for, by a quicksort that leaves out the other parts. It
is not stable, so which of several equal elements make it into the result is decided by its very steps.
Source: Bentley and McIlroy, "Engineering a sort function", 1993.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

__all__ = ["first_sorted"]

T = TypeVar("T")


def first_sorted(items: list[T], key: Callable[[T], float], count: int) -> list[T]:
    """Return the `count` items with the smallest keys, in order."""
    ordered = sorted(items, key=key)
    if count >= len(items):
        return ordered
    keys = [key(item) for item in ordered[: count + 1]]
    if all(a != b for a, b in pairwise(keys)):
        # Nothing is equal that could change places: any sort gives this.
        return ordered[:count]
    sorter = _Sorter([key(item) for item in items], count)
    sorter.sort(0, len(items))
    return [items[i] for i in sorter.order[:count]]


class _Sorter:
    """Sorts indices by their keys as far as the first `count` places need it."""

    def __init__(self, keys: list[float], count: int) -> None:
        self.order = list(range(len(keys)))
        self._keys = keys
        self._count = count

    def _key(self, place: int) -> float:
        return self._keys[self.order[place]]

    def _swap(self, a: int, b: int) -> None:
        order = self.order
        order[a], order[b] = order[b], order[a]

    def _swap_runs(self, a: int, b: int, length: int) -> None:
        for i in range(length):
            self._swap(a + i, b + i)

    def sort(self, start: int, n: int) -> None:
        """Sort `n` places from `start` on."""
        while n >= 7:
            self._swap(start, self._pivot(start, n))
            less, more = self._partition(start, n)
            if less > 1:
                self.sort(start, less)
            if more <= 1:
                return
            start, n = start + n - more, more
            if start >= self._count:
                return
        self._insert(start, n)

    def _insert(self, start: int, n: int) -> None:
        for end in range(start + 1, start + n):
            at = end
            while at > start and self._key(at - 1) > self._key(at):
                self._swap(at, at - 1)
                at -= 1

    def _pivot(self, start: int, n: int) -> int:
        low, middle, high = start, start + n // 2, start + n - 1
        if n == 7:
            return middle
        if n > 40:
            d = n // 8
            low = self._median(low, low + d, low + 2 * d)
            middle = self._median(middle - d, middle, middle + d)
            high = self._median(high - 2 * d, high - d, high)
        return self._median(low, middle, high)

    def _median(self, a: int, b: int, c: int) -> int:
        x, y, z = self._key(a), self._key(b), self._key(c)
        if x < y:
            return b if y < z else c if x < z else a
        return b if y > z else a if x < z else c

    def _partition(self, start: int, n: int) -> tuple[int, int]:
        """Part by the first key; returns how many are less and how many more.

        Equal ones are gathered at both ends, then brought to the middle.
        """
        pivot = self._key(start)
        left = up = start + 1
        right = down = end = start + n - 1
        while True:
            while up <= down and self._key(up) <= pivot:
                if self._key(up) == pivot:
                    self._swap(left, up)
                    left += 1
                up += 1
            while up <= down and self._key(down) >= pivot:
                if self._key(down) == pivot:
                    self._swap(down, right)
                    right -= 1
                down -= 1
            if up > down:
                break
            self._swap(up, down)
            up += 1
            down -= 1
        run = min(left - start, up - left)
        self._swap_runs(start, up - run, run)
        run = min(right - down, end - right)
        self._swap_runs(up, end + 1 - run, run)
        return up - left, right - down
