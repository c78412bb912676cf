"""Reply types and their lowering to RESP2."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.errors import ResponseError
from trignb.reply import (
    NO_REPLY,
    NULL_ARRAY,
    OK,
    QUEUED,
    BigNumber,
    SetOfLists,
    SetReply,
    Status,
    Verbatim,
    format_double,
    to_resp2,
)


def test_status_is_text():
    assert OK == "OK"
    assert isinstance(QUEUED, Status)
    assert repr(OK) == "'OK'"


def test_verbatim_is_bytes_of_a_kind():
    text = Verbatim(b"some text")
    assert (text, text.format) == (b"some text", "txt")


def test_a_null_array_is_false():
    assert not NULL_ARRAY
    assert (repr(NULL_ARRAY), repr(NO_REPLY)) == ("NULL_ARRAY", "NO_REPLY")


def test_a_set_keeps_its_order():
    reply = SetReply([b"z", b"a", b"m"])
    assert reply == {b"a", b"m", b"z"}
    assert list(reply) == [b"z", b"a", b"m"]
    assert to_resp2(reply) == [b"z", b"a", b"m"]
    assert repr(reply) == "{b'z', b'a', b'm'}"


def test_a_set_of_lists():
    reply = SetOfLists([[1], {b"a": 1}])
    assert reply == [[1], {b"a": 1}]
    assert to_resp2(reply) == [[1], [b"a", 1]]


@pytest.mark.parametrize(
    ("value", "lowered"),
    [
        (b"x", b"x"),
        (5, 5),
        (None, None),
        (OK, OK),
        (True, 1),
        (False, 0),
        (1.5, b"1.5"),
        (Verbatim(b"t"), b"t"),
        (BigNumber(10**30), b"1" + b"0" * 30),
        (bytearray(b"x"), b"x"),
        ([1, [2.0, None]], [1, [b"2", None]]),
        ((1, 2), [1, 2]),
        ({b"a": 1, b"b": {b"c": True}}, [b"a", 1, b"b", [b"c", 1]]),
        (frozenset([3]), [3]),
        (NULL_ARRAY, NULL_ARRAY),
    ],
)
def test_to_resp2(value, lowered):
    result = to_resp2(value)
    assert result == lowered
    assert type(result) is type(lowered)


def test_errors_inside_stay_errors():
    error = ResponseError("ERR no")
    assert to_resp2([error, 1]) == [error, 1]


def test_what_is_no_reply():
    with pytest.raises(TypeError, match="not a reply: object"):
        to_resp2([object()])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"-0"),
        (1.0, b"1"),
        (-3.0, b"-3"),
        (0.1, b"0.1"),
        (3.141, b"3.141"),
        (math.inf, b"inf"),
        (-math.inf, b"-inf"),
        (math.nan, b"nan"),
    ],
)
def test_doubles(value, text):
    assert format_double(value) == text


@given(st.floats(allow_nan=False))
def test_doubles_read_back_the_same(value):
    assert float(format_double(value)) == value
