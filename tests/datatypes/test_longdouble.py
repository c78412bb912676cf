"""The 80-bit numbers of INCRBYFLOAT; the oracle has them in hardware."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.datatypes.longdouble import add, parse, show


def total(a, b):
    """Return what INCRBYFLOAT would, None for an error."""
    x, y = parse(a), parse(b)
    if x is None or y is None:
        return None
    number = add(x, y)
    return None if number is None else show(number)


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        (b"10.5", b"0.1", b"10.6"),
        (b"5.0e3", b"200", b"5200"),
        (b"1", b"-1", b"0"),
        (b"-0", b"-0.0", b"0"),
        (b"0.1", b"0.2", b"0.3"),
        (b"3.0", b"1.1", b"4.1"),
        # Beyond 64 bits of mantissa the last digits are the format's own.
        (b"9223372036854775807", b"9223372036854775808", b"18446744073709551615"),
        (b"18446744073709551615", b"2", b"18446744073709551616"),
        (b"1e18", b"0.00000000000000001", b"1000000000000000000"),
        (b"0x1p-1", b"0x.8", b"1"),
        (b"1e-30", b"0", b"0"),
        (b"-1e-30", b"0", b"0"),
    ],
)
def test_sums(a, b, want):
    assert total(a, b) == want


@pytest.mark.parametrize(
    "text",
    [
        *[b"", b" 1", b"1 ", b".", b"1e", b"nan", b"--1", b"1_0", b"0x", b"1,5"],
        *[b"1.2e4932", b"1e-4960", b"1" * 5120, b"1e99999999999999999999"],
    ],
)
def test_what_is_refused(text):
    assert parse(text) is None


@pytest.mark.parametrize("text", [b"0e99999999999999999999", b"0x0p9999999999", b"-0"])
def test_zero_has_any_exponent(text):
    assert total(text, b"1") == b"1"


def test_infinity_reads_but_does_not_add():
    assert parse(b"-Infinity") is not None
    assert total(b"inf", b"1") is None
    assert total(b"1.1e4932", b"1.1e4932") is None


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**62), 2**62))
def test_integers_add_exactly(a, b):
    if abs(a + b) < 2**64:
        assert total(b"%d" % a, b"%d" % b) == b"%d" % (a + b)


@given(st.floats(-1e15, 1e15))
def test_a_sum_reads_back(value):
    text = total(repr(value).encode(), b"0")
    assert text is not None
    assert total(text, b"0") == text
    assert abs(float(text) - value) <= 1e-17 + abs(value) * 1e-16


@pytest.mark.oracle
def test_random_sums_are_those_of_the_processor(oracle):
    choose = random.Random(3)
    client = oracle.connect()

    def number():
        match choose.randrange(5):
            case 0:
                return "%.*f" % (choose.randrange(20), choose.uniform(-100, 100))
            case 1:
                return repr(choose.uniform(-1, 1) * 10 ** choose.randint(-30, 30))
            case 2:
                return f"{choose.getrandbits(70)}.{choose.getrandbits(70)}"
            case 3:
                return f"{choose.getrandbits(64)}e{choose.randint(-5000, 5000)}"
        return f"0x{choose.getrandbits(66):x}p{choose.randint(-16500, 16400)}"

    for _ in range(3000):
        a, b = number().encode(), number().encode()
        client.execute("SET", "f", a)
        want = client.execute("INCRBYFLOAT", "f", b)
        assert total(a, b) == (want if isinstance(want, bytes) else None), (a, b)
