"""Bits against a string of ``0`` and ``1``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.datatypes import bits

VALUES = st.binary(min_size=1, max_size=12)


def spelled(value):
    return "".join(f"{byte:08b}" for byte in value)


@given(VALUES, st.integers(0, 120))
def test_get_bit(value, offset):
    assert bits.get_bit(value, offset) == int(spelled(value).ljust(200, "0")[offset])


@given(VALUES, st.data())
def test_ranges(value, data):
    text = spelled(value)
    first = data.draw(st.integers(0, len(text) - 1))
    last = data.draw(st.integers(first, len(text) - 1))
    part = text[first : last + 1]
    assert bits.count_bits(value, first, last) == part.count("1")
    for bit in (0, 1):
        found = part.find(str(bit))
        expected = -1 if found < 0 else first + found
        assert bits.find_bit(bytearray(value), bit, first, last) == expected


@given(st.lists(st.binary(max_size=6), min_size=1, max_size=4))
def test_combine(values):
    size = max(map(len, values))
    columns = list(zip(*(v.ljust(size, b"\0") for v in values), strict=True))
    for name, start, merge in (
        (b"and", 0xFF, int.__and__),
        (b"or", 0, int.__or__),
        (b"xor", 0, int.__xor__),
    ):
        expected = bytearray()
        for column in columns:
            result = start
            for byte in column:
                result = merge(result, byte)
            expected.append(result)
        assert bits.combine(name, values) == expected
    inverted = bytes(byte ^ 0xFF for byte in values[0])
    assert bits.combine(b"not", values[:1]) == inverted


@given(VALUES, st.integers(0, 80), st.integers(1, 64), st.booleans())
def test_read_field(value, offset, width, signed):
    text = spelled(value).ljust(300, "0")[offset : offset + width]
    expected = int(text, 2)
    if signed and text[0] == "1":
        expected -= 1 << width
    assert bits.read_field(value, offset, width, signed=signed) == expected


@given(VALUES, st.integers(0, 60), st.integers(1, 64), st.integers())
def test_write_field(value, offset, width, number):
    changed = bytearray(value)
    bits.grow(changed, (offset + width + 7) // 8)
    before = spelled(changed)
    bits.write_field(changed, offset, width, number)
    written = f"{number & ((1 << width) - 1):0{width}b}"
    assert spelled(changed) == before[:offset] + written + before[offset + width :]


@pytest.mark.parametrize(
    ("number", "width", "signed", "wrapped", "saturated"),
    [
        (255, 8, False, 255, 255),
        (256, 8, False, 0, 255),
        (-1, 8, False, 255, 0),
        (127, 8, True, 127, 127),
        (128, 8, True, -128, 127),
        (-129, 8, True, 127, -128),
        (1 << 63, 64, True, -(1 << 63), (1 << 63) - 1),
    ],
)
def test_fit(number, width, signed, wrapped, saturated):
    assert bits.fit(number, width, signed=signed, overflow=b"wrap") == wrapped
    assert bits.fit(number, width, signed=signed, overflow=b"sat") == saturated
    fits = number == wrapped == saturated
    failed = bits.fit(number, width, signed=signed, overflow=b"fail")
    assert failed == (number if fits else None)
