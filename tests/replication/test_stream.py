"""The stream as bytes: what is in it, and what a plain redis-server gets instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trignb.replication.stream import (
    StreamError,
    StreamParser,
    encode,
    hide,
)
from trignb.resp.parse import RequestParser
from trignb.resp.propagated import PropagatedStream, encode_request

POSITION = [b"_rg_internals.update_stream_last_read_id", b"lib", b"t", b"s", b"1", b"0"]


def test_internal_commands_are_found():
    batch = [
        (-1, [b"MULTI"]),
        (2, POSITION),
        (2, [b"SET", b"a", b"b"]),
        (-1, [b"EXEC"]),
    ]
    data, spans = encode(PropagatedStream(), batch)
    assert data == PropagatedStream().encode(batch)
    [(start, end)] = spans
    assert data[start:end] == encode_request(POSITION)
    plain = RequestParser().feed(hide(data, spans))
    assert [args[0] for args in plain] == [
        b"MULTI",
        b"SELECT",
        b"PING",
        b"SET",
        b"EXEC",
    ]


@given(st.lists(st.integers(0, 200).map(lambda n: b"x" * n), min_size=1, max_size=4))
def test_what_hides_a_command_has_its_length(args):
    command = encode_request([b"_rg_internals.function", *args])
    shown = hide(b"+" + command + b"-", [(1, 1 + len(command))])
    assert len(shown) == len(command) + 2
    [[name, _]] = RequestParser().feed(shown[1:-1])
    assert name in (b"PING", b"EXISTS")


@pytest.mark.parametrize("size", [30, 31, 120, 121, 122, 1023, 1024, 1025, 100_000])
def test_every_length_can_be_hidden(size):
    shown = hide(b"?" * size, [(0, size)])
    [args] = RequestParser().feed(shown)
    assert len(encode_request(args)) == size == len(shown)


def test_a_part_of_a_hidden_command_fits_the_rest():
    command = encode_request(POSITION)
    whole = hide(command, [(0, len(command))])
    for at in range(len(command)):
        first = hide(command[:at], [(0, len(command))])
        second = hide(command[at:], [(-at, len(command) - at)])
        assert first + second == whole


@given(
    st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=4), max_size=6),
    st.lists(st.integers(1, 30), min_size=1),
)
def test_commands_are_cut_wherever_the_bytes_were(commands, sizes):
    data = b"".join(map(encode_request, commands))
    parser, found, at = StreamParser(), [], 0
    for turn in range(len(data)):
        size = sizes[turn % len(sizes)]
        found += parser.feed(data[at : at + size])
        at += size
    assert [request.args for request in found] == commands
    assert b"".join(request.raw for request in found) == data


def test_signs_of_life_count():
    requests = StreamParser().feed(b"\n\r\nPING\r\n*1\r\n$4\r\nPING\r\n")
    assert [r.args for r in requests] == [[], [], [b"PING"], [b"PING"]]
    assert sum(len(r.raw) for r in requests) == 23


@pytest.mark.parametrize("data", [b"*x\r\n", b"*1\r\n:5\r\n", b"*1\r\n$x\r\n"])
def test_other_bytes_are_no_stream(data):
    with pytest.raises(StreamError):
        StreamParser().feed(data)
