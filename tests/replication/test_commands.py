"""REPLICAOF, ROLE, WAIT and WAITAOF where there are no replicas."""

from __future__ import annotations

import pytest

from trignb.errors import ResponseError


def refusal(engine, *args):
    with pytest.raises(ResponseError) as error:
        engine.execute(*args)
    return str(error.value)


@pytest.mark.parametrize("name", ["REPLICAOF", "SLAVEOF"])
def test_a_primary_stays_one(engine, name):
    assert engine.execute(name, "NO", "one") == "OK"
    assert engine.execute("ROLE") == [b"master", 0, []]


@pytest.mark.parametrize("port", ["x", "-1", "65536"])
def test_there_is_no_such_port(engine, port):
    assert refusal(engine, "REPLICAOF", "h", port) == "ERR Invalid master port"
    assert engine.execute("ROLE")[0] == b"master"


def test_there_are_no_replicas_to_wait_for(engine):
    assert engine.execute("WAIT", 1, 1) == 0
    assert engine.execute("WAIT", 0, 100) == 0
    assert engine.execute("WAITAOF", 0, 1, 1) == [0, 0]
    assert engine.execute("WAITAOF", 0, 0, 0) == [0, 0]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("WAIT x 0", "ERR value is not an integer or out of range"),
        ("WAIT 0 x", "ERR timeout is not an integer or out of range"),
        ("WAIT 0 -1", "ERR timeout is negative"),
        ("WAIT 0 9223372036854775807", "ERR timeout is out of range"),
        ("WAITAOF 2 0 0", "ERR value is out of range, value must between 0 and 1"),
        ("WAITAOF 0 -1 0", "ERR value is out of range, must be positive"),
        (
            "WAITAOF 1 0 0",
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ),
    ],
)
def test_wait_errors(engine, command, error):
    assert refusal(engine, *command.split()) == error


@pytest.mark.parametrize("command", ["WAIT 0 x", "WAITAOF 0 0 0"])
def test_a_replica_does_not_wait(engine, command):
    engine.core.is_replica = True
    assert "cannot be used with replica instances" in refusal(engine, *command.split())
