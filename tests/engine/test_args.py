"""Numbers as commands read them."""

from __future__ import annotations

from math import inf

import pytest

from trignb.engine.args import to_float
from trignb.errors import ResponseError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"13", 13.0),
        (b"13.361389", 13.361389),
        (b"13.", 13.0),
        (b".5", 0.5),
        (b"0.0", 0.0),
        (b"-1e3", -1000.0),
        (b"0x10", 16.0),
        (b"-inf", -inf),
        (b"9" * 299, 1e299),
        (b"0" * 400, 0.0),
    ],
)
def test_doubles(text: bytes, value: float) -> None:
    assert to_float(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b".", b"1.1.1", b" 1", b"1_0", b"nan", b"\xb2", "٣".encode()),
        *(b"9" * 400, b"0." + b"0" * 400 + b"1"),
    ],
)
def test_no_doubles(text: bytes) -> None:
    with pytest.raises(ResponseError, match="^ERR value is not a valid float$"):
        to_float(text)
