from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trignb.errors import ResponseError
from trignb.notebook.text import (
    MODES,
    lower,
    prints_raw,
    quote,
    quote_argument,
    readable,
    render,
    show,
)
from trignb.reply import (
    NO_REPLY,
    NULL_ARRAY,
    OK,
    BigNumber,
    SetReply,
    Status,
    Verbatim,
    format_double,
)

SEED_LIST = [
    [
        b"engine", b"js", b"functions", [], b"stream_triggers",
        [[b"name", b"consumer", b"num_triggered", 2, b"a", 1, b"b", 1, b"c", 1]],
    ]
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (OK, "OK"),
        (b"hello", '"hello"'),
        (b'\x00\xff\n"\\', r'"\x00\xff\n\"\\"'),
        (7, "(integer) 7"),
        (None, "(nil)"),
        (NULL_ARRAY, "(nil)"),
        (True, "(true)"),
        (False, "(false)"),
        (1.5, "(double) 1.5"),
        (10.0, "(double) 10"),
        (Verbatim(b"some\ntext"), "some\ntext"),
        (BigNumber(1 << 70), "(big number) 1180591620717411303424"),
        (ResponseError("ERR no"), "(error) ERR no"),
        ([], "(empty array)"),
        ({}, "(empty hash)"),
        (set(), "(empty set)"),
        ([b"a", [b"b", 1]], '1) "a"\n2) 1) "b"\n   2) (integer) 1'),
        ({b"a": b"b"}, '1# "a" => "b"'),
        ({b"a": [1, 2]}, '1# "a" => \n   1) (integer) 1\n   2) (integer) 2'),
        ({b"a": [1]}, '1# "a" => 1) (integer) 1'),
        ({b"b", b"a"}, '1~ "a"\n2~ "b"'),
        (SetReply([b"b", b"a"]), '1~ "b"\n2~ "a"'),
        (NO_REPLY, ""),
    ],
)
def test_standard(value: Any, expected: str) -> None:
    assert show(value) == expected


def test_numbers_are_aligned_as_on_the_seed_page() -> None:
    assert show(SEED_LIST) == (
        '1) 1) "engine"\n'
        '   2) "js"\n'
        '   3) "functions"\n'
        "   4) (empty array)\n"
        '   5) "stream_triggers"\n'
        '   6) 1)  1) "name"\n'
        '          2) "consumer"\n'
        '          3) "num_triggered"\n'
        "          4) (integer) 2\n"
        '          5) "a"\n'
        "          6) (integer) 1\n"
        '          7) "b"\n'
        "          8) (integer) 1\n"
        '          9) "c"\n'
        "         10) (integer) 1"
    )


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("raw", "a 1\nb x\ny"),
        ("json", '{"a":1,"b":["x","y"]}'),
        ("csv", '"a",1,"b","x","y"'),
    ],
)
def test_other_forms(mode: Any, expected: str) -> None:
    assert show({b"a": 1, b"b": [b"x", b"y"]}, mode) == expected


def test_utf8_stays_readable_on_request() -> None:
    value = "caf\u00e9 \u2028\U0001f600\n".encode() + b"\xff"
    assert quote(value, utf8=True) == '"caf\u00e9 \\xe2\\x80\\xa8\U0001f600\\n\\xff"'
    assert show(["\u00e9".encode()], utf8=True) == '1) "\u00e9"'
    assert show("\u00e9".encode()) == r'"\xc3\xa9"'


def test_readable() -> None:
    assert readable("caf\u00e9".encode()) == "caf\u00e9"
    assert readable(b"a\xff\n") == r"a\xff\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"abc", "abc"),
        (b"", '""'),
        (b"a b", '"a b"'),
        (b"it's", '"it\'s"'),
        (b"{{x}}", "'{{x}}'"),
        (b"{tag}", "{tag}"),
        (b"\xff", r'"\xff"'),
        (b"a\\b", r'"a\\b"'),
    ],
)
def test_quote_argument(value: bytes, expected: str) -> None:
    assert quote_argument(value) == expected


def test_lower_orders_sets() -> None:
    value = {b"k": {b"c", b"a", b"b"}, b"f": 1.5, b"t": True}
    assert lower(value) == [b"k", [b"a", b"b", b"c"], b"f", b"1.5", b"t", 1]


def test_info_is_printed_as_it_is() -> None:
    assert prints_raw((b"INFO", b"server"))
    assert prints_raw((b"client", b"LIST"))
    assert not prints_raw((b"CLIENT", b"ID"))
    assert show(b"# Server\r\nx:1\r\n", unquoted=True) == "# Server\r\nx:1\r"


# -- against redis-cli

INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
STRINGS = st.binary(max_size=12)
# A status and an error are C strings to redis-cli.
NO_BREAK = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8
)
SCALARS = st.one_of(
    STRINGS,
    INTEGERS,
    NO_BREAK.map(Status),
    NO_BREAK.map(ResponseError),
    st.none(),
)
RESP3_SCALARS = st.one_of(
    SCALARS, st.booleans(), st.floats(allow_nan=False), STRINGS.map(Verbatim)
)
KEYS = st.one_of(STRINGS, st.integers(-99, 99), NO_BREAK.map(Status))
RESP2 = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=11), max_leaves=15)
RESP3 = st.recursive(
    RESP3_SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=11),
        st.dictionaries(KEYS, inner, max_size=11),
        st.sets(st.one_of(STRINGS, INTEGERS), max_size=3),
    ),
    max_leaves=15,
)


def wire(value: Any) -> bytes:
    """Encode a reply; a set in the order in which ours prints it."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, bool):
        return b"#t\r\n" if value else b"#f\r\n"
    if isinstance(value, ResponseError):
        return b"-%b\r\n" % str(value).encode()
    if isinstance(value, str):
        return b"+%b\r\n" % value.encode()
    if isinstance(value, Verbatim):
        return b"=%d\r\ntxt:%b\r\n" % (len(value) + 4, value)
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, float):
        return b",%b\r\n" % format_double(value)
    if isinstance(value, dict):
        parts = [wire(part) for pair in value.items() for part in pair]
        return b"%%%d\r\n" % len(value) + b"".join(parts)
    if isinstance(value, set):
        members = sorted(value, key=render)
        return b"~%d\r\n" % len(value) + b"".join(map(wire, members))
    return b"*%d\r\n" % len(value) + b"".join(map(wire, value))


def compare(redis_cli: Any, values: list[Any], mode: Any, resp: int) -> None:
    for value, theirs in zip(
        values,
        redis_cli.prints([wire(value) for value in values], mode, resp),
        strict=True,
    ):
        assert render(value, mode) + b"\n" == theirs, value


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=30, deadline=None)
@given(values=st.lists(RESP2, min_size=1, max_size=40))
def test_resp2_as_redis_cli(redis_cli: Any, mode: Any, values: list[Any]) -> None:
    compare(redis_cli, values, mode, 2)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=30, deadline=None)
@given(values=st.lists(RESP3, min_size=1, max_size=40))
def test_resp3_as_redis_cli(redis_cli: Any, mode: Any, values: list[Any]) -> None:
    compare(redis_cli, values, mode, 3)
