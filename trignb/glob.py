r"""Redis's glob patterns (KEYS, SCAN, PSUBSCRIBE, CONFIG GET), compiled once and kept.

``*`` any run, ``?`` any byte, ``[a-z]`` and ``[^x]`` classes, ``\`` takes the next byte as it is. What is
odd is Redis's own: a class that is not closed ends with the pattern, bytes of a range are signed,
and no pattern but the empty one and a lone ``*`` matches the empty string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

__all__ = ["matcher"]

# A pattern with more stars that something follows matches nothing, as in Redis 7.2.6.
_MOST_STARS: Final = 1000
_NEVER: Final = b"(?!)"


@lru_cache(maxsize=1024)
def matcher(pattern: bytes, ignore_case: bool = False) -> Callable[[bytes], object]:
    """Return a callable that is truthy for the byte strings `pattern` matches."""
    if pattern == b"*":
        return _anything
    if pattern and not pattern.strip(b"*"):
        return bool
    if not ignore_case and not any(c in pattern for c in b"*?[\\"):
        return pattern.__eq__
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return re.compile(_to_regex(pattern, ignore_case), flags).fullmatch


def _anything(_: bytes) -> bool:
    return True


def _to_regex(pattern: bytes, ignore_case: bool) -> bytes:
    """Translate a pattern; each element but ``*`` stands for exactly one byte."""
    runs: list[list[bytes]] = [[]]
    i, n = 0, len(pattern)
    while i < n:
        c = pattern[i : i + 1]
        i += 1
        if c == b"*":
            if runs[-1] or len(runs) == 1:
                runs.append([])
        elif c == b"?":
            i, count = _count_same(pattern, i)
            runs[-1].append(b".{%d}" % count if count > 1 else b".")
        elif c == b"[":
            part, i = _class_to_regex(pattern, i, ignore_case)
            runs[-1].append(part)
        else:
            if c == b"\\" and i < n:
                c = pattern[i : i + 1]
                i += 1
            runs[-1].append(re.escape(c))
    return _join(list(map(b"".join, runs)))


def _count_same(pattern: bytes, i: int) -> tuple[int, int]:
    """Count the ``?`` that stand from just before `i` on; returns where they end."""
    end = i
    while pattern[end : end + 1] == b"?":
        end += 1
    return end, end - i + 1


def _join(runs: list[bytes]) -> bytes:
    """Put stars between runs, each of which may be taken where it first occurs.

    The atomic groups say so: many stars would take exponential time without them.
    """
    if len(runs) == 1:
        return runs[0]
    first, *inner, last = runs
    if len(inner) + bool(last) > _MOST_STARS:
        return _NEVER
    return first + b"".join(b"(?>.*?%b)" % run for run in inner) + b".*" + last


def _class_to_regex(pattern: bytes, i: int, ignore_case: bool) -> tuple[bytes, int]:
    """Translate the class that opens just before `i`; returns where the rest begins."""
    n = len(pattern)
    negated = pattern[i : i + 1] == b"^"
    if negated:
        i += 1
    members: set[int] = set()
    while i < n and pattern[i : i + 1] != b"]":
        low = pattern[i]
        if low == 0x5C and i + 1 < n:
            i += 1
            members.add(pattern[i])
        elif pattern[i + 1 : i + 2] == b"-" and i + 2 < n:
            members |= _range(low, pattern[i + 2], ignore_case)
            i += 2
        else:
            members.add(low)
        i += 1
    i += 1
    if not members:
        return (b"." if negated else _NEVER), i
    body = b"".join(re.escape(bytes([m])) for m in sorted(members))
    return b"[" + (b"^" if negated else b"") + body + b"]", i


def _range(low: int, high: int, ignore_case: bool) -> set[int]:
    """Return the bytes of a range, either end first; bytes are C's signed char."""
    first, last = sorted((_signed(low), _signed(high)))
    if ignore_case:
        first, last = _lower(first), _lower(last)
    return {code & 0xFF for code in range(first, last + 1)}


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def _lower(code: int) -> int:
    return code + 32 if 65 <= code <= 90 else code
