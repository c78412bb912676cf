"""The seed page comes true: every transcript of it."""

from __future__ import annotations

import pytest

from functions.libraries import eventually, lib, listed

LAST_UPDATED = lib(
    """redis.registerKeySpaceTrigger("consumer", "", function(client, data){
    if (client.call("type", data.key) != "hash") {
        // key is not a has, do not touch it.
        return;
    }
    // get the current time in ms
    var curr_time = client.call("time")[0];
    // set '__last_updated__' with the current time value
    client.call('hset', data.key, '__last_updated__', curr_time);
});""",
    "myFirstLibrary",
)

NAMES = lib(
    """redis.registerKeySpaceTrigger("consumer", "", function(client, data){
    if (client.call("type", data.key) != "hash") {
        // key is not a has, do not touch it.
        return;
    }
    var name = client.call('hget', data.key, 'name');
    client.call('incr', `name_${name}`);
});""",
    "myFirstLibrary",
)

NAMES_AT_THE_MOMENT = lib(
    """redis.registerKeySpaceTrigger("consumer", "", function(client, data){
    if (data.name !== undefined) {
        client.call('incr', `name_${data.name}`);
    }
},{
    onTriggerFired: (client, data) => {
        if (client.call("type", data.key) != "hash") {
            // key is not a has, do not touch it.
            return;
        }
        data.name = client.call('hget', data.key, 'name');
    }
});"""
)


def test_last_updated(engine) -> None:
    engine.load(LAST_UPDATED)
    assert engine.execute("hset", "h", "x", "1") == 1
    first = b"%d" % (engine.clock.read() // 1_000_000_000)
    assert engine.execute("hgetall", "h") == {b"x": b"1", b"__last_updated__": first}
    engine.clock.advance(79)
    assert engine.execute("hincrby", "h", "x", "1") == 2
    later = b"%d" % (int(first) + 79)
    assert engine.execute("hgetall", "h") == {b"x": b"2", b"__last_updated__": later}


def test_tfunction_list_vvv(engine) -> None:
    """The page's listing: two runs, one failed, and all of its fields."""
    engine.load(
        lib(
            """redis.registerKeySpaceTrigger("consumer", "", (client, data) => {
    if (data.key === "bad") redis.call("ping");
});""",
            "foo",
        )
    )
    engine.execute("set", "good", "1")
    engine.execute("set", "bad", "1")
    (library,) = listed(engine, "vvv")
    assert library.keys() >= {
        b"engine",
        b"api_version",
        b"name",
        b"pending_jobs",
        b"user",
        b"functions",
        b"keyspace_triggers",
        b"stream_triggers",
    }
    (trigger,) = library[b"keyspace_triggers"]
    assert trigger.items() >= {
        (b"name", b"consumer"),
        (b"num_triggered", 2),
        (b"num_finished", 2),
        (b"num_success", 1),
        (b"num_failed", 1),
        (b"last_error", b"TypeError: redis.call is not a function"),
        (b"last_exection_time", 0),
        (b"total_exection_time", 0),
        (b"avg_exection_time", b"0"),
    }
    assert library[b"engine"] == b"js"
    assert library[b"api_version"] == b"1.0"
    assert library[b"user"] == b"default"
    assert library[b"pending_jobs"] == 0


def test_names(engine) -> None:
    engine.load(NAMES)
    assert engine.execute("hset", "x", "name", "tom") == 1
    assert engine.execute("hset", "x", "name", "jerry") == 0
    assert engine.execute("get", "name_tom") == b"1"
    assert engine.execute("get", "name_jerry") == b"1"


def in_transaction(engine) -> list:
    engine.execute("multi")
    assert engine.execute("hset", "x", "name", "tom") == "QUEUED"
    assert engine.execute("hset", "x", "name", "jerry") == "QUEUED"
    return engine.execute("exec")


def test_names_in_a_transaction(engine) -> None:
    engine.load(NAMES)
    assert in_transaction(engine) == [1, 0]
    assert engine.execute("get", "name_tom") is None
    assert engine.execute("get", "name_jerry") == b"2"


def test_on_trigger_fired_in_a_transaction(engine) -> None:
    engine.load(NAMES_AT_THE_MOMENT)
    assert in_transaction(engine) == [1, 0]
    assert engine.execute("get", "name_tom") == b"1"
    assert engine.execute("get", "name_jerry") == b"1"


def test_the_data_argument(engine) -> None:
    engine.load(
        lib("""redis.registerKeySpaceTrigger("t", "", (client, data) => {
    client.call("rpush", "seen", Object.keys(data).join(), data.event, String(data.key),
                data.key_raw);
});""")
    )
    engine.execute("set", "k", "v")
    assert engine.execute("lrange", "seen", 0, -1) == [
        b"event,key,key_raw",
        b"set",
        b"k",
        b"k",
    ]
    engine.execute("del", "seen")
    engine.execute("del", "k", "seen")
    engine.execute("set", b"\xff", "v")
    assert engine.execute("lrange", "seen", -3, -1) == [b"set", b"null", b"\xff"]


def test_expired_keys_fire(engine) -> None:
    engine.load(
        lib("""redis.registerKeySpaceTrigger("t", "session:", (client, data) => {
    client.call("rpush", "seen", data.event);
});""")
    )
    engine.execute("set", "session:1", "v", "EX", 10)
    engine.clock.advance(11)
    assert engine.execute("lrange", "seen", 0, -1) == [b"set", b"expire", b"expired"]


def test_replaced_by_the_page_s_next_version(engine) -> None:
    engine.load(NAMES)
    in_transaction(engine)
    engine.load(
        NAMES_AT_THE_MOMENT.replace("name=lib", "name=myFirstLibrary"), replace=True
    )
    engine.execute("del", "x", "name_jerry")
    in_transaction(engine)
    assert engine.execute("get", "name_tom") == b"1"
    assert engine.execute("get", "name_jerry") == b"1"


def test_a_coroutine_runs_in_the_background(engine) -> None:
    engine.load(
        lib("""redis.registerKeySpaceTrigger("t", "k", async (client, data) => {
    client.block(c => c.call("incr", "count"));
});""")
    )
    engine.execute("set", "k", "v")
    eventually(lambda: engine.execute("get", "count") == b"1")


@pytest.mark.parametrize("event", ["hset", "set"])
def test_guarantee_nobody_sees_the_data_before_the_callback(engine, event) -> None:
    engine.load(
        lib("""redis.registerKeySpaceTrigger("t", "k", (client, data) => {
    client.call("set", "after", data.event);
});""")
    )
    engine.execute(*(["hset", "k", "f", "v"] if event == "hset" else ["set", "k", "v"]))
    assert engine.session().execute("get", "after") == event.encode()
