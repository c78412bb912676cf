"""Requests: whole, in pieces, and wrong."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.resp.inline import split_inline
from trignb.resp.parse import RequestParser

Commands = list[list[bytes]]


def request(*args: bytes) -> bytes:
    """Return a command as clients send it."""
    bulks = b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args)
    return b"*%d\r\n%b" % (len(args), bulks)


def parse(*chunks: bytes, is_stranger: bool = False) -> tuple[Commands, str | None]:
    parser = RequestParser()
    parser.is_stranger = is_stranger
    commands = [command for chunk in chunks for command in parser.feed(chunk)]
    return commands, None if parser.error is None else str(parser.error)


commands = st.lists(
    st.lists(
        st.one_of(
            st.binary(max_size=8), st.sampled_from([b"\r\n", b"$1\r\nx\r\n", b"*1"])
        ),
        min_size=1,
        max_size=4,
    ),
    max_size=5,
)


@given(commands, st.lists(st.integers(min_value=0, max_value=400), max_size=5))
def test_commands_are_the_same_wherever_the_stream_is_cut(
    sent: Commands, cuts: list[int]
) -> None:
    stream = b"".join(request(*args) for args in sent)
    ends = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(ends)]
    assert parse(*chunks) == (sent, None)


def test_large_arguments_arrive_in_pieces() -> None:
    value = bytes(range(256)) * 1000
    stream = request(b"SET", b"k", value) + b"PING\r\n"
    chunks = [stream[i : i + 4096] for i in range(0, len(stream), 4096)]
    assert parse(*chunks) == ([[b"SET", b"k", value], [b"PING"]], None)


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*3000000000\r\n", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$2000000000\r\n", "invalid bulk length"),
        (b"x" * 70_000, "too big inline request"),
        (b"*" + b"1" * 70_000, "too big mbulk count string"),
        (b"*1\r\n$" + b"1" * 70_000, "too big bulk count string"),
        (b'set "k\r\n', "unbalanced quotes in request"),
    ],
)
def test_protocol_errors(stream: bytes, error: str) -> None:
    good = request(b"PING")
    assert parse(good + stream) == ([[b"PING"]], error)


def test_nothing_is_read_after_an_error() -> None:
    assert parse(b"*x\r\n", request(b"PING")) == ([], "invalid multibulk length")


def test_strangers_may_send_little() -> None:
    many = b"*11\r\n" + b"$1\r\nx\r\n" * 11
    assert parse(many, is_stranger=True)[1] == "unauthenticated multibulk length"
    large = request(b"x" * 16385)
    assert parse(large, is_stranger=True)[1] == "unauthenticated bulk length"
    assert parse(request(b"AUTH", b"x"), is_stranger=True) == ([[b"AUTH", b"x"]], None)


def test_strangers_are_read_one_command_at_a_time() -> None:
    parser = RequestParser()
    parser.is_stranger = True
    many = request(*[b"x"] * 20)
    assert parser.feed(request(b"AUTH", b"x") + many) == [[b"AUTH", b"x"]]
    parser.is_stranger = False
    assert parser.feed(b"") == [[b"x"] * 20]
    assert parser.error is None


@pytest.mark.parametrize("line", [b"PING\0\r\n", b"*\0\r\n", b"*1\r\n$\0\r\n"])
def test_a_zero_byte_hides_the_end_of_its_line(line: bytes) -> None:
    assert parse(line + request(b"PING")) == ([], None)
    assert parse(line + b"x" * 70_000)[1] is not None


def test_empty_and_negative_counts_are_no_commands() -> None:
    assert parse(b"*0\r\n*-1\r\n\r\n" + request(b"PING")) == ([[b"PING"]], None)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"set k v", [b"set", b"k", b"v"]),
        (b'set "a b"  c', [b"set", b"a b", b"c"]),
        (b"'it\\'s'", [b"it's"]),
        (b'"\\x41\\n\\t\\"\\q"', [b'A\n\t"q']),
        (b'pre"fix"', [b"prefix"]),
        (b'""', [b""]),
        (b'"a"\x0cb', [b"a", b"b"]),
        (b"x'a'\x0b'b'", [b"xa", b"b"]),
        (b'"a"b', None),
        (b'"a', None),
        (b"   ", []),
        (b"\x0b\x0ca\x0bb c\x0c", [b"a\x0bb", b"c\x0c"]),
    ],
)
def test_inline_words(line: bytes, words: list[bytes] | None) -> None:
    assert split_inline(line) == words
