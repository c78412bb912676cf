"""Strings: what encoding Redis would give them, and the longest common subsequence of two."""

from __future__ import annotations

from typing import Final, NamedTuple

from trignb.datatypes.listpack import is_int64

__all__ = [
    "STRING_TYPES",
    "DecimalText",
    "Match",
    "common_subsequence",
    "string_encoding",
]

# Up to this length Redis keeps a string and its header in one piece of memory.
_EMBEDDED: Final = 44


class DecimalText(bytes):
    """A whole number that INCRBYFLOAT left: an integer by its bytes, to Redis a text still."""

    __slots__ = ()

    def copy(self) -> DecimalText:
        """Return itself, as it never changes."""
        return self


# What ``type(value)`` is for a string in the keyspace.
STRING_TYPES: Final = (bytes, bytearray, DecimalText)


def string_encoding(value: bytes | bytearray) -> str:
    """Return what OBJECT ENCODING says of a string."""
    if type(value) is bytearray:
        return "raw"
    if type(value) is bytes and is_int64(value):
        return "int"
    return "embstr" if len(value) <= _EMBEDDED else "raw"


class Match(NamedTuple):
    """A run of bytes that both strings have in common: inclusive bounds in each."""

    first: tuple[int, int]
    second: tuple[int, int]
    length: int


class _Rows:
    """The table of the textbook algorithm, one integer per row.

    Bit j of row i is 0 where ``lcs(a[:i], b[:j + 1])`` is one longer than
    ``lcs(a[:i], b[:j])``; a row is made from the one before by a few operations on whole
    integers. Source: Hyyrö, "Bit-parallel LCS-length computation revisited", 2004.
    """

    def __init__(self, a: bytes, b: bytes) -> None:
        places = dict.fromkeys(a, 0)
        for j, byte in enumerate(b):
            if byte in places:
                places[byte] |= 1 << j
        mask = (1 << len(b)) - 1
        row = mask
        self.rows = [row]
        for byte in a:
            hit = row & places[byte]
            row = ((row + hit) | (row - hit)) & mask
            self.rows.append(row)

    def length(self, i: int, j: int) -> int:
        """Return the length for the first `i` bytes of a and the first `j` of b."""
        return j - (self.rows[i] & ((1 << j) - 1)).bit_count()


def common_subsequence(
    a: bytes, b: bytes, *, traced: bool = True
) -> tuple[int, bytes, list[Match]]:
    """Return length, bytes and runs (last one first) of LCS.

    Where there are several, the one that Redis's way back through the table finds.
    ``traced=False`` leaves bytes and runs empty.
    """
    table = _Rows(a, b)
    total = table.length(len(a), len(b))
    found = bytearray()
    runs: list[Match] = []
    i, j, run = len(a), len(b), 0
    while traced and i and j:
        if a[i - 1] == b[j - 1]:
            i, j, run = i - 1, j - 1, run + 1
            found.append(a[i])
            continue
        if run:
            runs.append(_match(i, j, run))
            run = 0
        if table.length(i - 1, j) > table.length(i, j - 1):
            i -= 1
        else:
            j -= 1
    if run:
        runs.append(_match(i, j, run))
    return total, bytes(reversed(found)), runs


def _match(i: int, j: int, length: int) -> Match:
    return Match((i, i + length - 1), (j, j + length - 1), length)
