"""DUMP, RESTORE, MIGRATE."""

from __future__ import annotations

import functools
import socket
import threading
from contextlib import contextmanager

import pytest

import trignb
from trignb.datatypes import rdb
from trignb.engine.commands import migration

FILL = [
    "SET string v",
    "SET number 12",
    "APPEND raw abc",
    "RPUSH list 3 a -1",
    "SADD set a b",
    "SADD intset 1 2",
    "ZADD zset 1.5 a -2 b",
    "HSET hash f v g w",
]
KEYS_NEEDS_NO_KEY = (
    "When using MIGRATE KEYS option, the key argument must be set to the empty string"
)
NOON_MS = 1_767_268_800_000


def run(engine, *commands):
    return [engine.execute(*command.split()) for command in commands][-1]


def refusal(engine, *args):
    with pytest.raises(trignb.ResponseError) as error:
        engine.execute(*args)
    return str(error.value)


@pytest.fixture
def sent(engine):
    effects = []
    engine.core.sinks.append(lambda batch: effects.extend(args for _, args in batch))
    engine.core.sinks_changed()
    return effects


# -- DUMP and RESTORE


def test_every_type_comes_back(engine):
    run(engine, *FILL)
    data = engine.core.databases[0].data
    for key in list(data):
        payload = engine.execute("DUMP", key)
        assert engine.execute("RESTORE", b"copy", "0", payload, "REPLACE") == "OK"
        assert data[b"copy"] == data[key]
        encoding = engine.execute("OBJECT", "ENCODING", "copy")
        assert key == b"raw" or encoding == engine.execute("OBJECT", "ENCODING", key)
    assert run(engine, "DUMP none") is None


@pytest.mark.parametrize(
    ("ttl", "options", "left"),
    [
        ("0", [], -1),
        ("5000", [], 5000),
        (str(NOON_MS + 7000), ["ABSTTL"], 7000),
        ("0", ["absttl"], -1),
    ],
)
def test_deadlines_are_sent_absolute(engine, sent, ttl, options, left):
    payload = run(engine, "SET k v", "DUMP k")
    sent.clear()
    assert engine.execute("RESTORE", "j", ttl, payload, *options) == "OK"
    assert run(engine, "PTTL j") == left
    words = [option.encode() for option in options]
    if left == 5000:
        ttl, words = str(NOON_MS + 5000), [b"ABSTTL"]
    assert sent == [[b"RESTORE", b"j", ttl.encode(), payload, *words]]


def test_a_deadline_that_is_over_creates_nothing(engine, sent):
    payload = run(engine, "SET k v", "DUMP k")
    sent.clear()
    dirty = engine.core.dirty
    assert engine.execute("RESTORE", "j", "1", payload, "ABSTTL") == "OK"
    assert (engine.core.dirty, sent) == (dirty, [])
    assert engine.execute("RESTORE", "k", "1", payload, "ABSTTL", "REPLACE") == "OK"
    assert (engine.core.dirty, sent) == (dirty + 1, [[b"DEL", b"k"]])
    assert run(engine, "EXISTS k j") == 0


def test_replacing(engine):
    payload = run(engine, "SET k v", "EXPIRE k 100", "DUMP k")
    run(engine, "RPUSH l a", "EXPIRE l 100")
    assert refusal(engine, "RESTORE", "l", "x", payload) == (
        "BUSYKEY Target key name already exists."
    )
    assert engine.execute("RESTORE", "l", "0", payload, "REPLACE") == "OK"
    assert run(engine, "TTL l") == -1
    assert engine.execute("RESTORE-ASKING", "m", "0", payload) == "OK"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["0", "bad"], "ERR DUMP payload version or checksum are wrong"),
        (["0", ""], "ERR DUMP payload version or checksum are wrong"),
        (["-1", "bad"], "ERR Invalid TTL value, must be >= 0"),
        (["x", "bad"], "ERR value is not an integer or out of range"),
        (["x", "bad", "FOO"], "ERR syntax error"),
        (["0", "bad", "IDLETIME"], "ERR syntax error"),
        (["0", "bad", "IDLETIME", "-1"], "ERR Invalid IDLETIME value, must be >= 0"),
        (
            ["0", "bad", "FREQ", "256"],
            "ERR Invalid FREQ value, must be >= 0 and <= 255",
        ),
        (["0", "bad", "FREQ", "1", "IDLETIME", "1"], "ERR syntax error"),
    ],
)
def test_restore_errors(engine, args, error):
    assert refusal(engine, "RESTORE", "k", *args) == error


def test_a_payload_of_no_value(engine):
    payload = run(engine, "RPUSH k a", "DUMP k")
    body = b"\x63" + payload[1:-8]
    broken = body + rdb.crc64(body).to_bytes(8, "little")
    assert refusal(engine, "RESTORE", "j", "0", broken) == "ERR Bad data format"


# -- MIGRATE


@contextmanager
def target(*answers, wait=False):
    """Run a server that answers once with these bytes; yields its port and what it got."""
    received = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection:
            received.append(connection.recv(1 << 20))
            connection.sendall(b"".join(answers))
            if wait:
                connection.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        yield listener.getsockname()[1], received
    thread.join(5)


def test_what_is_sent(engine, sent):
    payload = run(engine, "SET k v", "PEXPIRE k 1234", "DUMP k")
    sent.clear()
    with target(b"+OK\r\n", b"+OK\r\n") as (port, received):
        assert run(engine, f"MIGRATE 127.0.0.1 {port} k 3 1000 REPLACE") == "OK"
    expected = b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
    expected += b"*5\r\n$7\r\nRESTORE\r\n$1\r\nk\r\n$4\r\n1234\r\n"
    expected += b"$%d\r\n%b\r\n$7\r\nREPLACE\r\n" % (len(payload), payload)
    assert received == [expected]
    assert sent == [[b"DEL", b"k"]]
    assert run(engine, "EXISTS k") == 0


def test_a_copy_stays_and_is_not_propagated(engine, sent):
    run(engine, "SET k v")
    sent.clear()
    with target(b"+OK\r\n", b"+OK\r\n", b"+OK\r\n") as (port, received):
        command = f"MIGRATE 127.0.0.1 {port} k 0 1000 COPY AUTH2 me secret"
        assert run(engine, command) == "OK"
    assert received[0].startswith(b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n")
    assert (sent, run(engine, "EXISTS k")) == ([], 1)


def test_what_the_target_refuses_stays_here(engine, sent):
    run(engine, "MSET a 1 b 2 c 3")
    sent.clear()
    busy = b"-BUSYKEY Target key name already exists.\r\n"
    with target(b"+OK\r\n", b"+OK\r\n", busy, b"+OK\r\n") as (port, _):
        args = ["MIGRATE", "127.0.0.1", port, "", 0, 1000, "KEYS", *"axbc"]
        assert refusal(engine, *args) == (
            "ERR Target instance replied with error: "
            "BUSYKEY Target key name already exists."
        )
    assert run(engine, "KEYS *") == [b"b"]
    assert sent == [[b"DEL", b"a", b"c"]]


@pytest.mark.parametrize("head", ["AUTH", "SELECT"])
def test_a_target_that_refuses_to_listen(engine, head):
    run(engine, "SET k v")
    answers = {
        "AUTH": [b"-WRONGPASS no\r\n", b"+OK\r\n", b"+OK\r\n"],
        "SELECT": [b"-ERR DB index is out of range\r\n", b"+OK\r\n"],
    }[head]
    options = ["AUTH", "secret"] if head == "AUTH" else []
    with target(*answers) as (port, _):
        error = refusal(engine, "MIGRATE", "127.0.0.1", port, "k", 99, 1000, *options)
    assert error == (
        "ERR Target instance replied with error: " + answers[0][1:-2].decode()
    )
    assert run(engine, "EXISTS k") == 1


def test_a_target_that_goes_away_keeps_what_it_took(engine, sent):
    run(engine, "MSET a 1 b 2")
    sent.clear()
    with target(b"+OK\r\n", b"+OK\r\n") as (port, _):
        args = ["MIGRATE", "127.0.0.1", port, "", 0, 1000, "KEYS", "a", "b"]
        assert refusal(engine, *args) == (
            "IOERR error or timeout reading to target instance"
        )
    assert run(engine, "KEYS *") == [b"b"]
    assert sent == [[b"DEL", b"a"]]
    run(engine, "SET c 3")
    assert sent[-1] == [b"SET", b"c", b"3"]


def test_a_target_that_says_nothing(engine):
    run(engine, "SET k v")
    with target(wait=True) as (port, _):
        assert refusal(engine, "MIGRATE", "127.0.0.1", port, "k", 0, 50) == (
            "IOERR error or timeout reading to target instance"
        )
    assert run(engine, "EXISTS k") == 1


def test_nobody_there(engine):
    run(engine, "SET k v")
    assert refusal(engine, "MIGRATE", "127.0.0.1", 1, "k", 0, 100) == (
        "IOERR error or timeout writing to target instance"
    )
    assert refusal(engine, "MIGRATE", "no.such.host.invalid", 1, "k", 0, 100) == (
        "IOERR error or timeout connecting to the client"
    )


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["k", "0", "x"], "ERR value is not an integer or out of range"),
        (["k", "x", "1"], "ERR value is not an integer or out of range"),
        (["k", "0", "1", "FOO"], "ERR syntax error"),
        (["k", "0", "1", "AUTH"], "ERR syntax error"),
        (["k", "0", "1", "AUTH2", "a"], "ERR syntax error"),
        (
            ["k", "0", "1", "KEYS", "a"],
            f"ERR {KEYS_NEEDS_NO_KEY}",
        ),
    ],
)
def test_migrate_errors(engine, args, error):
    run(engine, "SET k v")
    assert refusal(engine, "MIGRATE", "host", "1", *args) == error


def test_no_key(engine):
    assert run(engine, "MIGRATE host 1 none 0 1") == "NOKEY"
    assert engine.execute("MIGRATE", "host", 1, "", 0, 1, "KEYS", "a", "b") == "NOKEY"
    assert engine.execute("MIGRATE", "host", 1, "", 0, 1, "KEYS") == "NOKEY"


@pytest.mark.oracle
def test_keys_arrive_at_a_real_server(engine, oracle, monkeypatch):
    # A payload names the version of its format; 7.0 takes 10.
    if oracle.version.startswith("7.0"):
        older = functools.partial(rdb.dump_value, version=10)
        monkeypatch.setattr(migration, "dump_value", older)
    run(engine, *FILL, "EXPIRE hash 100")
    connection = oracle.connect(3)
    connection.execute("FLUSHALL")
    keys = engine.execute("KEYS", "*")
    args = ["127.0.0.1", oracle.port, "", 0, 5000, "KEYS", *keys]
    assert engine.execute("MIGRATE", *args) == "OK"
    assert engine.execute("DBSIZE") == 0
    assert connection.execute("GET", "raw") == b"abc"
    assert connection.execute("LRANGE", "list", 0, -1) == [b"3", b"a", b"-1"]
    assert set(connection.execute("SMEMBERS", "set")) == {b"a", b"b"}
    assert set(connection.execute("SMEMBERS", "intset")) == {b"1", b"2"}
    assert connection.execute("ZSCORE", "zset", "a") == 1.5
    assert connection.execute("HGETALL", "hash") == {b"f": b"v", b"g": b"w"}
    assert 90 < connection.execute("TTL", "hash") <= 100
    connection.execute("FLUSHALL")
