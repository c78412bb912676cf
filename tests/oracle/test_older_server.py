"""Redis 7.0 beside us: what it reads of ours with ``rdb-version`` 10, and what we read of it.

Its digests spell scores otherwise, so what keys hold is compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import trignb
from oracle.references import REDIS70
from oracle.server import RedisServer, require_server
from oracle.test_rdb_files import LIBRARY, SECONDS, ServerOnFile, fill
from persistence.aof_files import LUA, engine_on, run
from replication.conftest import LIBRARY as JAVASCRIPT
from replication.conftest import Peer, until
from trignb.reply import to_resp2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.oracle

READERS = {
    b"string": ("GET", "{}"),
    b"list": ("LRANGE", "{}", "0", "-1"),
    b"hash": ("HGETALL", "{}"),
    b"set": ("SMEMBERS", "{}"),
    b"zset": ("ZRANGE", "{}", "0", "-1", "WITHSCORES"),
    b"stream": ("XRANGE", "{}", "-", "+"),
}


@pytest.fixture(autouse=True)
def has_redis() -> None:
    """Skip, or fail, where there is no Redis 7.0."""
    require_server(REDIS70)


@pytest.fixture
def older() -> Iterator[RedisServer]:
    """A Redis 7.0."""
    with RedisServer(REDIS70) as server:
        yield server


def contents(send: Callable[..., Any]) -> dict[bytes, Any]:
    """Return what each key of database 0 holds, with deadlines and groups."""
    told = {}
    for key in send("KEYS", "*"):
        kind = send("TYPE", key).encode()
        words = [key if word == "{}" else word for word in READERS[kind]]
        value = send(*words)
        if kind == b"set":
            value = sorted(value)
        elif kind == b"hash":
            value = sorted(zip(value[::2], value[1::2], strict=True))
        elif kind == b"zset":
            value = [value[::2], list(map(float, value[1::2]))]
        elif kind == b"stream":
            value = [value, waiting(send, key)]
        told[key] = [value, send("PEXPIRETIME", key)]
    return told


def waiting(send: Callable[..., Any], key: bytes) -> Any:
    """Return the groups of a stream and what waits in each."""
    groups = [
        dict(zip(g[::2], g[1::2], strict=True)) for g in send("XINFO", "GROUPS", key)
    ]
    pending = [send("XPENDING", key, g[b"name"], "-", "+", "99") for g in groups]
    return groups, [[row[:2] for row in rows] for rows in pending]


def plainly(engine: trignb.Engine) -> Callable[..., Any]:
    """Return what runs a command as a client of RESP2 does."""
    session = engine.session(resp=2)
    return lambda *args: to_resp2(session.execute(*args))


@pytest.fixture
def engine() -> Iterator[trignb.Engine]:
    """An engine that writes for Redis 7.0."""
    with trignb.Engine(rdb_version=10, enable_debug_command="yes") as engine:
        yield engine


@pytest.mark.parametrize("told", [True, False])
def test_it_starts_on_a_file_of_ours(tmp_path: Path, told: bool) -> None:
    path = tmp_path / "ours.rdb"
    with trignb.Engine(rdb_version=11 if told else 10) as engine:
        fill(engine.execute)
        engine.execute("FUNCTION", "LOAD", LIBRARY)
        engine.save(path, version=10 if told else None)
        ours = contents(plainly(engine))
    assert path.read_bytes()[:9] == b"REDIS0010"
    with ServerOnFile(path, REDIS70) as server:
        connection = server.connect()
        assert contents(connection.execute) == ours
        assert connection.execute("FCALL", "one", "0") == 1


def test_it_does_not_start_on_one_of_version_11(tmp_path: Path) -> None:
    path = tmp_path / "ours.rdb"
    with trignb.Engine() as engine:
        engine.execute("SET", "k", "v")
        engine.save(path)
    assert path.read_bytes()[:9] == b"REDIS0011"
    with pytest.raises(RuntimeError):
        ServerOnFile(path, REDIS70)


def test_a_version_that_is_none_is_refused(tmp_path: Path) -> None:
    with trignb.Engine() as engine:
        with pytest.raises(ValueError, match="RDB version 9 cannot be written"):
            engine.save(tmp_path / "ours.rdb", version=9)
        with pytest.raises(trignb.ResponseError, match="must be between 10 and 11"):
            engine.execute("CONFIG", "SET", "rdb-version", "9")
    assert list(tmp_path.iterdir()) == []


def test_the_parameter_is_not_among_those_of_redis() -> None:
    with trignb.Engine() as engine:
        assert engine.execute("CONFIG", "GET", "rdb-version") == {b"rdb-version": b"11"}
        assert engine.execute("CONFIG", "GET", "rdb-v*") == {}


def test_it_saved_and_we_read(older: RedisServer) -> None:
    connection = older.connect()
    fill(connection.execute)
    connection.execute("FUNCTION", "LOAD", LIBRARY)
    assert connection.execute("SAVE") == "OK"
    with trignb.Engine.from_rdb(Path(older.directory, "dump.rdb")) as engine:
        assert contents(plainly(engine)) == contents(connection.execute)
        assert engine.execute("FCALL", "one", "0") == 1


def test_payloads_both_ways(older: RedisServer, engine: trignb.Engine) -> None:
    connection = older.connect()
    fill(engine.execute)
    ours = contents(plainly(engine))
    for key in ours:
        deadline = max(engine.execute("PEXPIRETIME", key), 0)
        payload = engine.execute("DUMP", key)
        reply = connection.execute("RESTORE", key, deadline, payload, "ABSTTL")
        assert reply == "OK", key
    assert contents(connection.execute) == ours
    engine.execute("FLUSHALL")
    for key in ours:
        deadline = max(connection.execute("PEXPIRETIME", key), 0)
        payload = connection.execute("DUMP", key)
        engine.execute("RESTORE", key, deadline, payload, "ABSTTL")
    assert contents(plainly(engine)) == ours
    engine.execute("FUNCTION", "LOAD", LIBRARY)
    payload = engine.execute("FUNCTION", "DUMP")
    assert connection.execute("FUNCTION", "RESTORE", payload) == "OK"


def test_migrate_sends_it_keys(older: RedisServer, engine: trignb.Engine) -> None:
    engine.execute("SADD", "s", "a", "b")
    where = ("127.0.0.1", older.port, "s", "0", "5000")
    assert engine.execute("MIGRATE", *where) == "OK"
    assert sorted(older.connect().execute("SMEMBERS", "s")) == [b"a", b"b"]


@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("rewritten", [False, True])
def test_it_starts_on_our_directory(
    tmp_path: Path, preamble: str, rewritten: bool
) -> None:
    options = {"rdb_version": 10, "aof_use_rdb_preamble": preamble}
    with engine_on(tmp_path, **options) as engine, trignb.Engine() as source:
        fill(source.execute)
        source.execute("FUNCTION", "LOAD", LUA)
        engine.execute("FUNCTION", "RESTORE", source.execute("FUNCTION", "DUMP"))
        for i, key in enumerate(source.execute("KEYS", "*")):
            # Payloads of 7.2 that clients bring become such as 7.0 reads.
            for text in ("MULTI", "INCR n") if i % 2 else ():
                run(engine, text)
            engine.execute("RESTORE", key, 0, source.execute("DUMP", key))
            if i % 2:
                run(engine, "EXEC")
        if rewritten:
            run(engine, "BGREWRITEAOF")
            engine.aof.rewriter.wait()
        run(engine, "SADD small a b")
        ours = contents(plainly(engine))
    with RedisServer(REDIS70, tmp_path, (), appendonly="yes") as server:
        connection = server.connect()
        assert contents(connection.execute) == ours
        assert connection.execute("FCALL", "f", "0") == b"hi"
        connection.execute("SET", "there", "too")
        theirs = contents(connection.execute)
    with engine_on(tmp_path) as engine:
        assert contents(plainly(engine)) == theirs


def test_it_follows_us_and_we_it(older: RedisServer, engine: trignb.Engine) -> None:
    fill(engine.execute)
    engine.load(JAVASCRIPT)
    us, it = Peer(engine.serve().port), Peer(older.port)
    it.follow(us)
    us("SET", "later", "x")
    us.settle(it)
    assert contents(it) == contents(us)
    with trignb.Engine(replicaof=f"127.0.0.1 {older.port}") as last:
        until(lambda: last.execute("GET", "later") == b"x")
        assert contents(plainly(last)) == contents(us)
        # The times of a deadline in whole seconds are kept too.
        us("EXPIREAT", "later", SECONDS)
        until(lambda: last.execute("EXPIRETIME", "later") == SECONDS)
    for peer in (us, it):
        peer.connection.close()
