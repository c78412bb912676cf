"""Keyspace triggers: matching, order, onTriggerFired, suppression, statistics."""

from __future__ import annotations

import threading

import pytest

import trignb
from functions.libraries import counters, error_of, eventually, listed, trigger_of
from trignb.errors import ResponseError

COUNT = """redis.registerKeySpaceTrigger('t', %s, (client, data) => {
    client.call('rpush', '_seen', data.event, data.key_raw);
});"""


def seen(engine) -> list[bytes]:
    return engine.execute("LRANGE", "_seen", 0, -1)


# -- matching


def test_a_prefix_is_literal(engine, load) -> None:
    load(COUNT % "'k*'")
    engine.execute("MSET", "k", "1", "key", "1", "k*", "1", "k*y", "1")
    assert seen(engine) == [b"set", b"k*", b"set", b"k*y"]


def test_a_binary_prefix(engine, load) -> None:
    load(COUNT % "new Uint8Array([0xff, 0]).buffer")
    engine.execute("SET", b"\xff", "1")
    engine.execute("SET", b"\xff\x00\x01", "1")
    assert seen(engine) == [b"set", b"\xff\x00\x01"]
    assert listed(engine, "v")[0][b"keyspace_triggers"][0][b"prefix"] == b"\xff\x00"
    assert trigger_of(engine, "t").prefix == b"\xff\x00"


def test_a_prefix_in_utf8(engine, load) -> None:
    load(COUNT % "'né'")
    engine.execute("SET", "née", "1")
    assert seen(engine) == [b"set", "née".encode()]


def test_all_databases_fire_and_the_client_works_in_the_event_s(engine, load) -> None:
    load(COUNT % "'k'")
    session = engine.session()
    session.execute("SELECT", 7)
    session.execute("SET", "k", "v")
    assert seen(engine) == []
    assert session.execute("LLEN", "_seen") == 2


def test_thousands_of_prefixes(engine, load) -> None:
    load(
        """for (let i = 0; i < 5000; i++)
    redis.registerKeySpaceTrigger(`t${i}`, `prefix${i}:`, (client, data) => {
        client.call('incr', `count${i}`);
    });"""
    )
    engine.execute("SET", "prefix77:x", "v")
    engine.execute("SET", "prefix4999:", "v")
    engine.execute("SET", "other", "v")
    assert engine.execute("MGET", "count77", "count4999", "count4") == [
        b"1",
        b"1",
        None,
    ]
    assert sum(t.num_triggered for t in engine.library_registry.triggers) == 2


# -- which events


@pytest.mark.parametrize(
    ("commands", "events"),
    [
        ([["SET", "k", "v", "EX", 9]], [b"set", b"expire"]),
        ([["SET", "k", "v"], ["DEL", "k"]], [b"set", b"del"]),
        ([["GET", "k"]], [b"keymiss"]),
        ([["HSET", "k", "f", "v"]], [b"hset"]),
        (
            [["SET", "k1", "v"], ["RENAME", "k1", "k2"]],
            [b"set", b"rename_from", b"rename_to"],
        ),
        ([["RPUSH", "k", "x"], ["LPOP", "k"]], [b"rpush", b"lpop", b"del"]),
    ],
)
def test_events(engine, load, commands, events) -> None:
    load(COUNT % "'k'")
    for command in commands:
        engine.execute(*command)
    assert seen(engine)[::2] == events


def test_new_is_not_an_event_of_triggers(engine, load) -> None:
    engine.execute("CONFIG", "SET", "notify-keyspace-events", "KEAmn")
    load(COUNT % "'k'")
    engine.execute("SET", "k", "v")
    assert seen(engine) == [b"set", b"k"]


def test_expired(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    if (data.event == 'expired') client.call('set', 'was', client.call('exists', data.key).toString());
});"""
    )
    engine.execute("SET", "k", "v", "PX", 5)
    engine.clock.advance(milliseconds=10)
    assert engine.execute("GET", "was") == b"0"
    assert trigger_of(engine, "t").num_triggered == 3


def test_expired_when_somebody_looks(engine, load) -> None:
    load(COUNT % "'k'")
    engine.core.active_expire = False
    engine.execute("SET", "k", "v", "PX", 5)
    engine.clock.advance(milliseconds=10)
    assert seen(engine)[::2] == [b"set", b"expire"]
    assert engine.execute("GET", "k") is None
    assert seen(engine)[4::2] == [b"expired", b"keymiss"]


def test_evicted(engine, load) -> None:
    from trignb.engine.events import EVICTED

    load(COUNT % "'k'")
    core = engine.core
    with core.lock:
        core.run_unit(lambda: core.emit(core.databases[0], EVICTED, b"evicted", b"k"))
    assert seen(engine) == [b"evicted", b"k"]


@pytest.mark.parametrize("state", ["is_replica", "is_loading"])
def test_nothing_fires_on_a_replica_or_while_loading(engine, load, state) -> None:
    load(COUNT % "''")
    setattr(engine.core, state, True)
    engine.execute("SET", "k", "v")
    setattr(engine.core, state, False)
    assert seen(engine) == []
    # ... and LRANGE of the absent list was the first event.
    assert trigger_of(engine, "t").num_triggered == 1


# -- order


def test_the_order_of_registration_across_libraries(engine, load) -> None:
    for name in ("one", "two"):
        load(
            "".join(
                f"redis.registerKeySpaceTrigger('{t}', '{p}', c => "
                f"{{ c.call('rpush', 'order', '{name}{t}'); }});"
                for t, p in (("a", ""), ("b", "k"), ("c", ""))
            ),
            name=name,
        )
    engine.execute("SET", "k", "v")
    assert engine.execute("LRANGE", "order", 0, -1) == [
        f"{name}{t}".encode() for name in ("one", "two") for t in "abc"
    ]


def test_jobs_run_after_the_whole_transaction(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('rpush', 'seen', client.call('get', 'k'));
});"""
    )
    engine.execute("MULTI")
    engine.execute("SET", "k", "1")
    engine.execute("EXISTS", "seen")
    engine.execute("SET", "k", "2")
    assert engine.execute("EXEC") == ["OK", 0, "OK"]
    assert engine.execute("LRANGE", "seen", 0, -1) == [b"2", b"2"]


def test_a_failed_transaction_fires_nothing(engine, load) -> None:
    load(COUNT % "'k'")
    engine.execute("MULTI")
    engine.execute("SET", "k", "1")
    error_of(engine.execute, "FOO")
    error_of(engine.execute, "EXEC")
    assert seen(engine) == []


def test_a_command_that_fails_half_way_still_fires(engine, load) -> None:
    load(COUNT % "'k'")
    engine.execute("MULTI")
    engine.execute("SET", "k", "1")
    engine.execute("LPUSH", "k", "1")
    assert isinstance(engine.execute("EXEC")[1], ResponseError)
    assert seen(engine) == [b"set", b"k"]


def test_the_reply_is_computed_before_the_job(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    if (data.event == 'keymiss') client.call('set', data.key, 'made');
});"""
    )
    assert engine.execute("GET", "k") is None
    assert engine.execute("GET", "k") == b"made"


def test_watched_keys_break_when_a_trigger_writes_them(engine, load, session) -> None:
    load("redis.registerKeySpaceTrigger('t', 'k', c => { c.call('set', 'w', '1'); });")
    session.execute("WATCH", "w")
    session.execute("MULTI")
    session.execute("PING")
    engine.execute("SET", "k", "v")
    assert session.execute("EXEC") is None


# -- onTriggerFired

FIRED = """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('rpush', 'seen', data.value, Object.keys(data).join());
}, {onTriggerFired: (client, data) => { data.value = client.call('get', data.key); }});"""


def test_on_trigger_fired_sees_every_moment(engine, load) -> None:
    load(FIRED)
    engine.execute("MULTI")
    for value in "abc":
        engine.execute("SET", "k", value)
    engine.execute("EXEC")
    assert engine.execute("LRANGE", "seen", 0, -1) == [
        *(b"a", b"event,key,key_raw,value"),
        *(b"b", b"event,key,key_raw,value"),
        *(b"c", b"event,key,key_raw,value"),
    ]


def test_data_is_one_live_object(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('set', 'same', String(data.map.get('a') === 1n && data.f() == 2));
}, {onTriggerFired: (client, data) => {
    data.map = new Map([['a', 1n]]);
    data.f = () => 2;
}});"""
    )
    engine.execute("SET", "k", "v")
    assert engine.execute("GET", "same") == b"true"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            "client.call('set', 'x', '1')",
            "ERR Write command 'set' was called while write is not allowed.",
        ),
        ("throw 'no'", "no"),
        ("foo()", "ReferenceError: foo is not defined"),
        ("while (true);", "Err Execution was terminated due to OOM or timeout"),
    ],
)
def test_on_trigger_fired_that_fails_cancels_the_callback(
    engine, load, body, error
) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    load(
        "redis.registerKeySpaceTrigger('t', 'k', c => { c.call('set', 'ran', '1'); },\n"
        "{onTriggerFired: (client, data) => { %s }});" % body
    )
    assert engine.execute("SET", "k", "v") == "OK"
    assert engine.execute("MGET", "k", "ran", "x") == [b"v", None, None]
    trigger = trigger_of(engine, "t")
    assert counters(trigger) == (1, 1, 0, 1)
    assert trigger.last_error == error
    assert trigger.last_error_line in (3, None)


def test_on_trigger_fired_returning_a_promise_is_ignored(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', c => { c.call('set', 'ran', '1'); },
{onTriggerFired: (client, data) => (async () => { throw 'ignored'; })()});"""
    )
    engine.execute("SET", "k", "v")
    assert engine.execute("GET", "ran") == b"1"
    assert counters(trigger_of(engine, "t")) == (1, 1, 1, 0)


# -- suppression


def test_no_events_from_triggers(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', '', (client, data) => {
    client.call('set', data.key + 'x', '1');
}, {onTriggerFired: (client, data) => { client.call('get', 'absent'); }});"""
    )
    load("redis.registerKeySpaceTrigger('other', '', () => {});", name="other")
    engine.execute("SET", "k", "v")
    assert engine.execute("KEYS", "*") == [b"k", b"kx"]
    assert trigger_of(engine, "t").num_triggered == 1
    assert trigger_of(engine, "other", "other").num_triggered == 1


def test_keys_that_expire_under_a_library_fire(engine, load) -> None:
    load(
        """redis.registerFunction('look', c => c.call('get', 'k'));
redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('rpush', 'seen', data.event, String(data.noted));
}, {onTriggerFired: (client, data) => { data.noted = client.call('exists', 'k'); }});"""
    )
    engine.core.active_expire = False
    engine.execute("SET", "k", "v", "PX", 5)
    engine.clock.advance(milliseconds=10)
    assert engine.call("lib.look") is None
    assert engine.execute("LRANGE", "seen", -2, -1) == [b"expired", b"0"]


# -- statistics and errors


def test_a_failing_trigger_does_not_fail_the_command(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('incr', 'n');
    if (data.key == 'kbad') client.call('incr', data.key);
});"""
    )
    for key in ("kgood", "kbad", "kgood"):
        assert engine.execute("SET", key, "text") == "OK"
    trigger = trigger_of(engine, "t")
    assert counters(trigger) == (3, 3, 2, 1)
    assert trigger.last_error == "ERR value is not an integer or out of range"
    assert trigger.last_error_line == 4
    assert engine.execute("GET", "n") == b"3"
    record = engine.library_registry.errors[-1]
    assert (record.kind, record.item, record.line) == ("keyspace_trigger", "t", 4)
    assert record.time_ns == engine.clock.now_ns()


def test_last_error_in_both_verbosities(engine, load) -> None:
    load("redis.registerKeySpaceTrigger('t', 'k', () => { null.x; });")
    engine.execute("SET", "k", "v")
    short = "TypeError: Cannot read properties of null (reading 'x')"
    assert trigger_of(engine, "t").last_error == short
    engine.execute("TCONFIG_SET", "error-verbosity", "2")
    verbose = listed(engine, "v")[0][b"keyspace_triggers"][0][b"last_error"].decode()
    assert verbose.startswith(short + "|")
    assert ":2:" in verbose


def test_times_are_the_clock_s(engine, load) -> None:
    load(COUNT % "'k'")
    engine.execute("SET", "k", "v")
    trigger = trigger_of(engine, "t")
    assert trigger.last_run_ns == engine.clock.now_ns()
    assert (trigger.last_ns, trigger.total_ns, trigger.max_ns) == (0, 0, 0)


def test_times_of_a_running_clock(load) -> None:
    with trignb.Engine() as engine:
        from functions.libraries import lib

        engine.load(
            lib(
                """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    const end = Date.now() + 12;
    while (Date.now() < end);
});"""
            )
        )
        engine.execute("SET", "k", "v")
        trigger = trigger_of(engine, "t")
        assert trigger.last_ns == trigger.total_ns == trigger.max_ns > 10_000_000
        entry = listed(engine, "v")[0][b"keyspace_triggers"][0]
        assert entry[b"last_execution_time"] == entry[b"last_exection_time"] >= 10
        assert float(entry[b"avg_exection_time"]) >= 10


def test_the_notification_log_shows_runs(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('ok', 'k', c => { c.call('set', 'effect', '1'); });
redis.registerKeySpaceTrigger('bad', 'k', c => { throw 'x'; });"""
    )
    engine.execute("SET", "k", "v")
    first, _new, effect = engine.core.notifications.entries()[-3:]
    assert (first.event, first.key, first.origin, first.depth) == (
        b"set",
        b"k",
        "client",
        0,
    )
    assert [(r.library, r.trigger, r.outcome) for r in first.fired] == [
        ("lib", "ok", "ok"),
        ("lib", "bad", "failed"),
    ]
    assert (effect.key, effect.origin, effect.depth) == (b"effect", "trigger", 1)
    assert effect.cause_seq == first.seq
    assert list(effect.fired) == []
    assert (effect.author.library, effect.author.trigger) == ("lib", "ok")
    assert (first.author.library, first.author.trigger) == (None, None)
    assert engine.core.frame.origin == "client"


def test_notes_name_the_trigger_whoever_runs_it(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('sync', 'a', c => { c.call('set', 'by:sync', '1'); });
redis.registerKeySpaceTrigger('later', 'a', async c => {
    c.block(c => c.call('set', 'by:later', '1'));
});
redis.registerStreamTrigger('reader', 'st', c => { c.call('set', 'by:reader', '1'); });
redis.registerFunction('f', c => { c.call('set', 'by:f', '1'); });"""
    )
    engine.execute("SET", "a", "v")
    engine.execute("XADD", "st", "*", "f", "v")
    engine.call("lib.f")
    eventually(lambda: engine.execute("EXISTS", "by:later"))
    authors = {
        e.key: (e.author.library, e.author.trigger)
        for e in engine.core.notifications.entries()
        if e.key.startswith(b"by:")
    }
    assert authors == {
        b"by:sync": ("lib", "sync"),
        b"by:later": ("lib", "later"),
        b"by:reader": ("lib", "reader"),
        b"by:f": ("lib", None),
    }


def test_access_to_the_event_s_key(engine, load) -> None:
    class Access:
        def user_exists(self, user: str) -> bool:
            return True

        def key_denial(self, user: str, key: bytes) -> str | None:
            return None if key == b"kok" else "User does not have permissions on key"

    load(COUNT % "'k'")
    engine.library_registry.set_access(Access())
    for key in (b"kok", b"kno", b"k\xff"):
        engine.execute("SET", key, "v")
    trigger = trigger_of(engine, "t")
    assert counters(trigger) == (3, 3, 1, 2)
    assert trigger.last_error == (
        "User 'default' has no permissions on key '[binary data]', "
        "User does not have permissions on key."
    )
    assert seen(engine) == [b"set", b"kok"]


def test_a_promise_that_is_returned(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('ok', 'k', () => (async () => 1)());
redis.registerKeySpaceTrigger('bad', 'k', () => (async () => { throw 'settled'; })());"""
    )
    engine.execute("SET", "k", "v")
    assert counters(trigger_of(engine, "ok")) == (1, 1, 1, 0)
    assert counters(trigger_of(engine, "bad")) == (1, 1, 0, 1)
    assert trigger_of(engine, "bad").last_error == "settled"


def test_writers_of_other_threads_fire_too(engine, load) -> None:
    load("redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'n'); });")

    def write() -> None:
        for i in range(200):
            engine.execute("SET", f"k{i}", "v")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert engine.execute("GET", "n") == b"800"
    assert counters(trigger_of(engine, "t")) == (800, 800, 800, 0)


def test_triggers_run_as_the_user_who_loaded_them(engine, load) -> None:
    from functions.libraries import lib

    engine.execute("ACL", "SETUSER", "ann", "on", ">pw", "+@all", "~a*")
    ann = engine.session()
    ann.execute("AUTH", "ann", "pw")
    body = """redis.registerKeySpaceTrigger('t', '', (client, data) => {
    client.call('incr', data.key == 'a2' ? 'other' : 'a_count');
});
redis.registerFunction('f', c => c.call('get', 'other'));"""
    ann.execute("TFUNCTION", "LOAD", lib(body))
    trigger = trigger_of(engine, "t")
    engine.execute("SET", "a1", "v")
    assert engine.execute("GET", "a_count") == b"1"
    engine.execute("SET", "a2", "v")
    assert trigger.last_error == "NOPERM No permissions to access a key"
    engine.execute("SET", "k", "v")
    assert trigger.last_error == (
        "User 'ann' has no permissions on key 'k', User does not have permissions on key."
    )
    # Functions run as their caller.
    assert engine.call("lib.f") is None
    assert error_of(ann.execute, "TFCALL", "lib.f", 0) == (
        "NOPERM No permissions to access a key"
    )
    engine.execute("ACL", "DELUSER", "ann")
    engine.execute("SET", "a1", "v")
    assert trigger.last_error == (
        "User 'ann' has no permissions on key 'a1', User does not exists or disabled."
    )
