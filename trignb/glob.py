r"""Redis's glob patterns (KEYS, SCAN, PSUBSCRIBE, CONFIG GET), compiled once and kept.

``*`` any run, ``?`` any byte, ``[a-z]`` and ``[^x]`` classes, ``\\`` takes the next byte as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

__all__ = ["matcher"]


@lru_cache(maxsize=1024)
def matcher(pattern: bytes, ignore_case: bool = False) -> Callable[[bytes], object]:
    """Return a callable that is truthy for the byte strings `pattern` matches."""
    if pattern == b"*":
        return _anything
    if not ignore_case and not any(c in pattern for c in b"*?[\\"):
        return pattern.__eq__
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return re.compile(_to_regex(pattern), flags).fullmatch


def _anything(_: bytes) -> bool:
    return True


def _to_regex(pattern: bytes) -> bytes:
    out: list[bytes] = []
    i, n = 0, len(pattern)
    while i < n:
        c = pattern[i : i + 1]
        i += 1
        if c == b"*":
            if not out or out[-1] != b".*":
                out.append(b".*")
        elif c == b"?":
            out.append(b".")
        elif c == b"[":
            part, i = _class_to_regex(pattern, i)
            out.append(part)
        else:
            if c == b"\\" and i < n:
                c = pattern[i : i + 1]
                i += 1
            out.append(re.escape(c))
    return b"".join(out)


def _class_to_regex(pattern: bytes, i: int) -> tuple[bytes, int]:
    """Translate the class that opens just before `i`; an unclosed one ends with the pattern."""
    n = len(pattern)
    negated = pattern[i : i + 1] == b"^"
    if negated:
        i += 1
    members = set()
    while i < n and pattern[i : i + 1] != b"]":
        low = pattern[i]
        if low == 0x5C and i + 1 < n:
            i += 1
            members.add(pattern[i])
        elif pattern[i + 1 : i + 2] == b"-" and i + 2 < n:
            first, last = sorted((low, pattern[i + 2]))
            members.update(range(first, last + 1))
            i += 2
        else:
            members.add(low)
        i += 1
    i += 1
    if not members:
        return (b"." if negated else b"(?!)"), i
    body = b"".join(re.escape(bytes([m])) for m in sorted(members))
    return b"[" + (b"^" if negated else b"") + body + b"]", i
