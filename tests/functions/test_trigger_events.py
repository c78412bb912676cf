"""Which events reach keyspace triggers, and whose do not (sections 7.1 to 7.3)."""

from __future__ import annotations

import pytest

import trignb
from functions.libraries import error_of, eventually, trigger_of

SEEN = """redis.registerKeySpaceTrigger('t', %s, (client, data) => {
    client.call('rpush', '_seen', `${data.event} ${data.key}`);
});"""


def seen(engine: trignb.Engine) -> list[str]:
    """Return what the trigger heard; the look itself may be heard by an all-prefix one."""
    with engine.core.lock:
        held = engine.core.databases[0].data.get(b"_seen", ())
        return [item.decode() for item in held]


# -- matching


@pytest.mark.parametrize(
    ("prefix", "keys", "matching"),
    [
        ("''", ["a", "", "é"], ["a", "", "é"]),
        ("'k'", ["k", "key", "K", "ak", ""], ["k", "key"]),
        ("'k*'", ["k", "key", "k*", "k*y"], ["k*", "k*y"]),
        ("'k?'", ["ka", "k?", "k?a"], ["k?", "k?a"]),
        ("'[ab]'", ["a", "b", "[ab]c"], ["[ab]c"]),
        ("'\\\\\\\\'", ["\\", "\\k", "k"], ["\\", "\\k"]),
        ("'user:{1}'", ["user:{1}", "user:{2}", "user:"], ["user:{1}"]),
        ("'longer than the key'", ["longer"], []),
        ("'é'", ["é", "éa", "e"], ["é", "éa"]),
        ("'a\\\\0b'", ["a", "a\0b", "a\0"], ["a\0b"]),
        ("new Uint8Array([107]).buffer", ["k", "ka", "a"], ["k", "ka"]),
        ("new ArrayBuffer(0)", ["k", ""], ["k", ""]),
    ],
)  # fmt: skip
def test_prefixes_are_compared_byte_by_byte(
    engine, load, prefix, keys, matching
) -> None:
    load(SEEN % prefix.replace("\\\\", "\\"))
    for key in keys:
        engine.execute("SET", key, "v")
    assert seen(engine) == [f"set {key}" for key in matching]


@pytest.mark.parametrize("prefix", ["5", "null", "['k']", "new Uint8Array(1)", "{}"])
def test_prefixes_of_other_types(load, prefix) -> None:
    assert error_of(load, SEEN % prefix) == (
        "Failed loading library: Second argument to 'registerKeySpaceTrigger' must be a "
        "string or ArrayBuffer representing the prefix."
    )


@pytest.mark.parametrize(
    ("key", "data"),
    [
        (b"k", b'{"event":"set","key":"k","key_raw":{}}'),
        ("é".encode(), '{"event":"set","key":"é","key_raw":{}}'.encode()),
        (b"\xff", b'{"event":"set","key":null,"key_raw":{}}'),
        (b"", b'{"event":"set","key":"","key_raw":{}}'),
    ],
)
def test_data(engine, load, key, data) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', '', (client, data) => {
    client.call('set', 'json', JSON.stringify(data));
    client.call('set', 'raw', data.key_raw);
    client.call('set', 'is', String(data.key_raw instanceof ArrayBuffer));
});"""
    )
    engine.execute("SET", key, "v")
    assert trigger_of(engine, "t").num_success == 1
    with engine.core.lock:
        held = engine.core.databases[0].data
        assert (held[b"json"], held[b"raw"], held[b"is"]) == (data, key, b"true")


# -- classes


@pytest.mark.parametrize(
    ("before", "command", "events"),
    [
        # generic
        ("SET k v", "DEL k", "del k"),
        ("SET k v", "UNLINK k", "del k"),
        ("SET k v", "EXPIRE k 9", "expire k"),
        ("SET k v", "EXPIRE k -1", "del k"),
        ("SET k v EX 9", "PERSIST k", "persist k"),
        ("SET k v", "RENAME k k2", "rename_from k, rename_to k2"),
        ("SET k v", "RENAME k other", "rename_from k"),
        ("SET k v", "MOVE k 1", "move_from k"),
        ("SET k v", "COPY k k2", "copy_to k2"),
        # string
        ("", "SET k v", "set k"),
        ("", "SET k v EX 9", "set k, expire k"),
        ("", "SETEX k 9 v", "set k, expire k"),
        ("", "MSET k1 a k2 b other c", "set k1, set k2"),
        ("", "MSET k a k b", "set k, set k"),
        ("", "APPEND k v", "append k"),
        ("", "INCR k", "incrby k"),
        ("", "INCRBYFLOAT k 1.5", "incrbyfloat k"),
        ("", "SETRANGE k 1 x", "setrange k"),
        ("", "SETBIT k 1 1", "setbit k"),
        ("", "PFADD k a", "pfadd k"),
        ("SET k v", "GETDEL k", "del k"),
        ("SET k v", "SET k v", "set k"),
        # list, set, hash, zset, stream
        ("", "LPUSH k a", "lpush k"),
        ("RPUSH k a b", "LTRIM k 0 0", "ltrim k"),
        ("RPUSH k a", "RPOPLPUSH k k2", "lpush k2, rpop k, del k"),
        ("", "SADD k a", "sadd k"),
        ("SADD k a", "SADD k a", ""),
        ("SADD k a", "SPOP k", "spop k, del k"),
        ("", "HSET k f v", "hset k"),
        ("HSET k f v", "HDEL k f", "hdel k, del k"),
        ("", "ZADD k 1 m", "zadd k"),
        ("ZADD k 1 m", "ZPOPMIN k", "zpopmin k, del k"),
        ("", "XADD k 1-1 f v", "xadd k"),
        ("XADD k 1-1 f v", "XDEL k 1-1", "xdel k"),
        ("", "XGROUP CREATE k g $ MKSTREAM", "xgroup-create k"),
        # a read of what is not there
        ("", "GET k", "keymiss k"),
        ("", "MGET k1 k2 other", "keymiss k1, keymiss k2"),
        ("", "EXISTS k", "keymiss k"),
        ("", "HGET k f", "keymiss k"),
        ("", "GETSET k v", "keymiss k, set k"),
        ("", "INCRBY k 1", "incrby k"),
        ("", "DEL k", ""),
        # nothing: not changed, not a key, refused, or silent by nature
        ("SET k v", "GET k", ""),
        ("SET k v", "FLUSHALL", ""),
        ("SET k v", "SWAPDB 0 1", ""),
        ("SET k v", "LPUSH k a", "ERROR"),
        ("", "SET k v EX 0", "ERROR"),
        # no events but through a unit: scripts and transactions of clients
        ("", "EVAL return(redis.call('set','k','v')) 0", "set k"),
        ("", "EVAL redis.call('set','k','v')redis.call('get','k2') 0", "set k, keymiss k2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("notify", ["", "KEAmn"])
def test_events(engine, load, before, command, events, notify) -> None:
    """Delivery does not depend on ``notify-keyspace-events``."""
    engine.execute("CONFIG", "SET", "notify-keyspace-events", notify)
    if before:
        engine.execute(*before.split())
    load(SEEN % "'k'")
    if events == "ERROR":
        error_of(engine.execute, *command.split())
        events = ""
    else:
        engine.execute(*command.split())
    assert seen(engine) == (events.split(", ") if events else [])


def test_lua_functions_fire(engine, load) -> None:
    engine.execute(
        "FUNCTION", "LOAD",
        "#!lua name=l\nredis.register_function('f', "
        "function(keys) redis.call('set', keys[1], 'v') redis.call('del', keys[1]) end)",
    )  # fmt: skip
    load(SEEN % "'k'")
    engine.execute("FCALL", "f", 1, "k")
    assert seen(engine) == ["set k", "del k"]


def test_what_is_gone_is_gone_when_the_trigger_looks(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('rpush', 'log', `${data.event} ${data.there} ${client.call('exists', data.key)}`);
}, {onTriggerFired: (client, data) => { data.there = client.call('exists', data.key); }});"""
    )
    engine.execute("SET", "k", "v")
    engine.execute("DEL", "k")
    engine.execute("SET", "k", "v", "PX", 5)
    engine.clock.advance(milliseconds=10)
    assert engine.execute("LRANGE", "log", 0, -1) == [
        *(b"set 1 1", b"del 0 0", b"set 1 1", b"expire 1 1", b"expired 0 0"),
    ]


def test_eviction_fires(engine, load) -> None:
    load(SEEN % "'k'")
    engine.execute("SET", "k1", "v" * 1000)
    engine.execute("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
    engine.execute("SET", "k2", "v" * 10_000, "EX", 99)
    used = engine.core.memory.used()
    engine.execute("CONFIG", "SET", "maxmemory", used - 5_000)
    assert seen(engine) == ["set k1", "set k2", "expire k2", "evicted k2"]


# -- suppression

WRITERS = """
redis.registerKeySpaceTrigger('all', '', () => {});
"""
WRITES = [
    # library code, command that runs it
    ("redis.registerFunction('f', c => { c.call('set', 'k', 'v'); c.call('get', 'no'); });",
     "TFCALL other.f 0"),
    ("redis.registerFunction('f', c => { c.call('set', 'k', 'v'); });",
     "TFCALLASYNC other.f 0"),
    ("redis.registerAsyncFunction('f', c => { c.call('set', 'k', 'v'); });",
     "TFCALLASYNC other.f 0"),
    ("redis.registerAsyncFunction('f', async c => c.block(c => c.call('set', 'k', 'v')));",
     "TFCALLASYNC other.f 0"),
    ("redis.registerAsyncFunction('f', c => c.callAsync('set', 'k', 'v'));",
     "TFCALLASYNC other.f 0"),
    (("redis.registerAsyncFunction('f', c => c.executeAsync("
     "async c => c.block(c => c.call('set', 'k', 'v'))));"), "TFCALLASYNC other.f 0"),
    (("redis.registerFunction('f', c => { try { c.call('set', 'k', 'v'); throw 1; } "
     "catch (e) { c.call('set', 'k', 'w'); } });"), "TFCALL other.f 0"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "command"), WRITES)
def test_what_functions_write_fires_nothing(engine, load, body, command) -> None:
    load(WRITERS)
    load(body, name="other")
    engine.execute(*command.split())
    trigger = trigger_of(engine, "all")
    assert trigger.num_triggered == 0
    # ... and afterwards everything is as it was.
    engine.execute("SET", "k", "v")
    assert trigger.num_triggered == 1


@pytest.mark.parametrize(
    ("body", "command", "heard"),
    [
        ("redis.registerKeySpaceTrigger('t', 'k', c => { c.call('set', 'x', '1'); });",
         "SET k v", 1),
        (("redis.registerKeySpaceTrigger('t', 'k', c => {}, "
         "{onTriggerFired: c => { c.call('get', 'absent'); }});"), "SET k v", 1),
        ("redis.registerKeySpaceTrigger('t', 'k', c => { c.call('set', 'x', '1'); throw 'x'; });",
         "SET k v", 1),
        ("redis.registerStreamTrigger('t', 's', c => { c.call('set', 'x', '1'); });",
         "XADD s 1-1 f v", 1),
        (("redis.registerStreamTrigger('t', 's', c => { c.call('set', 'x', '1'); },"
         "{isStreamTrimmed: true});"), "XADD s 1-1 f v", 1),
    ],
)  # fmt: skip
def test_what_triggers_write_fires_nothing(engine, load, body, command, heard) -> None:
    load(WRITERS)
    load(body, name="other")
    for i in (1, 2):
        engine.execute(*command.replace("1-1", f"{i}-1").split())
        assert trigger_of(engine, "all").num_triggered == heard * i


def test_a_stream_callback_in_the_background_fires_nothing(engine, load) -> None:
    load(WRITERS)
    load(
        """redis.registerStreamTrigger('t', 's', async c => {
    c.block(c => c.call('set', 'x', '1'));
});""",
        name="other",
    )
    engine.execute("XADD", "s", "1-1", "f", "v")
    eventually(lambda: engine.core.databases[0].data.get(b"x") == b"1")
    assert trigger_of(engine, "all").num_triggered == 1


def test_a_failing_function_leaves_triggers_on(engine, load) -> None:
    load(WRITERS)
    load("redis.registerFunction('f', c => { throw 'x'; });", name="other")
    error_of(engine.execute, "TFCALL", "other.f", 0)
    engine.execute("MULTI")
    engine.execute("TFCALL", "other.f", 0)
    engine.execute("SET", "k", "v")
    engine.execute("EXEC")
    assert trigger_of(engine, "all").num_triggered == 1


def test_a_command_that_waited_fires_for_another_client(engine, load) -> None:
    load(
        SEEN % "'l'"
        + "redis.registerAsyncFunction('f', c => { c.callAsync('blpop', 'l', '0'); });"
    )
    engine.execute("TFCALLASYNC", "lib.f", 0)
    assert seen(engine) == []
    engine.execute("RPUSH", "l", "x")
    assert seen(engine) == ["rpush l", "lpop l", "del l"]


def test_transactions_and_scripts_of_clients_fire(engine, load) -> None:
    load(SEEN % "'k'")
    engine.execute("MULTI")
    engine.execute("SET", "k1", "v")
    engine.execute("EVAL", "redis.call('set', 'k2', 'v')", 0)
    engine.execute("EXEC")
    assert seen(engine) == ["set k1", "set k2"]


def test_silent_while_an_aof_is_replayed(engine, load) -> None:
    load(SEEN % "''" + "redis.registerStreamTrigger('s', '', () => {});")
    engine.core.is_loading = True
    engine.execute("SET", "k", "v")
    engine.execute("XADD", "st", "1-1", "f", "v")
    engine.execute("MULTI")
    engine.execute("SET", "k", "w")
    engine.execute("EXEC")
    engine.core.is_loading = False
    assert seen(engine) == []
    assert trigger_of(engine, "t").num_triggered == 0
    library = engine.library_registry.libraries["lib"]
    assert library.stream_triggers["s"].streams == {}
