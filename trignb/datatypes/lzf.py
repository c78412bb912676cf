"""LZF, the compression of strings in RDB, choosing the very matches that Redis chooses.

So a payload is byte for byte what DUMP gives there. Source: the format and the matching rules of liblzf
("very fast" variant, 16 bits of hash).
"""

from __future__ import annotations

from typing import Final

__all__ = ["lzf_compress", "lzf_decompress"]

_MAX_LITERALS: Final = 32
_MAX_OFFSET: Final = 1 << 13
_MAX_MATCH: Final = 264


def lzf_compress(text: bytes, limit: int) -> bytes | None:
    """Return `text` compressed to at most `limit` bytes, None when it does not fit.

    One flat loop on purpose: it runs once per byte.
    """
    n = len(text)
    out = bytearray(1)
    seen: dict[int, int] = {}
    i = literals = 0
    while i < n - 2:
        slot = _slot(text, i)
        ref = seen.get(slot, 0)
        seen[slot] = i
        offset = i - ref - 1
        # Position 0 stands for "never seen", as in the original.
        if not (
            ref > 0 and offset < _MAX_OFFSET and text[ref : ref + 3] == text[i : i + 3]
        ):
            if len(out) >= limit:
                return None
            out.append(text[i])
            i += 1
            literals += 1
            if literals == _MAX_LITERALS:
                out[-literals - 1] = literals - 1
                literals = 0
                out.append(0)
            continue
        if len(out) - (not literals) + 4 >= limit:
            return None
        if literals:
            out[-literals - 1] = literals - 1
        else:
            out.pop()
        length = _match_length(text, ref, i, n)
        code = length - 2
        if code < 7:
            out.append((offset >> 8) + (code << 5))
        else:
            out.append((offset >> 8) + (7 << 5))
            out.append(code - 7)
        out.append(offset & 0xFF)
        out.append(0)
        literals = 0
        i += length
        if i >= n - 2:
            break
        # The last two positions of a match are remembered, the others are not.
        seen[_slot(text, i - 2)] = i - 2
        seen[_slot(text, i - 1)] = i - 1
    if len(out) + 3 > limit:
        return None
    for byte in text[i:]:
        out.append(byte)
        literals += 1
        if literals == _MAX_LITERALS:
            out[-literals - 1] = literals - 1
            literals = 0
            out.append(0)
    if literals:
        out[-literals - 1] = literals - 1
    else:
        out.pop()
    return bytes(out)


def _slot(text: bytes, i: int) -> int:
    h = text[i] << 16 | text[i + 1] << 8 | text[i + 2]
    return ((h >> 8) - h * 5) & 0xFFFF


def _match_length(text: bytes, ref: int, i: int, n: int) -> int:
    """Return how many bytes from `i` on repeat those from `ref` on.

    The original compares 16 bytes without looking at the bound when that is more than 16
    away, which lets a match grow past it by two.
    """
    bound = min(n - i - 2, _MAX_MATCH)
    length = 3
    if bound > 16:
        while length < 19 and text[ref + length] == text[i + length]:
            length += 1
        if length < 19:
            return length
    while length < bound and text[ref + length] == text[i + length]:
        length += 1
    return length


def lzf_decompress(packed: bytes, size: int) -> bytes:
    """Return what was compressed.

    Raises
    ------
    ValueError
        When it is damaged or not `size` bytes long.
    """
    out = bytearray()
    i, n = 0, len(packed)
    try:
        while i < n:
            control = packed[i]
            i += 1
            if control < _MAX_LITERALS:
                end = i + control + 1
                if end > n:
                    raise ValueError("LZF: literals missing")
                out += packed[i:end]
                i = end
                continue
            length = control >> 5
            if length == 7:
                length += packed[i]
                i += 1
            start = len(out) - ((control & 0x1F) << 8) - packed[i] - 1
            i += 1
            if start < 0:
                raise ValueError("LZF: reference before the start")
            _repeat(out, start, length + 2)
            if len(out) > size:
                break
    except IndexError:
        raise ValueError("LZF: ends within a reference") from None
    if len(out) != size:
        raise ValueError("LZF: another size was announced")
    return bytes(out)


def _repeat(out: bytearray, start: int, length: int) -> None:
    """Append `length` bytes read from `start`, also those just appended."""
    unit = out[start : start + length]
    times, rest = divmod(length, len(unit))
    out += unit * times + unit[:rest]
