"""Replies as bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.errors import ResponseError
from trignb.reply import NULL_ARRAY, OK, BigNumber, SetReply, Status, Verbatim
from trignb.resp.encode import encode, encode_error, encode_push


@pytest.mark.parametrize(
    ("reply", "resp2", "resp3"),
    [
        (OK, b"+OK\r\n", b"+OK\r\n"),
        (Status("PONG"), b"+PONG\r\n", b"+PONG\r\n"),
        (b"a\r\n", b"$3\r\na\r\n\r\n", b"$3\r\na\r\n\r\n"),
        (-1, b":-1\r\n", b":-1\r\n"),
        (None, b"$-1\r\n", b"_\r\n"),
        (NULL_ARRAY, b"*-1\r\n", b"_\r\n"),
        (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
        (float("inf"), b"$3\r\ninf\r\n", b",inf\r\n"),
        (True, b":1\r\n", b"#t\r\n"),
        (BigNumber(7), b"$1\r\n7\r\n", b"(7\r\n"),
        (Verbatim(b"x"), b"$1\r\nx\r\n", b"=5\r\ntxt:x\r\n"),
        ({b"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
        (SetReply([b"a"]), b"*1\r\n$1\r\na\r\n", b"~1\r\n$1\r\na\r\n"),
        ([[], None], b"*2\r\n*0\r\n$-1\r\n", b"*2\r\n*0\r\n_\r\n"),
        ([ResponseError("ERR x")], b"*1\r\n-ERR x\r\n", b"*1\r\n-ERR x\r\n"),
    ],
)
def test_each_type(reply: Any, resp2: bytes, resp3: bytes) -> None:
    assert encode(reply, 2) == resp2
    assert encode(reply, 3) == resp3


def test_errors_and_simple_strings_are_one_line() -> None:
    assert encode_error(ResponseError("ERR a\r\nb")) == b"-ERR a  b\r\n"
    assert encode(Status("a\nb"), 2) == b"+a b\r\n"


def test_pushes_are_arrays_in_resp2() -> None:
    assert encode_push([b"message", None], 2) == b"*2\r\n$7\r\nmessage\r\n$-1\r\n"
    assert encode_push([b"message", None], 3) == b">2\r\n$7\r\nmessage\r\n_\r\n"


def test_what_no_handler_may_answer() -> None:
    with pytest.raises(TypeError, match="not a reply: object"):
        encode(object(), 2)


ITEMS = st.one_of(
    st.binary(max_size=6),
    st.integers(),
    st.none(),
    st.sampled_from([b"x" * 1023, b"x" * 1024, b"\r\n", Status("OK"), [b"a"], 1.5]),
)


@given(st.one_of(st.lists(ITEMS), st.lists(st.binary(max_size=6), min_size=4)))
def test_elements_are_the_same_alone_and_together(items: list[Any]) -> None:
    for resp in (2, 3):
        alone = b"".join(encode(item, resp) for item in items)
        assert encode(items, resp) == b"*%d\r\n" % len(items) + alone
        pairs = {b"key:%d" % number: item for number, item in enumerate(items)}
        alone = b"".join(encode(key, resp) + encode(pairs[key], resp) for key in pairs)
        assert encode(pairs, resp).partition(b"\r\n")[2] == alone
