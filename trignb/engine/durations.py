"""How long a command's calls took, in buckets: what LATENCY HISTOGRAM and INFO's percentiles are made from.

A bucket is as wide as two significant digits allow, so that a few hundred hold everything up to a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["histogram", "note_duration", "percentiles"]

# Calls by bucket, a bucket being named by its upper end in nanoseconds.
Durations = dict[int, int]

# Bits of a duration that count; so many are told apart in each power of two.
_BITS: Final = 8
_LONGEST_USEC: Final = 1_000_000
# LATENCY HISTOGRAM begins at this power of two, in nanoseconds.
_FIRST_POWER: Final = 10


def note_duration(durations: Durations, usec: int) -> None:
    """Count a call."""
    end = _upper_end(min(usec, _LONGEST_USEC) * 1000 or 1)
    durations[end] = durations.get(end, 0) + 1


def _upper_end(nanoseconds: int) -> int:
    shift = max(nanoseconds.bit_length() - _BITS, 0)
    return ((nanoseconds >> shift) + 1 << shift) - 1


def _lower_end(upper_end: int) -> int:
    shift = max(upper_end.bit_length() - _BITS, 0)
    return upper_end >> shift << shift


def histogram(durations: Durations) -> Iterator[tuple[int, int]]:
    """Yield microseconds, which double, and how many calls took no longer.

    Steps in which no call was added are left out.
    """
    seen, power = 0, _FIRST_POWER
    ends = sorted(durations)
    while seen < len(ends):
        limit = _upper_end(1 << power)
        before, seen = seen, sum(1 for end in ends if end <= limit)
        if seen > before:
            yield limit // 1000, sum(durations[end] for end in ends[:seen])
        power += 1


def percentiles(durations: Durations, wanted: Iterable[float]) -> Iterator[float]:
    """Yield for each percentage the microseconds that as many calls did not exceed."""
    total = sum(durations.values())
    ends = sorted(durations)
    for percentage in wanted:
        if not percentage:
            yield _lower_end(ends[0]) / 1000
            continue
        rank = max(int(percentage / 100 * total + 0.5), 1)
        for end in ends:
            rank -= durations[end]
            if rank <= 0:
                yield end / 1000
                break
