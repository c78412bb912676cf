from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.notebook.errors import UsageError
from trignb.notebook.expand import encode_value, expand
from trignb.notebook.reply import Replies, Reply
from trignb.notebook.text import quote
from trignb.notebook.tokenize import read_cell, read_line


def arguments(line: str, **names: Any) -> list[bytes]:
    command = read_line(line)
    assert command is not None
    return expand(command, names)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        ("caf\u00e9", "caf\u00e9".encode()),
        (-7, b"-7"),
        (1 << 70, b"%d" % (1 << 70)),
        (np.int8(3), b"3"),
        (np.uint64(2**64 - 1), b"18446744073709551615"),
        (0.1, b"0.1"),
        (1.0, b"1"),
        (1e300, b"1e+300"),
        (np.float64(0.25), b"0.25"),
        (np.float32(1.1), b"1.1"),
        (Decimal("1.10"), b"1.10"),
        (Reply(b"x"), b"x"),
        (Reply(5), b"5"),
    ],
)
def test_values(value: Any, expected: bytes) -> None:
    assert encode_value(value) == expected
    assert arguments("SET k {{x}}", x=value) == [b"SET", b"k", expected]


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (None, "write ''"),
        (True, "int(x)"),
        (np.bool_(True), "str(x)"),
        ({"a": 1}, "{{*x}}"),
        ([1], "json.dumps(x)"),
        ({1}, "{{*x}}"),
        (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "x.isoformat()"),
        (pd.Timestamp(0), "int(x.timestamp())"),
        (dt.date(2024, 1, 1), "x.isoformat()"),
        (dt.timedelta(1), "total_seconds"),
        (pd.DataFrame(), "itertuples"),
        (object(), "str(x)"),
        (Fraction(1, 2), "str(x)"),
        (pd.NA, "str(x)"),
    ],
)
def test_refused_values_say_what_to_write(value: Any, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        arguments("SET k {{x}}", x=value)
    assert advice in str(caught.value)
    assert "(column 7)" in str(caught.value)


def test_inside_a_longer_word() -> None:
    assert (
        arguments("GET u:{{n}}:{{n + 1}}:z".replace(" + ", "+"), n=1)[1] == b"u:1:2:z"
    )
    assert arguments('GET "u {{ n + 1 }}"', n=1)[1] == b"u 2"


def test_nothing_is_split_again() -> None:
    value = "a b\"c'd\n{{n}}\0"
    assert arguments("SET {{v}} x{{v}}", v=value, n=1) == [
        b"SET",
        value.encode(),
        b"x" + value.encode(),
    ]


@pytest.mark.parametrize("line", ["SET '{{n}}' {n}", "SET '{{n}}' {n} '''{{n}}'''"])
def test_single_quotes_keep_braces(line: str) -> None:
    first, *rest = arguments(line, n=1)[1:]
    assert first == b"{{n}}"
    assert rest[0] == b"{n}"


def test_dollars_and_json_are_literal() -> None:
    typed = 'JSON.SET d $.a {"a":{"b":{}}}'.replace('"', '\\"')
    assert arguments(f'EVAL "{typed}" 0')[1].endswith(b'{"a":{"b":{}}}')
    assert arguments("XREAD STREAMS s $")[-1] == b"$"


def test_hash_tags_keep_their_braces() -> None:
    assert arguments("GET {{{user}}}:1", user="ann")[1] == b"{ann}:1"
    assert arguments("GET {{{{user}}}}", user="ann")[1] == b"{{ann}}"


def test_braces_within_an_expression() -> None:
    assert arguments('SET k "{{ {1: 2}[1] }}"')[2] == b"2"
    assert arguments("SET k \"{{d['}}']}}\"", d={"}}": 3})[2] == b"3"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, b"b", "c"], [b"1", b"b", b"c"]),
        ({"a": 1, "b": 2}, [b"a", b"1", b"b", b"2"]),
        ({"a": 1}.items(), [b"a", b"1"]),
        (zip([1.5, 2], "xy", strict=True), [b"1.5", b"x", b"2", b"y"]),
        (range(2), [b"0", b"1"]),
        (pd.Series(["x", "y"]), [b"x", b"y"]),
        (pd.DataFrame({"a": [1], "b": ["x"]}).itertuples(index=False), [b"1", b"x"]),
        (Reply([b"x", b"y"]), [b"x", b"y"]),
        (Replies([Reply(1), Reply(b"x")]), [b"1", b"x"]),
    ],
)
def test_spread(value: Any, expected: list[bytes]) -> None:
    assert arguments("MSET {{*x}} end", x=value) == [b"MSET", *expected, b"end"]


@pytest.mark.parametrize("value", ["abc", b"abc", 5])
def test_one_value_is_not_spread(value: Any) -> None:
    with pytest.raises(UsageError, match="is one value: write {{x}}"):
        arguments("DEL {{*x}}", x=value)


@pytest.mark.parametrize("line", ["DEL a{{*x}}", "DEL {{*x}}a", "DEL a{{*x}}b"])
def test_spread_stands_alone(line: str) -> None:
    with pytest.raises(UsageError, match="must stand alone"):
        arguments(line, x=[1])


def test_items_that_cannot_be_sent_are_refused_in_a_spread_too() -> None:
    with pytest.raises(UsageError, match="None has no text"):
        arguments("DEL {{*x}}", x=[None])


def test_spread_of_nothing() -> None:
    assert arguments("DEL {{*x}}", x=[]) == [b"DEL"]
    with pytest.raises(UsageError, match="empty after expansion"):
        arguments("{{*x}}", x=[])


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        arguments("GET {{usre}}", user=1)
    assert str(caught.value) == "{{usre}}: name 'usre' is not defined (column 5)"
    assert caught.value.hint == "did you mean user?"


def test_template_that_was_not_meant() -> None:
    with pytest.raises(UsageError) as caught:
        arguments('SET t "hello {{name}}"')
    assert "single quotes" in caught.value.hint


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("GET {{x", "this {{ is never closed"),
        ("GET {{ x }}", "this {{ is never closed"),
        ("GET {{}}", "{{}}: nothing stands in it"),
        ("GET {{1+}}", "{{1+}}: is not Python"),
        ("GET {{1/0}}", "{{1/0}}: ZeroDivisionError: division by zero"),
    ],
)
def test_faults(line: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        arguments(line, x=1)
    assert str(caught.value) == f"{reason} (column 5)"


def test_fault_behind_a_value_of_several_lines() -> None:
    (command,) = read_cell('SET a """1\n2""" {{nope}}')
    with pytest.raises(UsageError) as caught:
        expand(command, {})
    assert caught.value.detail == ('2""" {{nope}}', "     ^")


def test_an_expression_does_not_change_the_notebook() -> None:
    names = {"n": 1}
    command = read_line("SET k {{(m:=n)}}")
    assert command is not None
    assert expand(command, names)[2] == b"1"
    assert names == {"n": 1}


@given(st.binary(max_size=30), st.binary(max_size=10))
def test_any_bytes_pass_through(value: bytes, around: bytes) -> None:
    assert arguments("SET k {{v}}", v=value)[2] == value
    if b"{" not in around and b"}" not in around:
        typed = quote(around)[1:-1]
        assert arguments(f'SET "{typed}{{{{v}}}}{typed}"', v=value)[1] == (
            around + value + around
        )
