"""Encodings, and the common subsequence against the textbook."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trignb.datatypes.strings import common_subsequence, string_encoding

TEXTS = st.text("abc", max_size=20).map(str.encode)


def textbook(a, b):
    """Return length, bytes and runs as the table with two loops gives them."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = (
                table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
            )
    i, j, found, pairs = len(a), len(b), b"", []
    while i and j:
        if a[i - 1] == b[j - 1]:
            i, j = i - 1, j - 1
            found = a[i : i + 1] + found
            pairs.append((i, j))
        elif table[i - 1][j] > table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return table[-1][-1], found, pairs


@given(TEXTS, TEXTS)
def test_common_subsequence(a, b):
    length, found, runs = common_subsequence(a, b)
    want_length, want, pairs = textbook(a, b)
    assert (length, found) == (want_length, want)
    spread = [
        (run.first[1] - k, run.second[1] - k) for run in runs for k in range(run.length)
    ]
    assert spread == pairs
    for run, after in zip(runs[1:], runs, strict=False):
        joined = (run.first[1] + 1, run.second[1] + 1)
        assert joined != (after.first[0], after.second[0])
    assert common_subsequence(a, b, traced=False) == (length, b"", [])


@given(st.integers())
def test_canonical_integers_of_64_bits_are_int(value):
    is_int = -(2**63) <= value < 2**63
    text = b"%d" % value
    assert (string_encoding(text) == "int") == is_int
    assert string_encoding(bytearray(text)) == "raw"
