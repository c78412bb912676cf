"""One event's way through a keyspace trigger (sections 7.4 to 7.8)."""

from __future__ import annotations

import threading

import pytest

import trignb
from functions.libraries import counters, error_of, eventually, lib, trigger_of

MS = 1_000_000


def log_of(engine: trignb.Engine, key: str = "log") -> list[str]:
    return [item.decode() for item in engine.execute("LRANGE", key, 0, -1)]


class Rights:
    """Users may do everything with keys that begin with ``k``."""

    def user_exists(self, user: str) -> bool:
        return True

    def key_denial(self, user: str, key: bytes) -> str | None:
        return None if key[:1] == b"k" else "User does not have permissions on key"


# -- the order of things


def test_the_sequence_of_one_event(engine, load) -> None:
    """Every trigger's `onTriggerFired` runs inside the command, the callbacks at its end."""
    for name in ("a", "b"):
        load(
            """let fired = 0;
redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('rpush', 'log', `NAME callback ${data.event} ${data.n} of ${fired}`);
}, {onTriggerFired: (client, data) => { data.n = ++fired; }});""".replace("NAME", name),
            name=name,
        )
    engine.execute("SET", "k", "v", "EX", 9)
    assert log_of(engine) == [
        "a callback set 1 of 2",
        "b callback set 1 of 2",
        "a callback expire 2 of 2",
        "b callback expire 2 of 2",
    ]


def test_an_upgrade_keeps_the_place_a_new_name_comes_last(engine, load) -> None:
    def body(*names: str) -> str:
        return "".join(
            f"redis.registerKeySpaceTrigger('{n}', 'k', c => {{ c.call('rpush', 'log', '{n}'); }});"
            for n in names
        )

    load(body("a", "b"), name="one")
    load(body("c"), name="two")
    load(body("d", "b", "a"), name="one", replace=True)
    engine.execute("SET", "k", "v")
    assert log_of(engine) == ["a", "b", "c", "d"]
    engine.execute("DEL", "log")
    # A name that was away starts at the end.
    load(body("b"), name="one", replace=True)
    load(body("a", "b"), name="one", replace=True)
    engine.execute("SET", "k", "v")
    assert log_of(engine) == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("commands", "log"),
    [
        ([["SET", "k", "1"], ["SET", "k", "2"]], "1>1 2>2"),
        ([["MULTI"], ["SET", "k", "1"], ["SET", "k", "2"], ["EXEC"]], "1>2 2>2"),
        ([["EVAL", "redis.call('set','k','1') redis.call('set','k','2')", "0"]], "1>2 2>2"),
        ([["MULTI"], ["EVAL", "redis.call('set','k','1')", "0"], ["SET", "k", "2"], ["EXEC"]],
         "1>2 2>2"),
        ([["MULTI"], ["SET", "k", "1"], ["DISCARD"]], ""),
    ],
)  # fmt: skip
def test_callbacks_see_the_end_of_the_unit(engine, load, commands, log) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('rpush', 'log', `${data.then}>${client.call('get', 'k')}`);
}, {onTriggerFired: (client, data) => { data.then = client.call('get', 'k'); }});"""
    )
    for command in commands:
        engine.execute(*command)
    assert log_of(engine) == log.split()


def test_the_next_command_of_the_same_client_sees_the_effect(engine, load) -> None:
    load("redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'n'); });")
    engine.execute("MULTI")
    engine.execute("SET", "k", "v")
    engine.execute("GET", "n")
    assert engine.execute("EXEC") == ["OK", None]
    assert engine.execute("GET", "n") == b"1"


def test_a_lazily_expired_key_fires_in_the_reader_s_unit(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('rpush', 'log', data.event);
});"""
    )
    engine.core.active_expire = False
    engine.execute("MSET", "k1", "v", "k2", "v")
    engine.execute("PEXPIRE", "k1", 5)
    engine.execute("PEXPIRE", "k2", 5)
    engine.clock.advance(milliseconds=10)
    engine.execute("DEL", "log")
    assert engine.execute("MGET", "k1", "k2") == [None, None]
    assert log_of(engine) == ["expired", "keymiss", "expired", "keymiss"]


# -- rights and memory, before any code runs


def test_rights_are_looked_at_before_anything_else(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', '', c => { c.call('incr', 'kcalls'); },
{onTriggerFired: c => { globalThis.fired = (globalThis.fired || 0) + 1; }});
redis.registerFunction('fired', () => globalThis.fired);"""
    )
    engine.library_registry.set_access(Rights())
    engine.execute("SET", "k", "v")
    engine.execute("SET", "no", "v")
    assert counters(trigger_of(engine, "t")) == (2, 2, 1, 1)
    assert trigger_of(engine, "t").last_error == (
        "User 'default' has no permissions on key 'no', "
        "User does not have permissions on key."
    )
    engine.library_registry.set_access(None)
    assert engine.call("lib.fired") == 1


# -- onTriggerFired


def test_on_trigger_fired_may_read_and_no_more(engine, load) -> None:
    load(
        """const log = [];
const tried = (f) => { try { return String(f()); } catch (e) { return e; } };
redis.registerKeySpaceTrigger('t', 'k', () => {}, {onTriggerFired: (client, data) => {
    log.push(String(client.isBlockAllowed()));
    for (const command of ['get k', 'type k', 'set x 1', 'del k', 'expire k 9', 'multi'])
        log.push(tried(() => client.call(...command.split(' '))));
    log.push(tried(() => client.callAsync('set', 'x', '1')));
}});
redis.registerFunction('log', () => log);"""
    )
    engine.execute("SET", "k", "v")
    refused = "ERR Write command '%s' was called while write is not allowed."
    log = [line.decode() for line in engine.call("lib.log")]
    assert log[:-1] == [
        *("true", "v", "string"),
        *(refused % name for name in ("set", "del", "expire")),
        "ERR command 'multi' is not allowed on script mode",
    ]
    assert engine.execute("EXISTS", "x") == 0
    assert counters(trigger_of(engine, "t")) == (1, 1, 1, 0)


def test_background_work_of_on_trigger_fired_may_not_write(engine, load) -> None:
    load(
        """let result;
redis.registerKeySpaceTrigger('t', 'k', () => {}, {onTriggerFired: (client) => {
    client.executeAsync(async c => {
        try { result = c.block(c => c.call('set', 'x', '1')); } catch (e) { result = e; }
    });
}});
redis.registerFunction('result', () => result);"""
    )
    engine.execute("SET", "k", "v")
    eventually(lambda: engine.call("lib.result") != b"undefined")
    assert engine.call("lib.result") == (
        b"ERR Write command 'set' was called while write is not allowed."
    )


def test_nothing_expires_under_on_trigger_fired(engine, load) -> None:
    """In a handler of a notification a key past its deadline is not seen, nor deleted."""
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('rpush', 'log', `${data.due} ${client.call('exists', 'due')}`);
}, {onTriggerFired: (client, data) => { data.due = client.call('exists', 'due'); }});
redis.registerKeySpaceTrigger('expired', 'due', (client, data) => {
    client.call('rpush', 'log', data.event);
});"""
    )
    engine.core.active_expire = False
    engine.execute("SET", "due", "v", "PX", 5)
    engine.clock.advance(milliseconds=10)
    engine.execute("DEL", "log")
    engine.execute("SET", "k", "v")
    # It goes when the callback looks, after `onTriggerFired` did not see it.
    assert log_of(engine) == ["0 0", "expired"]
    assert engine.core.expire_pauses == 0


def test_a_failing_on_trigger_fired_leaves_the_others(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('bad', 'k', c => { c.call('rpush', 'log', 'bad'); },
    {onTriggerFired: () => { throw new Error('early'); }});
redis.registerKeySpaceTrigger('good', 'k', c => { c.call('rpush', 'log', 'good'); },
    {onTriggerFired: () => {}});"""
    )
    assert engine.execute("SET", "k", "v") == "OK"
    assert log_of(engine) == ["good"]
    assert counters(trigger_of(engine, "bad")) == (1, 1, 0, 1)
    assert trigger_of(engine, "bad").last_error == "Error: early"
    assert engine.core.expire_pauses == 0


def test_data_is_the_same_object_in_both(engine, load) -> None:
    """Live values: functions, maps, promises, symbols, references from outside."""
    load(
        """let kept;
const mark = Symbol('mark');
redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    const same = [data === kept, data.self === data, data.fn() === 7, data[mark] === 1,
                  data.m.get('a') === 1n, data.late === 'yes', data.event === 'mine'];
    client.call('set', 'same', same.join());
}, {onTriggerFired: (client, data) => {
    kept = data;
    data.self = data; data.fn = () => 7; data[mark] = 1; data.m = new Map([['a', 1n]]);
    data.event = 'mine';
    (async () => { await null; data.late = 'yes'; })();
}});"""
    )
    engine.execute("SET", "k", "v")
    same = engine.execute("GET", "same").decode().split(",")
    assert same[:5] == ["true"] * 5
    assert same[6] == "true"


def test_data_of_each_event_is_its_own(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('a', 'k', (client, data) => {
    client.call('rpush', 'log', `a ${data.key} ${data.seen}`);
}, {onTriggerFired: (client, data) => { data.seen = `a${data.key}`; }});
redis.registerKeySpaceTrigger('b', 'k', (client, data) => {
    client.call('rpush', 'log', `b ${data.key} ${data.seen}`);
});"""
    )
    engine.execute("MSET", "k1", "v", "k2", "v")
    assert log_of(engine) == [
        *("a k1 ak1", "b k1 undefined", "a k2 ak2", "b k2 undefined"),
    ]


def test_data_of_on_trigger_fired_in_a_coroutine_is_live(engine, load) -> None:
    load(
        """let kept;
redis.registerKeySpaceTrigger('t', 'k', async (client, data) => {
    client.block(c => c.call('set', 'same', String(data === kept)));
}, {onTriggerFired: (client, data) => { kept = data; }});"""
    )
    engine.execute("SET", "k", "v")
    eventually(lambda: engine.execute("GET", "same") == b"true")


# -- the main callback


ENDS = [
        ("return 1", True, None),
        ("return new Error('returned')", True, None),
        ("return {then: 5}", True, None),
        ("throw 'x'", False, "x"),
        ("throw new Error('x')", False, "Error: x"),
        ("throw undefined", False, "undefined"),
        ("client.call('foo')", False, "ERR unknown command 'foo', with args beginning with: "),
        ("return (async () => 1)()", True, None),
        ("return (async () => { throw 'x'; })()", False, "x"),
        ("return (async () => { await null; throw new Error('x'); })()", False, "Error: x"),
        ("return new Promise((ok, no) => ok(1))", True, None),
        ("return new Promise((ok, no) => no('x'))", False, "x"),
        ("return client.executeAsync(async () => { throw 'x'; })", False, "x"),
        ("return client.callAsync('foo')", False,
         "ERR unknown command 'foo', with args beginning with: "),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "body", "success", "error"),
    [("", *end) for end in ENDS]
    # An async client has no commands.
    + [("async ", *end) for end in ENDS if "client." not in end[0]],
)
def test_how_a_run_ends(engine, load, kind, body, success, error) -> None:
    load(
        "redis.registerKeySpaceTrigger('t', 'k', %s(client, data) => { %s; });"
        % (kind, body)
    )
    assert engine.execute("SET", "k", "v") == "OK"
    trigger = trigger_of(engine, "t")
    eventually(lambda: not trigger.running)
    assert counters(trigger) == (1, 1, int(success), int(not success))
    assert trigger.last_error == error


def test_last_error_is_never_reset(engine, load) -> None:
    load(
        "redis.registerKeySpaceTrigger('t', 'k', (c, d) => { if (d.key != 'k') throw d.key; });"
    )
    for key in ("k1", "k", "k2", "k"):
        engine.execute("SET", key, "v")
    assert trigger_of(engine, "t").last_error == "k2"
    assert counters(trigger_of(engine, "t")) == (4, 4, 2, 2)


def test_time_is_counted_from_the_event_on(engine, load) -> None:
    """It includes the wait for the job, and is told in whole ms."""
    load(
        """redis.registerKeySpaceTrigger('t', 'k', client => client.callAsync('blpop', 'go', '0'));"""
    )
    engine.execute("SET", "k", "v")
    trigger = trigger_of(engine, "t")
    assert (trigger.running, trigger.last_ns) == (1, 0)
    engine.clock.advance(milliseconds=2.9)
    engine.execute("RPUSH", "go", "x")
    eventually(lambda: not trigger.running)
    engine.execute("SET", "k", "v")
    engine.clock.advance(milliseconds=4)
    engine.execute("RPUSH", "go", "x")
    eventually(lambda: not trigger.running)
    assert (trigger.last_ns, trigger.total_ns) == (4 * MS, 6_900_000)
    (entry,) = engine.execute("TFUNCTION", "LIST", "v")
    listed = entry[b"keyspace_triggers"][0]
    assert (listed[b"last_execution_time"], listed[b"total_execution_time"]) == (4, 6)


def test_effects_before_a_timeout_stay(engine, load) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    load(
        "redis.registerKeySpaceTrigger('t', 'k', c => { c.call('set', 'x', '1'); while (1); });"
    )
    assert engine.execute("SET", "k", "v") == "OK"
    assert engine.execute("MGET", "k", "x") == [b"v", b"1"]
    assert trigger_of(engine, "t").last_error == (
        "Err Execution was terminated due to OOM or timeout"
    )


def test_maxmemory_does_not_refuse_a_trigger_s_writes(engine, load) -> None:
    load(
        "redis.registerKeySpaceTrigger('t', 'k', c => { c.call('rpush', 'log', 'ran'); });"
    )
    engine.execute("SET", "k", "v")
    engine.execute("CONFIG", "SET", "maxmemory", "1")
    assert error_of(engine.execute, "SET", "k", "v").startswith("OOM")
    assert engine.execute("DEL", "k") == 1
    assert log_of(engine) == ["ran", "ran"]


def test_a_trigger_writes_in_the_event_s_database(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) => {
    client.call('set', 'seen', data.value);
}, {onTriggerFired: (client, data) => { data.value = client.call('get', 'k'); }});"""
    )
    session = engine.session()
    session.execute("SELECT", 3)
    session.execute("SET", "k", "three")
    session.execute("MULTI")
    session.execute("SELECT", 4)
    session.execute("SET", "k", "four")
    session.execute("SELECT", 5)
    session.execute("SET", "k", "five")
    session.execute("EXEC")
    found = {}
    for db in (0, 3, 4, 5):
        session.execute("SELECT", db)
        found[db] = session.execute("GET", "seen")
    assert found == {0: None, 3: b"three", 4: b"four", 5: b"five"}


def test_move_fires_in_two_databases(engine, load) -> None:
    load(
        "redis.registerKeySpaceTrigger('t', 'k', (c, d) => { c.call('rpush', 'log', d.event); });"
    )
    session = engine.session()
    session.execute("SET", "k", "v")
    session.execute("MOVE", "k", 1)
    assert log_of(engine) == ["set", "move_from"]
    session.execute("SELECT", 1)
    assert session.execute("LRANGE", "log", 0, -1) == [b"move_to"]


# -- statistics across loads


def test_runs_under_way_count_in_the_new_version(engine, load) -> None:
    body = (
        "redis.registerKeySpaceTrigger('t', 'k', c => c.callAsync('blpop', 'go', '0'));"
    )
    load(body)
    engine.execute("SET", "k", "v")
    assert trigger_of(engine, "t").running == 1
    load(body + "\n// 2", replace=True)
    assert counters(trigger_of(engine, "t")) == (1, 0, 0, 0)
    engine.execute("SET", "k", "v")
    assert trigger_of(engine, "t").running == 2
    engine.execute("RPUSH", "go", "a", "b")
    # The old version's command is answered into nothing: its library is gone.
    eventually(lambda: trigger_of(engine, "t").num_success >= 1)


def test_a_deleted_library_fires_no_more(engine, load) -> None:
    body = "redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'n'); });"
    load(body)
    engine.execute("SET", "k", "v")
    engine.execute("TFUNCTION", "DELETE", "lib")
    engine.execute("SET", "k", "v")
    assert engine.execute("GET", "n") == b"1"
    load(body)
    assert counters(trigger_of(engine, "t")) == (0, 0, 0, 0)


def test_replace_may_change_everything_of_a_trigger(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'a', c => { c.call('rpush', 'log', 'old'); },
{description: 'old'});"""
    )
    engine.execute("SET", "a", "v")
    load(
        """redis.registerKeySpaceTrigger('t', 'b', async (c, d) => {
    c.block(c => c.call('rpush', 'log', d.word));
}, {description: 'new', onTriggerFired: (c, d) => { d.word = 'new'; }});""",
        replace=True,
    )
    engine.execute("SET", "a", "v")
    engine.execute("SET", "b", "v")
    trigger = trigger_of(engine, "t")
    eventually(lambda: not trigger.running)
    assert log_of(engine) == ["old", "new"]
    assert counters(trigger) == (2, 2, 2, 0)
    assert (trigger.prefix, trigger.description) == (b"b", "new")


# -- propagation


@pytest.fixture
def batches(engine) -> list[str]:
    """What the sinks get, one text per unit."""
    batches: list[str] = []

    def sink(batch) -> None:
        batches.append("; ".join(b" ".join(args).decode() for _, args in batch))

    engine.core.sinks.append(sink)
    engine.core.sinks_changed()
    return batches


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("SET k v", ["MULTI; SET k v; incr set; EXEC"]),
        ("GET k", ["incr keymiss"]),
        ("SET other v", ["SET other v"]),
        ("SET k v PX 7", None),
        ("MSET k1 a k2 b", ["MULTI; MSET k1 a k2 b; incr set; incr set; EXEC"]),
        ("EVAL redis.call('set','k','v') 0", ["MULTI; set k v; incr set; EXEC"]),
    ],
)
def test_one_unit_per_command(engine, load, batches, command, expected) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (c, data) => { c.call('incr', data.event); });
redis.registerKeySpaceTrigger('silent', 'k', c => { c.call('get', 'x'); throw 'x'; });"""
    )
    batches.clear()
    engine.execute(*command.split())
    if expected is None:
        deadline = engine.clock.now_ns() // MS + 7
        expected = [f"MULTI; SET k v PXAT {deadline}; incr set; incr expire; EXEC"]
    assert batches == expected


def test_background_effects_are_units_of_their_own(engine, load, batches) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', async (client) => {
    client.block(c => { c.call('incr', 'a'); });
    client.block(c => { c.call('incr', 'b'); c.call('incr', 'c'); });
});"""
    )
    batches.clear()
    engine.execute("SET", "k", "v")
    eventually(lambda: not trigger_of(engine, "t").running)
    assert batches == ["SET k v", "incr a", "MULTI; incr b; incr c; EXEC"]


def test_nobody_sees_the_data_between_command_and_callback(engine, load) -> None:
    load(
        "redis.registerKeySpaceTrigger('t', 'k', (c, d) => { c.call('append', d.key, '!'); });"
    )
    engine.execute("SET", "k", "0")
    stop, odd = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            value = engine.execute("GET", "k")
            if not value.endswith(b"!"):
                odd.append(value)

    thread = threading.Thread(target=look)
    thread.start()
    for i in range(300):
        engine.execute("SET", "k", str(i))
    stop.set()
    thread.join(30)
    assert odd == []


def test_verbose_errors_of_a_rejected_promise(engine, load) -> None:
    """A reason without a stack has the long form ``undefined`` if it is an object."""
    engine.load(
        lib(
            """redis.registerKeySpaceTrigger('object', 'k', async () => { throw {}; });
redis.registerKeySpaceTrigger('text', 'k', async () => { throw 'plain'; });
redis.registerKeySpaceTrigger('error', 'k', async () => { throw new Error('e'); });"""
        )
    )
    engine.execute("SET", "k", "v")
    triggers = [trigger_of(engine, name) for name in ("object", "text", "error")]
    eventually(lambda: not any(t.running for t in triggers))
    assert [t.last_error for t in triggers] == ["[object Object]", "plain", "Error: e"]
    engine.execute("TCONFIG_SET", "error-verbosity", 2)
    verbose = [t.last_error for t in triggers]
    assert verbose[:2] == ["undefined", "plain"]
    assert verbose[2].startswith("Error: e|")
    assert ":4:" in verbose[2]
