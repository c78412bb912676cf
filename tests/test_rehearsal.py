"""A dry run behaves as the engine would, and leaves nothing of it behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import trignb
from functions.libraries import eventually, lib
from trignb.engine.digest import dataset_digest
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = """let calls = 0;
redis.registerFunction('count', () => ++calls);
redis.registerKeySpaceTrigger('stamp', 'user:', (client, data) => {
    client.call('hset', data.key, 'seen', String(++calls));
});
redis.registerStreamTrigger('sum', 's', (client, data) => {
    client.call('rpush', 'read', data.id.join('-'));
});"""


def state(engine: trignb.Engine) -> list[Any]:
    """Return everything that a dry run must not touch."""
    core, registry = engine.core, engine.library_registry
    library = registry.libraries.get("lib")
    trigger = library and library.triggers["stamp"].statistics
    where = library and library.stream_triggers["sum"].streams.get(b"s")
    return [
        dataset_digest(core.databases),
        core.dirty,
        core.hits,
        core.misses,
        dict(core.errors),
        list(core.notifications.records),
        list(core.commands.records),
        {n: (c.calls, c.failed, c.rejected) for n, c in core.table.by_name.items()},
        dict(core.config.values),
        list(core.sessions),
        trigger and (trigger.triggered, trigger.succeeded, trigger.total_ns),
        where and (where.last_read, where.total_record_processed),
        list(registry.lines),
        list(engine.scripts.cache),
        core.clock.read(),
        core.tracing.is_armed,
    ]


@pytest.fixture
def filled(engine: trignb.Engine) -> trignb.Engine:
    engine.load(lib(LIBRARY))
    engine.commands()
    engine.execute("HSET", "user:1", "name", "tom")
    engine.execute("XADD", "s", "1-1", "f", "v")
    engine.execute("SET", "t", "v", "EX", 100)
    engine.execute("EVAL", "return 1", 0)
    return engine


def test_nothing_of_the_engine_is_touched(filled: trignb.Engine) -> None:
    before = state(filled)
    with filled.dry_run() as dry:
        dry.execute("FLUSHALL")
        dry.execute("HSET", "user:2", "name", "eve")
        dry.execute("XADD", "s", "2-1", "f", "v")
        dry.execute("CONFIG", "SET", "maxmemory", "1gb")
        dry.execute("TFCALL", "lib.count", 0)
        dry.execute("EVAL", "return 2", 0)
        dry.execute("TFUNCTION", "DELETE", "lib")
        dry.engine.clock.advance(1000)
        with pytest.raises(ResponseError):
            dry.execute("NOSUCH")
    assert state(filled) == before
    # A global of the library too.
    assert filled.execute("TFCALL", "lib.count", 0) == 2


def test_it_is_what_the_engine_would_do(filled: trignb.Engine) -> None:
    with filled.dry_run() as dry:
        copied = dry.engine.core.databases
        assert dataset_digest(copied) == dataset_digest(filled.core.databases)
        assert dry.execute("TTL", "t") == 100
        dry.execute("HSET", "user:1", "name", "eve")
        dry.execute("XADD", "s", "2-1", "f", "v")
        dry.execute("DEL", "t")
        assert repr(dry.diff()).split("\n") == [
            'user:1 (hash): ~ name "tom" → "eve"',
            's (stream): + 2-1 "f v"',
            # Records that were read are not read again.
            'read (list): + tail "2-1"',
            't (string, gone): was "v" (TTL 100 s)',
        ]


def test_globals_start_afresh(filled: trignb.Engine) -> None:
    filled.execute("TFCALL", "lib.count", 0)
    with filled.dry_run() as dry:
        assert dry.execute("TFCALL", "lib.count", 0) == 1


def test_the_clock_is_the_same(filled: trignb.Engine) -> None:
    with filled.dry_run() as dry:
        assert dry.execute("TIME") == filled.execute("TIME")
        assert dry.engine.clock.frozen
    with trignb.Engine() as engine:
        engine.clock.advance(1_000_000)
        with engine.dry_run() as dry:
            assert not dry.engine.clock.frozen
            ahead = dry.engine.clock.now_ns() - engine.clock.now_ns()
            assert abs(ahead) < 10**9


def test_keys_that_expire_on_the_copy(filled: trignb.Engine) -> None:
    with filled.dry_run() as dry:
        dry.engine.clock.advance(200)
        assert dry.diff().keys() == ["t"]
    assert filled.execute("EXISTS", "t") == 1


def test_configuration_users_and_scripts_are_there(filled: trignb.Engine) -> None:
    filled.execute("CONFIG", "SET", "hash-max-listpack-entries", "2")
    filled.execute("CONFIG", "SET", "notify-keyspace-events", "KEA")
    filled.execute("ACL", "SETUSER", "eve", "on", ">pw", "~e*", "+@all")
    digest = filled.execute("SCRIPT", "LOAD", "return redis.call('get', KEYS[1])")
    filled.execute(
        "FUNCTION",
        "LOAD",
        "#!lua name=fun\nredis.register_function('f', function() return 7 end)",
    )
    with filled.dry_run() as dry:
        dry.execute("HSET", "h", "a", "1", "b", "2", "c", "3")
        assert dry.execute("OBJECT", "ENCODING", "h") == b"hashtable"
        assert dry.execute("EVALSHA", digest, 1, "t") == b"v"
        assert dry.execute("FCALL", "f", 0) == 7
        session = dry.session()
        session.execute("AUTH", "eve", "pw")
        with pytest.raises(ResponseError, match="NOPERM"):
            session.execute("GET", "t")


def test_triggers_fire_in_the_engines_order(engine: trignb.Engine) -> None:
    body = """redis.registerKeySpaceTrigger('%s', 'k', (client) => {
        client.call('rpush', 'log', '%s');
    });"""
    engine.load(lib(body % ("a", "a"), "one"))
    engine.load(lib(body % ("b", "b"), "two"))
    more = body % ("a", "a") + body % ("c", "c")
    engine.load(lib(more, "one"), replace=True)
    engine.execute("SET", "k", "1")
    with engine.dry_run() as dry:
        dry.execute("DEL", "log")
        dry.execute("SET", "k", "2")
        assert dry.execute("LRANGE", "log", 0, -1) == engine.execute(
            "LRANGE", "log", 0, -1
        )


OUTSIDE = [
    "SAVE",
    "BGSAVE",
    "BGREWRITEAOF",
    "CONFIG SET appendonly yes",
    "CONFIG SET hz 20 dir /tmp",
    "SHUTDOWN NOSAVE",
    "CONFIG REWRITE",
    "REPLICAOF localhost 1",
    "MIGRATE localhost 1 k 0 100",
    "ACL SAVE",
    "DEBUG RELOAD",
]


@pytest.mark.parametrize("command", OUTSIDE)
def test_what_reaches_outside_is_refused(engine: trignb.Engine, command: str) -> None:
    engine.execute("SET", "k", "v")
    with engine.dry_run() as dry:
        with pytest.raises(ResponseError) as caught:
            dry.execute(*command.split())
        assert dry.execute("GET", "k") == b"v"
    text = str(caught.value)
    assert text.startswith(f"ERR {command.split()[0]}")
    assert text.endswith("reaches outside of the engine: not in a dry run")


def test_scripts_and_libraries_reach_no_further(engine: trignb.Engine) -> None:
    engine.load(
        lib("redis.registerFunction('f', client => client.call('debug', 'reload'));")
    )
    with engine.dry_run() as dry, pytest.raises(ResponseError):
        dry.execute("TFCALL", "lib.f", 0)


def test_files_of_the_engine_are_not_the_copys(tmp_path: Path) -> None:
    with trignb.Engine(dir=str(tmp_path), save="1 1") as engine:
        engine.execute("SET", "k", "v")
        with engine.dry_run() as dry:
            assert not dry.engine.saver.has_directory
            dry.execute("SET", "k", "w")
        assert engine.execute("GET", "k") == b"v"


def test_a_replica_refuses_writes_in_a_dry_run_too(engine: trignb.Engine) -> None:
    engine.execute("SET", "k", "v")
    with engine.serve() as server, trignb.Engine() as replica:
        replica.execute("REPLICAOF", "127.0.0.1", server.port)
        eventually(lambda: replica.execute("GET", "k") == b"v")
        with replica.dry_run() as dry:
            assert dry.execute("GET", "k") == b"v"
            assert dry.execute("ROLE")[:4] == replica.execute("ROLE")[:4]
            with pytest.raises(ResponseError, match="READONLY"):
                dry.execute("SET", "k", "w")
            dry.execute("CONFIG", "SET", "replica-read-only", "no")
            dry.execute("SET", "k", "w")
        engine.execute("SET", "k", "x")
        eventually(lambda: replica.execute("GET", "k") == b"x")


def test_a_client_in_the_state_of_another(engine: trignb.Engine) -> None:
    original = engine.session(resp=2, name="me")
    original.execute("SELECT", 3)
    original.execute("WATCH", "w")
    with engine.dry_run() as dry:
        session = dry.session(like=original)
        assert (session.db.index, session.resp, session.name) == (3, 2, b"me")
        dry.session().execute("SELECT", 3)
        session.execute("SET", "w", "1")
        session.execute("MULTI")
        assert session.execute("EXEC") == session.null_array
        fresh = dry.session(like=original)
        fresh.execute("MULTI")
        assert fresh.execute("EXEC") == []
    engine.session().execute("FLUSHALL")
    other = engine.session()
    other.execute("SELECT", 3)
    other.execute("SET", "w", "1")
    with engine.dry_run() as dry:
        broken = dry.session(like=original)
        broken.execute("MULTI")
        assert broken.execute("EXEC") == broken.null_array
    original.execute("MULTI")
    with engine.dry_run() as dry, pytest.raises(ValueError, match="middle of a MULTI"):
        dry.session(like=original)


def test_a_dry_run_is_used_once(engine: trignb.Engine) -> None:
    dry = engine.dry_run()
    with pytest.raises(RuntimeError, match="is made by"):
        dry.execute("PING")
    with dry:
        assert repr(dry.diff()) == "(no key changed)"
        with pytest.raises(RuntimeError, match="used once"):
            dry.__enter__()
    with pytest.raises(trignb.EngineClosed):
        dry.execute("PING")


def test_a_diff_of_very_many_keys(
    engine: trignb.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trignb.rehearsal.MOST_CHANGES", 3)
    for i in range(10):
        engine.execute("SET", f"k{i}", "v")
    with engine.dry_run() as dry:
        dry.execute("FLUSHALL")
        diff = dry.diff()
    assert len(diff) == 3
    assert repr(diff).split("\n")[-1] == "… 7 more keys"
    assert "… 7 more keys" in diff._repr_html_()


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("APPEND text x", '"v" → "vx"'),
        ("SETRANGE text 0 v", None),
        ("LPUSH list x", '+ head "x"'),
        ("SADD set x", "+ x"),
        ("ZADD zset 5 a", "~ a 1 → 5"),
        ("HDEL hash f", None),
        ("XADD stream 5-5 f v", '+ 5-5 "f v"'),
        ("EXPIRE text 5", "TTL 5 s"),
    ],
)
def test_every_type_is_compared(
    engine: trignb.Engine, command: str, shown: str | None
) -> None:
    for setup in (
        "APPEND text v",
        "RPUSH list a b",
        "SADD set a",
        "ZADD zset 1 a",
        "HSET hash g v",
        "XADD stream 1-1 f v",
    ):
        engine.execute(*setup.split())
    with engine.dry_run() as dry:
        dry.execute(*command.split())
        text = repr(dry.diff())
    if shown is None:
        assert text == "(no key changed)"
    else:
        assert text.startswith(command.split()[1])
        assert text.endswith(shown)


def test_the_engine_is_used_by_others_meanwhile(filled: trignb.Engine) -> None:
    stop = threading.Event()

    def write() -> None:
        session = filled.session()
        while not stop.is_set():
            session.execute("INCR", "n")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):
            eventually(lambda: filled.execute("EXISTS", "n"))
            with filled.dry_run() as dry:
                seen = dry.execute("GET", "n")
                dry.execute("DEL", "n")
                assert int(filled.execute("GET", "n")) >= int(seen)
    finally:
        stop.set()
        thread.join()
