"""Batches as one stream of requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trignb
from trignb.resp.parse import RequestParser
from trignb.resp.propagated import (
    ENCODED,
    PropagatedStream,
    encode_batch,
    encode_request,
)


def words(data: bytes) -> list[bytes]:
    return [b" ".join(args) for args in RequestParser().feed(data)]


@given(st.lists(st.binary(), min_size=1, max_size=40))
def test_what_is_encoded_is_read_again(args):
    assert RequestParser().feed(encode_request(args)) == [args]


@pytest.mark.parametrize("n", [1, 3, 32, 33, 1000])
def test_any_number_of_arguments(n):
    args = [b"x" * (i % 7) for i in range(n)]
    assert RequestParser().feed(encode_request(args)) == [args]


def test_select_stands_where_the_database_changes():
    stream = PropagatedStream()
    assert words(stream.encode([(0, [b"SET", b"a", b"1"])])) == [
        b"SELECT 0",
        b"SET a 1",
    ]
    assert words(stream.encode([(0, [b"DEL", b"a"])])) == [b"DEL a"]
    assert words(stream.encode([(11, [b"DEL", b"a"])])) == [b"SELECT 11", b"DEL a"]
    stream.restart()
    assert words(stream.encode([(11, [b"DEL", b"a"])])) == [b"SELECT 11", b"DEL a"]
    assert stream.encode([]) == b""


def test_select_stands_inside_the_transaction():
    sent = []
    stream = PropagatedStream()
    with trignb.Engine() as engine:
        engine.core.sinks.append(lambda batch: sent.append(stream.encode(batch)))
        engine.core.sinks_changed()
        for text in ("MULTI", "SET a 1", "SELECT 3", "SET b 2", "EXEC", "SET c 3"):
            engine.execute(*text.split())
    assert words(sent[0]) == [
        b"MULTI",
        b"SELECT 0",
        b"SET a 1",
        b"SELECT 3",
        b"SET b 2",
        b"EXEC",
    ]
    assert words(sent[1]) == [b"SET c 3"]


def test_what_is_encoded_already_is_taken_as_it_is():
    data, db = encode_batch([(2, [b"DEL", b"a"]), (ENCODED, [b"#\r\n"])], 2)
    assert data == encode_request([b"DEL", b"a"]) + b"#\r\n"
    assert db == 2
