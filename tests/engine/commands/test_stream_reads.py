"""XREAD, and XREAD and XREADGROUP that wait."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import trignb


@pytest.fixture
def waiting(engine):
    """Start a command on another thread; returns once it is blocked."""
    pool = ThreadPoolExecutor()

    def start(*args, resp=3):
        before = len(engine.core.blocking.sessions)
        session = engine.session(resp=resp)
        future = pool.submit(session.execute, *args)
        while len(engine.core.blocking.sessions) == before:
            assert not future.done(), future.result()
            time.sleep(0.001)
        return future

    yield start
    engine.close()
    pool.shutdown()


def test_reading(run, session2):
    run("XADD a 1-0 f v")
    run("XADD a 2-0 f w")
    run("XADD b 1-0 g x")
    entry = [b"2-0", [b"f", b"w"]]
    assert run("XREAD STREAMS a b 1 1") == {b"a": [entry]}
    assert run("XREAD COUNT 1 STREAMS a b 0 0-9") == {
        b"a": [[b"1-0", [b"f", b"v"]]],
        b"b": [[b"1-0", [b"g", b"x"]]],
    }
    assert session2.execute("XREAD", "STREAMS", "a", "b", "1", "1") == [[b"a", [entry]]]
    assert run("XREAD STREAMS a $") is None
    assert repr(session2.execute("XREAD", "STREAMS", "a", "$")) == "NULL_ARRAY"


def test_every_key_is_looked_up_twice(run):
    assert run("XREAD STREAMS k 0") is None
    assert run.events == ["keymiss k", "keymiss k"]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("GROUP g c STREAMS k 0", "The GROUP option is only supported by XREADGROUP. "),
        ("NOACK STREAMS k 0", "The NOACK option is only supported by XREADGROUP. "),
        ("STREAMS k >", "The > ID can be specified only when calling XREADGROUP "),
        ("STREAMS k j 0", "Unbalanced 'xread' list of streams: "),
        ("STREAMS k x", "Invalid stream ID "),
        ("COUNT x STREAMS k 0", "value is not an integer or out of range"),
        ("COUNT 1 BLOCK 0", "syntax error"),
        ("BLOCK 1.5 STREAMS k 0", "timeout is not an integer or out of range"),
        ("BLOCK -1 STREAMS k 0", "timeout is negative"),
        ("BLOCK 9223372036854775807 STREAMS k 0", "timeout is out of range"),
    ],
)
def test_refused(run, command, error):
    reply = run(f"XREAD {command}")
    assert isinstance(reply, trignb.ResponseError)
    assert str(reply).startswith(f"ERR {error}")


def test_waiting_for_what_is_new(engine, waiting):
    engine.execute("XADD", "k", "1-0", "f", "old")
    first = waiting("XREAD", "BLOCK", "0", "STREAMS", "j", "k", "$", "$")
    second = waiting("XREAD", "BLOCK", "0", "STREAMS", "k", "1-0", resp=2)
    engine.execute("XADD", "k", "2-0", "f", "new")
    entries = [[b"2-0", [b"f", b"new"]]]
    assert first.result(5) == {b"k": entries}
    assert second.result(5) == [[b"k", entries]]


def test_the_time_is_up(engine):
    assert engine.execute("XREAD", "BLOCK", "1", "STREAMS", "k", "$") is None


def test_readers_of_a_group_are_served_in_turn(engine, waiting):
    engine.execute("XGROUP", "CREATE", "k", "g", "$", "MKSTREAM")
    words = ("BLOCK", "0", "STREAMS", "k", ">")
    one = waiting("XREADGROUP", "GROUP", "g", "one", *words)
    two = waiting("XREADGROUP", "GROUP", "g", "two", *words)
    engine.execute("XADD", "k", "1-0", "f", "v")
    assert one.result(5) == {b"k": [[b"1-0", [b"f", b"v"]]]}
    engine.execute("XADD", "k", "2-0", "f", "v")
    assert two.result(5) == {b"k": [[b"2-0", [b"f", b"v"]]]}


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (("DEL", "k"), "NOGROUP No such key 'k' or consumer group 'g' in XREADGROUP"),
        (("XGROUP", "DESTROY", "k", "g"), "NOGROUP No such key 'k' or consumer group"),
        (("FLUSHALL",), "NOGROUP No such key 'k' or consumer group 'g' in XREADGROUP"),
        (("SET", "k", "v"), "WRONGTYPE Operation against a key"),
    ],
)
def test_readers_of_a_group_hear_that_it_is_gone(engine, waiting, command, error):
    engine.execute("XGROUP", "CREATE", "k", "g", "$", "MKSTREAM")
    words = ("BLOCK", "0", "STREAMS", "k", ">")
    future = waiting("XREADGROUP", "GROUP", "g", "c", *words)
    engine.execute(*command)
    with pytest.raises(trignb.ResponseError, match=error):
        future.result(5)


def test_history_never_waits(engine):
    engine.execute("XGROUP", "CREATE", "k", "g", "$", "MKSTREAM")
    words = ("BLOCK", "0", "STREAMS", "k", "0")
    assert engine.execute("XREADGROUP", "GROUP", "g", "c", *words) == {b"k": []}


def test_no_waiting_inside_a_transaction(session):
    session.execute("MULTI")
    session.execute("XREAD", "BLOCK", "0", "STREAMS", "k", "$")
    assert session.execute("EXEC") == [None]
