"""Replication commands on a primary without replicas."""

from __future__ import annotations

import pytest

from trignb.errors import ResponseError


@pytest.mark.parametrize("name", ["REPLICAOF", "SLAVEOF"])
def test_a_primary_stays_one(engine, name):
    assert engine.execute(name, "NO", "one") == "OK"
    assert engine.execute("ROLE") == [b"master", 0, []]


def test_it_cannot_be_a_replica(engine):
    with pytest.raises(ResponseError, match="^ERR REPLICAOF not allowed"):
        engine.execute("REPLICAOF", "127.0.0.1", "6379")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "ERR FAILOVER requires connected replicas."),
        ("TO host 1", "ERR FAILOVER requires connected replicas."),
        ("ABORT", "ERR No failover in progress."),
        ("FOO", "ERR syntax error"),
    ],
)
def test_nobody_takes_over(engine, words, error):
    with pytest.raises(ResponseError) as caught:
        engine.execute("FAILOVER", *words.split())
    assert str(caught.value) == error
