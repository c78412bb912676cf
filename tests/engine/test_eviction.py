"""Eviction: policies, units, events, propagation, and what is refused when memory is short.

Long because the eight policies and the refusals are tried on the same small engines and helpers.
"""

from __future__ import annotations

import hashlib
import random
import time

import pytest

import trignb
from functions.libraries import lib
from trignb.engine.chance import Chance

OOM = "OOM command not allowed when used memory > 'maxmemory'."
POLICIES = [
    f"{scope}-{kind}"
    for scope in ("allkeys", "volatile")
    for kind in ("lru", "lfu", "random")
]
POLICIES.append("volatile-ttl")


def run(client, *commands):
    return [client.execute(*command.split()) for command in commands][-1]


def error_of(client, *args):
    with pytest.raises(trignb.ResponseError) as caught:
        client.execute(*args)
    return str(caught.value)


def set_config(client, **parameters):
    words = [w for k, v in parameters.items() for w in (k.replace("_", "-"), str(v))]
    assert client.execute("CONFIG", "SET", *words) == "OK"


def used(client):
    fields = client.execute("INFO", "memory").decode().splitlines()
    return int(next(f for f in fields if f.startswith("used_memory:"))[12:])


def stat(client, name):
    fields = client.execute("INFO", "stats").decode().splitlines()
    return int(next(f for f in fields if f.startswith(name + ":"))[len(name) + 1 :])


def keys(client):
    return sorted(key.decode() for key in client.execute("KEYS", "*"))


def make_room_for(client, n_bytes, policy):
    """Set the limit so that this much more fits in."""
    set_config(client, maxmemory=used(client) + n_bytes, maxmemory_policy=policy)


def over_the_limit(client):
    """Bring memory above a limit that nothing is evicted for."""
    run(client, "SET k v")
    set_config(client, maxmemory=1)


@pytest.fixture
def effects(engine):
    """What is propagated, batch by batch, as words."""
    batches = []

    def note(batch):
        batches.append([b" ".join(argv).decode() for _, argv in batch])

    engine.core.sinks.append(note)
    engine.core.sinks_changed()
    return batches


@pytest.fixture
def events(engine):
    """Events as (event, key, origin)."""
    heard = []

    def note(db, kind, event, key):
        heard.append((event.decode(), key.decode(), engine.core.frame.origin))

    engine.core.listen(note, -1)
    return heard


# -- the limit is held


@pytest.mark.parametrize("policy", POLICIES)
def test_memory_stays_under_the_limit(engine, policy):
    engine.core.chance = Chance(1)
    limit = used(engine) + 100 * 1024
    set_config(engine, maxmemory=limit, maxmemory_policy=policy)
    for i in range(2000):
        engine.execute("SETEX", f"key:{i}", 10000, "x" * 100)
        assert used(engine) < limit + 1024
    assert 100 < engine.execute("DBSIZE") < 1000
    assert stat(engine, "evicted_keys") == 2000 - engine.execute("DBSIZE")


def fill_until_refused(client, command):
    """Run a command with growing numbers; returns how many were let through."""
    for i in range(3000):
        try:
            run(client, command.format(i, i))
        except trignb.ResponseError:
            return i
    return 3000


@pytest.mark.parametrize(
    "command",
    [
        "HSET c f{} {}",
        "RPUSH c field{} {}",
        "SADD c m{} {}",
        "ZADD c {} member{}",
        "XADD c * {} {}",
        "APPEND c {:0>50}{}",
        "PFADD c{} {}",
    ],
)
def test_growing_values_are_counted(engine, command):
    make_room_for(engine, 100_000, "noeviction")
    limit = engine.core.eviction.limit
    assert 200 < fill_until_refused(engine, command) < 2900
    assert limit < used(engine) < limit + 30_000


def test_counting_agrees_with_looking(engine):
    engine.core.chance = Chance(2)
    set_config(engine, maxmemory="1gb")
    for i in range(500):
        key = f"k{random.randrange(40)}"
        choice = random.choice(
            (
                f"SET {key} {'x' * (i + 1)}",
                f"DEL {key}",
                f"EXPIRE {key} 100",
                f"COPY {key} c{i}",
            )
        )
        run(engine, choice)
        run(engine, f"HSET h{i % 3} f{i} {i}", f"RPUSH l {i}", f"ZADD z {i} {i}")
    run(engine, "SWAPDB 0 1", "SET only v", "SWAPDB 0 1", "FLUSHDB", "SET again v")
    engine.restore(engine.snapshot())
    counted = used(engine)
    sizes = engine.execute("MEMORY", "USAGE", "again")
    set_config(engine, maxmemory=0)
    assert used(engine) == counted
    assert sizes == engine.execute("MEMORY", "USAGE", "again")


def test_what_a_consumer_group_remembers_is_counted(engine, session):
    set_config(engine, maxmemory="1gb")
    run(engine, "XGROUP CREATE s g $ MKSTREAM", "XGROUP CREATECONSUMER s g c")
    for i in range(100):
        run(engine, f"XADD s {i + 1} f v")
    before = used(engine)
    run(engine, "XREADGROUP GROUP g c COUNT 30 STREAMS s >")
    pending = used(engine) - before
    assert pending > 30 * 100
    run(session, "MULTI", "XREADGROUP GROUP g c COUNT 30 STREAMS s >", "EXEC")
    read = (
        "return redis.call('xreadgroup','group','g','c','count',30,'streams','s','>')"
    )
    engine.execute("EVAL", read, 1, "s")
    assert used(engine) - before == 3 * pending
    run(engine, *(f"XACK s g {i + 1}" for i in range(90)))
    assert used(engine) == before


def test_swapped_databases_keep_their_sizes(engine):
    set_config(engine, maxmemory="1gb")
    run(engine, "SET a 1", "SWAPDB 0 1", "SET b 2", "SELECT 1", "APPEND a 23", "DEL a")
    run(engine, "SELECT 0")
    counted = used(engine)
    set_config(engine, maxmemory=0)
    assert used(engine) == counted


def test_without_a_limit_nothing_is_counted_or_asked(engine):
    session = engine.session()
    core = engine.core
    assert core.gates == []
    assert core.event_mask == 0
    set_config(engine, maxmemory="1mb")
    assert core.gates
    assert session.intercept is not None
    set_config(engine, maxmemory=0)
    assert core.gates == []
    assert core.event_mask == 0
    assert session.intercept is None


def test_a_limit_from_the_start():
    with trignb.Engine(maxmemory="300kb", maxmemory_policy="allkeys-random") as engine:
        engine.clock.freeze()
        for i in range(1000):
            engine.execute("SET", i, "x" * 200)
        assert used(engine) < 301 * 1024
        assert engine.execute("DBSIZE") > 100


# -- which keys go


def test_volatile_policies_leave_other_keys_alone(engine):
    for policy in POLICIES[3:]:
        run(engine, "FLUSHALL", "MSET a 1 b 2 c 3")
        for i in range(50):
            run(engine, f"SET t{i} v EX 1000")
        set_config(engine, maxmemory_policy=policy, maxmemory=1)
        assert keys(engine) == ["a", "b", "c"]
        assert error_of(engine, "SET", "x", "1") == OOM
        set_config(engine, maxmemory=0)


def test_the_nearest_deadline_goes_first(engine, events):
    order = random.Random(3).sample(range(100), 100)
    for i in order:
        run(engine, f"SET k{i} v EX {1000 + i}")
    # As many samples as keys: the choice is exact.
    set_config(engine, maxmemory_policy="volatile-ttl", maxmemory_samples=100)
    events.clear()
    set_config(engine, maxmemory=1)
    assert [key for _, key, _ in events] == [f"k{i}" for i in range(100)]


def test_keys_long_unused_go_first(engine):
    engine.core.chance = Chance(4)
    set_config(engine, maxmemory_policy="allkeys-lru", maxmemory_samples=10)
    for i in range(300):
        run(engine, f"SET k{i:03} v")
    engine.clock.advance(100)
    for i in range(0, 300, 2):
        run(engine, f"GET k{i:03}")
    engine.clock.advance(100)
    limit = used(engine) - 100 * engine.execute("MEMORY", "USAGE", "k100")
    set_config(engine, maxmemory=limit)
    left = [int(key[1:]) for key in keys(engine)]
    assert len(left) == 200
    # A hundred had to go of the 150 that were not read.
    assert sum(i % 2 == 0 for i in left) >= 147


def test_keys_seldom_used_go_first(engine):
    engine.core.chance = Chance(5)
    set_config(engine, maxmemory_policy="allkeys-lfu", maxmemory_samples=10)
    for i in range(200):
        run(engine, f"SET k{i:03} v")
    for _ in range(60):
        for i in range(0, 200, 2):
            run(engine, f"GET k{i:03}")
    limit = used(engine) - 80 * engine.execute("MEMORY", "USAGE", "k100")
    set_config(engine, maxmemory=limit)
    left = [int(key[1:]) for key in keys(engine)]
    assert len(left) == 120
    assert sum(i % 2 == 0 for i in left) >= 98


def test_any_key_may_go_with_a_random_policy(engine):
    engine.core.chance = Chance(6)
    for i in range(300):
        run(engine, f"SET k{i:03} v")
    run(engine, "SELECT 3")
    for i in range(300):
        run(engine, f"SET k{i:03} v")
    run(engine, "SELECT 0")
    limit = used(engine) - 300 * engine.execute("MEMORY", "USAGE", "k100")
    set_config(engine, maxmemory=limit, maxmemory_policy="allkeys-random")
    sizes = [len(db.data) for db in engine.core.databases]
    assert sum(sizes) == 300
    # The databases take turns.
    assert abs(sizes[0] - sizes[3]) <= 2
    first_half = sum(int(key[1:]) < 150 for key in keys(engine))
    assert 50 < first_half < 100


def test_same_keys_in_every_run():
    def survivors():
        with trignb.Engine(seed=7) as engine:
            engine.clock.freeze(at="2026-01-01")
            set_config(engine, maxmemory="400kb", maxmemory_policy="allkeys-lru")
            for i in range(2000):
                engine.execute("SET", f"k{i}", "x" * 100)
            return keys(engine)

    assert survivors() == survivors()


def test_few_keys_with_a_deadline_among_many_stale_ones(engine):
    engine.core.chance = Chance(8)
    for i in range(900):
        run(engine, f"SET t{i:02} v EX 100", f"PERSIST t{i:02}")
    for i in range(20):
        run(engine, f"SET v{i:02} v EX 100")
    limit = used(engine) - 10 * engine.execute("MEMORY", "USAGE", "v10")
    set_config(engine, maxmemory=limit, maxmemory_policy="volatile-random")
    assert sum(key.startswith("v") for key in keys(engine)) == 10


def test_keys_deleted_and_made_again_do_not_pile_up(engine):
    set_config(engine, maxmemory="1mb", maxmemory_policy="allkeys-random")
    memory = engine.core.memory
    run(engine, "MSET a 1 b 2")
    memory.sample(engine.core.databases[0], 1, volatile=False)
    for i in range(500):
        run(engine, f"SET k{i} v", f"DEL k{i}")
    order = memory._accounts[0].order
    assert order is None or len(order) < 100
    assert memory.sample(engine.core.databases[0], 1, volatile=False)[0] in (b"a", b"b")


# -- each key is a unit


def test_what_an_eviction_tells(engine, events, effects):
    run(engine, "MSET a 1 b 2")
    set_config(engine, maxmemory_policy="allkeys-random")
    events.clear()
    effects.clear()
    dirty = engine.core.dirty
    set_config(engine, maxmemory=1)
    assert sorted(events) == [("evicted", "a", "evict"), ("evicted", "b", "evict")]
    assert sorted(effects) == [["DEL a"], ["DEL b"]]
    assert engine.core.dirty == dirty
    assert stat(engine, "evicted_keys") == 2


def test_lazy_eviction_is_propagated_as_unlink(engine, effects):
    run(engine, "SET k v")
    set_config(engine, maxmemory_policy="allkeys-lru", lazyfree_lazy_eviction="yes")
    effects.clear()
    set_config(engine, maxmemory=1)
    assert effects == [["UNLINK k"]]


def test_eviction_before_a_command_is_not_wrapped_with_it(engine, effects):
    run(engine, "SET a 1", "SET b 2")
    make_room_for(engine, 10, "allkeys-random")
    run(engine, "SET c 3")
    effects.clear()
    run(engine, "MULTI", "SET d 4", "SET e 5", "EXEC")
    evictions = [batch for batch in effects if batch[0].startswith("DEL")]
    assert len(evictions) == len(effects) - 1
    assert all(len(batch) == 1 for batch in evictions)
    assert effects[-1] == ["MULTI", "SET d 4", "SET e 5", "EXEC"]


def test_reads_evict_too(engine, events):
    run(engine, "SET a 1")
    make_room_for(engine, 10, "allkeys-random")
    run(engine, "SET b 2")
    assert keys(engine) != ["a", "b"]
    assert events[-1][0] == "evicted"


def test_a_transaction_may_lower_the_limit(engine, effects):
    run(engine, "SET a 1")
    effects.clear()
    run(engine, "MULTI", "CONFIG SET maxmemory-policy allkeys-lru", "SET b 1")
    run(engine, "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 2", "SET c 1", "EXEC")
    assert effects[0] == ["MULTI", "SET b 1", "SET c 1", "EXEC"]
    assert sorted(effects[1:]) == [["DEL a"], ["DEL b"], ["DEL c"]]


def test_a_config_set_that_fails_leaves_no_limit(engine):
    run(engine, "SET k v", "CONFIG SET maxmemory-policy allkeys-lru")
    with pytest.raises(trignb.ResponseError):
        run(engine, "CONFIG SET maxmemory 1 notify-keyspace-events nonsense")
    assert keys(engine) == ["k"]
    assert engine.core.gates == [engine.core.access.note]


def test_watched_keys_and_tracked_keys(engine, session):
    run(engine, "SET k v")
    set_config(engine, maxmemory_policy="allkeys-lru")
    reader = engine.session()
    run(reader, "CLIENT TRACKING on", "GET k")
    run(session, "WATCH k", "MULTI", "PING")
    set_config(engine, maxmemory=1)
    set_config(engine, maxmemory=0)
    assert session.execute("EXEC") is None
    assert list(reader.inbox) == [[b"invalidate", [b"k"]]]


def test_the_log_puts_an_eviction_down_to_no_command(engine):
    engine.core.record_notifications(100)
    run(engine, "SET a 1", "SET b 1")
    make_room_for(engine, 10, "allkeys-random")
    run(engine, "SET c 1", "GET nothing")
    record = next(
        r for r in engine.core.notifications.entries() if r.event == b"evicted"
    )
    assert (record.origin, record.args, record.key_type) == ("evict", None, "none")


# -- triggers


TRIGGER = """
redis.registerKeySpaceTrigger('t', '', (client, data) => {
    if (data.event === 'evicted' && !data.key.startsWith('evicted'))
        client.call('rpush', 'evicted_keys', data.key);
});
"""


def test_a_trigger_fires_for_every_evicted_key(engine, effects):
    engine.load(lib(TRIGGER))
    for key in "abc":
        run(engine, f"SET {key} {'x' * 2000} EX 100")
    set_config(engine, maxmemory_policy="volatile-random")
    effects.clear()
    limit = used(engine) - 5000
    set_config(engine, maxmemory=limit)
    names = [batch[1].removeprefix("DEL ") for batch in effects]
    assert effects == [
        ["MULTI", f"DEL {name}", f"rpush evicted_keys {name}", "EXEC"] for name in names
    ]
    assert len(names) == 3
    assert run(engine, "LRANGE evicted_keys 0 -1") == [n.encode() for n in names]


def test_a_trigger_that_writes_on_every_eviction_does_not_go_on_for_ever(engine):
    engine.load(
        lib(
            """redis.registerKeySpaceTrigger('t', '', (client, data) => {
    if (data.event === 'evicted') client.call('set', 'last', 'x'.repeat(2000));
});"""
        )
    )
    run(engine, "SET a 1")
    set_config(engine, maxmemory_policy="allkeys-random", maxmemory=1)
    assert 10 < stat(engine, "evicted_keys") < 1000


# -- what is refused


def test_noeviction(engine):
    over_the_limit(engine)
    for command in ("SET x 1", "LPUSH l 1", "HSET h f v", "APPEND k x"):
        assert error_of(engine, *command.split()) == OOM
    assert run(engine, "GET k") == b"v"
    assert run(engine, "EXPIRE k 100") == 1
    assert run(engine, "DEL k") == 1
    # Nothing is left, and a byte is still too little.
    assert error_of(engine, "SET", "k", "v") == OOM
    assert stat(engine, "evicted_keys") == 0
    set_config(engine, maxmemory=0)
    assert run(engine, "SET k v") == "OK"


def test_refusals_are_counted(engine):
    over_the_limit(engine)
    error_of(engine, "SET", "x", "1")
    assert b"errorstat_OOM:count=1" in run(engine, "INFO errorstats")
    assert b"cmdstat_set:calls=1" in run(engine, "INFO commandstats")
    assert b"rejected_calls=1,failed_calls=0" in run(engine, "INFO commandstats")


def test_a_transaction_is_refused_while_it_is_queued(engine, session):
    over_the_limit(engine)
    session.execute("MULTI")
    for command in ("GET k", "MULTI", "WATCH k", "PING"):
        assert error_of(session, *command.split()) == OOM
    assert error_of(session, "EXEC") == (
        "EXECABORT Transaction discarded because of previous errors."
    )
    assert run(session, "MULTI", "DISCARD") == "OK"
    assert run(session, "MULTI", "RESET") == "RESET"


def test_a_transaction_that_needs_memory_is_refused_at_exec(engine, session):
    session.execute("MULTI")
    session.execute("SET", "a", "1")
    reader = engine.session()
    run(reader, "MULTI", "GET k")
    over_the_limit(engine)
    assert error_of(session, "EXEC") == (
        f"EXECABORT Transaction discarded because of: {OOM}"
    )
    assert session.queue is None
    assert reader.execute("EXEC") == [b"v"]


def test_scripts(engine):
    over_the_limit(engine)
    write = "return redis.call('set', KEYS[1], 1)"
    digest = hashlib.sha1(write.encode()).hexdigest()
    assert error_of(engine, "EVAL", write, 1, "x") == (
        f"{OOM} script: {digest}, on @user_script:1."
    )
    assert engine.execute("EVAL", "return redis.call('get', KEYS[1])", 1, "k") == b"v"
    caught = "return redis.pcall('set', KEYS[1], 1).err"
    assert engine.execute("EVAL", caught, 1, "x") == OOM.encode()
    # Once a script has begun to write it is not stopped half-way.
    assert engine.execute("EVAL", f"redis.call('del', 'x') {write}", 1, "x") == "OK"
    assert engine.execute("EVAL", f"redis.pcall('lpop', 'k') {write}", 1, "x") == "OK"


def test_scripts_that_declare_what_they_do(engine, session):
    source = "#!lua\nreturn 1"
    digest = session.execute("SCRIPT", "LOAD", source)
    run(session, "MULTI")
    session.execute("EVAL", source, 0)
    over_the_limit(engine)
    assert error_of(session, "EXEC").endswith(f"because of: {OOM}")
    assert error_of(engine, "EVAL", source, 0) == OOM
    assert error_of(engine, "EVALSHA", digest, 0) == OOM
    assert error_of(engine, "EVAL_RO", source, 0) == OOM
    write = "#!lua flags=allow-oom\nreturn redis.call('set', KEYS[1], 1)"
    assert engine.execute("EVAL", write, 1, "x") == "OK"
    read = "#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])"
    assert engine.execute("EVAL", read, 1, "x") == b"1"
    assert error_of(engine, "EVAL", "#!lua foo\n", 0).startswith("ERR Unknown lua")
    assert error_of(engine, "EVALSHA", "0" * 40, 0).startswith("NOSCRIPT")


def test_lua_functions(engine):
    engine.execute(
        "FUNCTION",
        "LOAD",
        """#!lua name=l
redis.register_function('plain', function() return 1 end)
redis.register_function{function_name='read', flags={'no-writes'},
    callback=function() return redis.call('get', 'k') end}
redis.register_function{function_name='write', flags={'allow-oom'},
    callback=function() return redis.call('set', 'x', 1) end}
""",
    )
    over_the_limit(engine)
    assert error_of(engine, "FCALL", "plain", 0) == OOM
    assert error_of(engine, "FCALL_RO", "plain", 0) == OOM
    assert engine.execute("FCALL", "read", 0) == b"v"
    assert engine.execute("FCALL", "write", 0) == "OK"
    assert error_of(engine, "FCALL", "none", 0) == "ERR Function not found"


def test_the_state_is_that_of_the_beginning_of_the_unit(engine):
    make_room_for(engine, 1000, "noeviction")
    script = """
redis.call('set', 'a', string.rep('x', 5000))
return redis.call('set', 'b', string.rep('x', 5000))"""
    assert engine.execute("EVAL", script, 0) == "OK"
    assert error_of(engine, "SET", "c", "1") == OOM


def test_javascript_functions(engine):
    engine.load(
        lib(
            """redis.registerFunction('plain', client => client.call('set', 'x', '1'));
redis.registerFunction('read', client => client.call('get', 'k'), {flags: ['no-writes']});
redis.registerFunction('write', client => client.call('set', 'x', '1'),
    {flags: ['allow-oom']});
redis.registerAsyncFunction('block', async client => {
    try { return client.block(c => c.call('ping')); } catch (e) { return e; }
}, {flags: ['no-writes']});
"""
        )
    )
    over_the_limit(engine)
    assert error_of(engine, "TFCALL", "lib.plain", 0) == (
        "OOM can not run the function when out of memory"
    )
    assert engine.execute("TFCALL", "lib.read", 0) == b"v"
    # What a library calls is not refused for each command again.
    assert engine.execute("TFCALL", "lib.write", 0) == b"OK"
    assert engine.execute("TFCALLASYNC", "lib.block", 0) == b"PONG"


def test_client_block_of_a_trigger(engine):
    library = engine.load(
        lib(
            """redis.registerKeySpaceTrigger('t', 'k', async client => {
    client.block(c => c.call('set', 'x', '1'));
});"""
        )
    )
    over_the_limit(engine)
    run(engine, "EXPIRE k 100")
    trigger = library.triggers["t"]
    deadline = time.monotonic() + 5
    while trigger.running and time.monotonic() < deadline:
        time.sleep(0.002)
    assert trigger.last_error == "Can not lock Redis, OOM Can not lock redis for write"


# -- when nothing is evicted, or not all at once


def test_replicas_do_not_evict(engine):
    run(engine, "SET k v")
    set_config(engine, maxmemory_policy="allkeys-lru")
    engine.core.is_replica = True
    set_config(engine, maxmemory=1)
    assert run(engine, "SET a 1") == "OK"
    set_config(engine, replica_ignore_maxmemory="no")
    run(engine, "GET a")
    assert keys(engine) == []


def test_nothing_is_evicted_while_clients_are_paused(engine):
    run(engine, "SET k v", "CONFIG SET maxmemory-policy allkeys-lru")
    run(engine, "CLIENT PAUSE 60000 WRITE", "CONFIG SET maxmemory 1")
    assert keys(engine) == ["k"]
    run(engine, "CLIENT UNPAUSE")
    assert keys(engine) == []


def test_what_takes_long_goes_on_in_the_background():
    with trignb.Engine() as engine:
        for i in range(5000):
            engine.execute("SET", i, "x" * 100)
        set_config(engine, maxmemory_eviction_tenacity=1)
        limit = used(engine) - 4000 * engine.execute("MEMORY", "USAGE", "4000")
        set_config(engine, maxmemory=limit, maxmemory_policy="allkeys-random")
        # Commands go on meanwhile.
        assert run(engine, "SET k v") == "OK"
        deadline = time.monotonic() + 20
        while used(engine) > limit and time.monotonic() < deadline:
            time.sleep(0.005)
        assert used(engine) <= limit
        assert stat(engine, "total_eviction_exceeded_time") > 0
        assert stat(engine, "current_eviction_exceeded_time") == 0


def test_time_above_the_limit(engine):
    over_the_limit(engine)
    engine.execute("GET", "k")
    engine.clock.advance(3)
    assert stat(engine, "current_eviction_exceeded_time") == 3000
    set_config(engine, maxmemory="1gb")
    engine.clock.advance(3)
    assert stat(engine, "current_eviction_exceeded_time") == 0
    assert stat(engine, "total_eviction_exceeded_time") == 3000


# -- access


def test_keys_that_scripts_make_are_new(engine):
    set_config(engine, maxmemory_policy="allkeys-lru", maxmemory="1gb")
    engine.clock.advance(100)
    engine.execute("EVAL", "redis.call('set', 'k', 'v')", 0)
    engine.clock.advance(5)
    assert run(engine, "OBJECT IDLETIME k") == 5


def test_notes_go_with_their_keys(engine):
    set_config(engine, maxmemory_policy="allkeys-lfu", maxmemory="1gb")
    run(engine, "SET k v", "GET k", "DEL k", "PING")
    assert b"k" not in engine.core.access._used[0]


def test_notes_follow_swapped_databases(engine):
    set_config(engine, maxmemory_policy="allkeys-lru")
    run(engine, "SET k v")
    engine.clock.advance(10)
    run(engine, "SWAPDB 0 1", "SELECT 1")
    assert run(engine, "OBJECT IDLETIME k") == 10


def test_the_clock_of_idle_times_goes_round(engine):
    set_config(engine, maxmemory_policy="allkeys-lru")
    run(engine, "SET k v")
    engine.clock.advance((1 << 24) + 7)
    assert run(engine, "OBJECT IDLETIME k") == 7
