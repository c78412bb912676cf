"""Whole databases: walks, flushes, exchanges."""

from __future__ import annotations

import pytest

import trignb


def run(engine, *commands):
    return [engine.execute(*command.split()) for command in commands][-1]


def refusal(engine, command):
    with pytest.raises(trignb.ResponseError) as error:
        run(engine, command)
    return str(error.value)


@pytest.fixture
def effects(engine):
    sent = []
    engine.core.sinks.append(
        lambda batch: sent.extend(b" ".join(args) for _, args in batch)
    )
    engine.core.sinks_changed()
    return sent


def test_keys(engine):
    run(engine, "MSET one 1 two 2 three 3 four 4")
    assert run(engine, "KEYS *o*") == [b"one", b"two", b"four"]
    assert run(engine, "KEYS t??") == [b"two"]
    assert run(engine, "KEYS none") == []
    engine.execute("SET", "", "v")
    assert len(run(engine, "KEYS *")) == 5


def walk(engine, *options):
    cursor, found = "0", []
    while True:
        cursor, page = engine.execute("SCAN", cursor, *options)
        found += page
        if cursor == b"0":
            return found


def test_scan_meets_every_key_once(engine):
    keys = [b"k%d" % i for i in range(237)]
    for key in keys:
        engine.execute("SET", key, "v")
    assert sorted(walk(engine)) == sorted(keys)
    assert sorted(walk(engine, "COUNT", "1000")) == sorted(keys)
    assert sorted(walk(engine, "MATCH", "k1?")) == [b"k1%d" % i for i in range(10)]


def test_scan_by_type(engine):
    run(engine, "SET s v", "RPUSH l a", "SADD t a", "HSET h f v", "ZADD z 1 a")
    for kind, key in (("string", b"s"), ("LIST", b"l"), ("set", b"t"), ("zset", b"z")):
        assert walk(engine, "TYPE", kind) == [key]
    assert walk(engine, "TYPE", "nosuch") == []
    assert walk(engine, "TYPE", "hash", "MATCH", "x*") == []


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("SCAN x", "ERR invalid cursor"),
        ("SCAN 18446744073709551616", "ERR invalid cursor"),
        ("SCAN 0 COUNT 0", "ERR syntax error"),
        ("SCAN 0 COUNT x", "ERR value is not an integer or out of range"),
        ("SCAN 0 MATCH", "ERR syntax error"),
        ("SCAN 0 TYPES string", "ERR syntax error"),
        ("FLUSHALL NOW", "ERR syntax error"),
        ("FLUSHDB SYNC ASYNC", "ERR syntax error"),
        ("SWAPDB a 1", "ERR invalid first DB index"),
        ("SWAPDB 0 b", "ERR invalid second DB index"),
        ("SWAPDB 0 2147483648", "ERR invalid second DB index"),
        ("SWAPDB 0 16", "ERR DB index is out of range"),
        ("SWAPDB -1 0", "ERR DB index is out of range"),
    ],
)
def test_errors(engine, command, error):
    assert refusal(engine, command) == error


def test_randomkey(engine):
    assert run(engine, "RANDOMKEY") is None
    run(engine, "MSET a 1 b 2")
    assert {run(engine, "RANDOMKEY") for _ in range(100)} == {b"a", b"b"}


def test_randomkey_where_nothing_may_be_deleted(engine):
    run(engine, "SET a 1", "PEXPIRE a 1", "SET b 1", "PEXPIRE b 1")
    engine.clock.freeze(at=engine.clock.now_ns() / 1e9 + 1)
    engine.core.is_replica = True
    assert run(engine, "RANDOMKEY") in (b"a", b"b")
    assert run(engine, "DBSIZE") == 2


@pytest.mark.parametrize("mode", ["", "SYNC", "async"])
def test_flushing(engine, effects, mode):
    run(engine, "MSET a 1 b 2", "SELECT 1", "SET c 3")
    dirty = engine.core.dirty
    effects.clear()
    assert run(engine, f"FLUSHDB {mode}") == "OK"
    assert engine.core.dirty == dirty + 1
    assert run(engine, "SELECT 0", "DBSIZE") == 2
    assert run(engine, f"FLUSHALL {mode}") == "OK"
    assert engine.core.dirty == dirty + 3
    assert run(engine, "DBSIZE") == 0
    # Sent even where there was nothing.
    run(engine, "FLUSHDB", "FLUSHALL")
    assert effects == [
        f"FLUSHDB {mode}".strip().encode(),
        f"FLUSHALL {mode}".strip().encode(),
        b"FLUSHDB",
        b"FLUSHALL",
    ]


def test_exchanging_databases(engine):
    run(engine, "SET a 1", "EXPIRE a 100", "SELECT 1", "SET b 2", "SELECT 0")
    dirty = engine.core.dirty
    assert run(engine, "SWAPDB 0 1") == "OK"
    assert engine.core.dirty == dirty + 1
    assert run(engine, "KEYS *") == [b"b"]
    run(engine, "SELECT 1")
    assert run(engine, "KEYS *") == [b"a"]
    assert run(engine, "TTL a") == 100
    engine.clock.advance(101)
    assert run(engine, "DBSIZE") == 0


def test_an_exchange_serves_who_waits(engine):
    import threading

    run(engine, "SELECT 1", "RPUSH l a", "SELECT 0")
    served = []
    session = engine.session()
    thread = threading.Thread(
        target=lambda: served.append(session.execute("BLPOP", "l", "5"))
    )
    thread.start()
    while not engine.core.waited_keys:
        pass
    run(engine, "SWAPDB 0 1")
    thread.join(5)
    assert served == [[b"l", b"a"]]
