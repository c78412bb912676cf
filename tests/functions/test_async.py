"""Section 9, sentence by sentence: block, its errors and their order, promises, stale clients, queues."""

from __future__ import annotations

import threading
import time

import pytest

import trignb.errors
from functions.libraries import error_of, eventually, listed, trigger_of

TERMINATED = "Err Execution was terminated due to OOM or timeout"
NOT_LOCKED = b"Main thread is not locked"
INVALID = b"Used on invalid client"
BLOCKED = b"Main thread is already blocked"
NOT_MASTER = (
    "Can not lock Redis, Can not lock redis for write on replica or when the "
    '"avoid replication traffic" option is enabled'
)
NO_MEMORY = "Can not lock Redis, OOM Can not lock redis for write"
GONE = "Function were unregistered"


def later(engine, *args):
    """Call from another thread; return the thread and the list that gets the reply."""
    replies: list = []

    def call() -> None:
        try:
            replies.append(engine.execute(*args))
        except trignb.errors.TrignbError as error:
            replies.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    return thread, replies


CATCH = "const caught = (f) => { try { return f(); } catch (e) { return e; } };\n"

# -- 9.1 the queue


def test_one_job_at_a_time_first_in_first_out(engine, load) -> None:
    engine.clock.resume()
    load(
        """const order = []; let running = 0, most = 0;
redis.registerAsyncFunction('job', async (client, n) => {
    most = Math.max(most, ++running);
    const end = Date.now() + 5; while (Date.now() < end);
    order.push(n); running--;
});
redis.registerFunction('seen', () => [order, most]);"""
    )
    calls = []
    for i in range(8):
        calls.append(later(engine, "TFCALLASYNC", "lib.job", 0, i))
        library = engine.library_registry.libraries["lib"]
        eventually(lambda i=i, f=library.functions["job"]: f.calls == i + 1)
    for thread, _ in calls:
        thread.join(10)
    assert engine.call("lib.seen") == [[b"%d" % i for i in range(8)], 1]


def test_pending_jobs_is_the_length_of_the_queue(engine, load) -> None:
    engine.clock.resume()
    load(
        """redis.registerAsyncFunction('busy', async () => {
    const end = Date.now() + 400; while (Date.now() < end);
});
redis.registerFunction('none', () => 1);"""
    )
    calls = [later(engine, "TFCALLASYNC", "lib.busy", 0) for _ in range(3)]
    functions = engine.library_registry.libraries["lib"].functions
    eventually(lambda: functions["busy"].calls == 3)
    time.sleep(0.05)
    # One is running, two wait.
    assert listed(engine)[0][b"pending_jobs"] == 2
    for thread, _ in calls:
        thread.join(10)
    assert listed(engine)[0][b"pending_jobs"] == 0


def test_libraries_do_not_wait_for_each_other(engine, load) -> None:
    """One is stuck in the background, in block and in a sync function; the other answers."""
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    load(
        """redis.registerAsyncFunction('hang', async () => { while (true); });
redis.registerAsyncFunction('block', async (client) => client.block(() => { while (true); }));""",
        name="stuck",
    )
    load(
        """redis.registerAsyncFunction('a', async (client) => client.block(c => c.call('incr', 'n')));
redis.registerFunction('f', () => 'fine');
redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'fired'); });"""
    )
    hanging, _ = later(engine, "TFCALLASYNC", "stuck.hang", 0)
    time.sleep(0.05)
    started = time.monotonic()
    for i in range(1, 50):
        assert engine.call("lib.f") == b"fine"
        assert engine.execute("TFCALLASYNC", "lib.a", 0) == i
        assert engine.execute("SET", "k", "v") == "OK"
    # Nobody computes under the lock: this took what it takes, and not a timeout.
    assert time.monotonic() - started < 5
    assert engine.execute("GET", "fired") == b"49"
    # A library that is stuck cannot stop us from listing and deleting it.
    assert [each[b"name"] for each in listed(engine)] == [b"stuck", b"lib"]
    assert engine.execute("TFUNCTION", "DELETE", "stuck") == "OK"
    assert hanging.is_alive()
    engine.close()
    hanging.join(10)
    assert not hanging.is_alive()


def test_a_stuck_block_holds_the_engine_for_the_timeout_only(engine, load) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "200")
    load(
        """redis.registerAsyncFunction('hang', async (client) =>
    client.block(c => { c.call('set', 'in', '1'); while (true); }));"""
    )
    thread, replies = later(engine, "TFCALLASYNC", "lib.hang", 0)
    worst = 0.0
    while thread.is_alive():
        started = time.monotonic()
        engine.execute("PING")
        worst = max(worst, time.monotonic() - started)
    assert [str(reply) for reply in replies] == [TERMINATED]
    assert 0.1 < worst < 1.5


# -- 9.2 block


def test_values_and_exceptions_pass_through_block(engine, load) -> None:
    load(
        """redis.registerAsyncFunction('same', async (client) => {
    const value = {a: 1}, error = {b: 2};
    let thrown;
    try { client.block(() => { throw error; }); } catch (e) { thrown = e; }
    return [client.block(() => value) === value, thrown === error];
});"""
    )
    assert engine.execute("TFCALLASYNC", "lib.same", 0) == [True, True]


def test_the_errors_of_block_in_their_order(engine, load) -> None:
    registry = engine.library_registry
    load(
        CATCH
        + """let kept;
redis.registerAsyncFunction('keep', async (client) => { kept = client; });
redis.registerFunction('sync', () => [caught(() => kept.block(1)), caught(() => kept.block(() => 1))]);
redis.registerAsyncFunction('steps', async (client) => {
    client.block(c => c.call('exists', 'go'));
    await client.block(() => 0);
});
redis.registerAsyncFunction('wait', async (client, what) => {
    for (;;) {
        const seen = caught(() => client.block(c => c.call('exists', 'go')));
        if (typeof seen === 'string') return [seen, caught(() => client.block(1))];
    }
});
redis.registerAsyncFunction('free', async (client) => {
    for (;;) {
        const seen = caught(() => client.block(c => c.call('exists', 'go')));
        if (seen) return seen;
    }
}, {flags: ['no-writes']});
redis.registerAsyncFunction('oom', async (client) => {
    for (;;) {
        const seen = caught(() => client.block(c => c.call('exists', 'go')));
        if (seen) return seen;
    }
}, {flags: ['allow-oom']});
redis.registerAsyncFunction('inner', async (client) => client.block(() =>
    [caught(() => client.block(7)), caught(() => client.block(() => 1))]));"""
    )
    not_function = b"Argument to 'block' must be a function"
    engine.execute("TFCALLASYNC", "lib.keep", 0)
    assert engine.call("lib.sync") == [not_function, BLOCKED]
    assert engine.execute("TFCALLASYNC", "lib.inner", 0) == [not_function, BLOCKED]

    # From here on each function is in the background when the world around it changes.
    def until_refused(name: str, change) -> object:
        function = registry.libraries["lib"].functions[name]
        calls = function.calls
        thread, replies = later(engine, "TFCALLASYNC", f"lib.{name}", 0)
        eventually(lambda: function.calls > calls)
        with engine.core.lock:
            change()
        thread.join(10)
        return replies[0]

    def replica_and_full() -> None:
        engine.core.is_replica = True
        registry.out_of_memory = lambda: True

    def full() -> None:
        registry.out_of_memory = lambda: True

    def back() -> None:
        engine.core.is_replica = False
        registry.out_of_memory = lambda: False

    assert until_refused("wait", replica_and_full) == [
        NOT_MASTER.encode(),
        not_function,
    ]
    back()
    assert until_refused("wait", full) == [NO_MEMORY.encode(), not_function]
    back()
    # Neither a replica nor memory is in the way of these.
    function = registry.libraries["lib"].functions["free"]
    thread, replies = later(engine, "TFCALLASYNC", "lib.free", 0)
    eventually(lambda: function.calls == 1)
    replica_and_full()
    time.sleep(0.05)
    back()
    assert not replies
    function = registry.libraries["lib"].functions["oom"]
    other, others = later(engine, "TFCALLASYNC", "lib.oom", 0)
    eventually(lambda: function.calls == 1)
    full()
    time.sleep(0.05)
    back()
    assert not others
    # Memory is looked at before the library is looked for.
    full()
    engine.execute("TFUNCTION", "DELETE", "lib")
    back()
    thread.join(10)
    other.join(10)
    assert [replies, others] == [[GONE.encode()], [GONE.encode()]]


def test_flags_are_inherited(engine, load) -> None:
    load(
        CATCH
        + """const write = async (c) => caught(() => c.block(b => b.call('set', 'k', 'v')));
const nested = (c) => c.block(b => b.executeAsync(async (d) => d.block(e => e.executeAsync(write))));
redis.registerAsyncFunction('quiet', async (client) => [await write(client), await nested(client)],
    {flags: ['no-writes']});
redis.registerKeySpaceTrigger('t', 'k', () => {}, {onTriggerFired: (client) => {
    client.executeAsync(async (c) => redis.log(await write(c))); } });"""
    )
    refused = "ERR Write command 'set' was called while write is not allowed."
    assert engine.execute("TFCALLASYNC", "lib.quiet", 0) == [refused.encode()] * 2
    engine.execute("SET", "key", "v")
    library = engine.library_registry.libraries["lib"]
    eventually(lambda: library.logs)
    assert [line.text for line in library.logs] == [refused]


def test_an_async_function_in_block_gives_the_lock_back_at_once(engine, load) -> None:
    load(
        CATCH
        + """redis.registerAsyncFunction('f', async (client) => {
    const p = client.block(async c => {
        c.call('set', 'before', '1');
        await null;
        return caught(() => c.call('set', 'after', '1'));
    });
    return [typeof p.then, await p, client.block(c => c.call('mget', 'before', 'after'))];
});"""
    )
    assert engine.execute("TFCALLASYNC", "lib.f", 0) == [
        b"function",
        NOT_LOCKED,
        [b"1", None],
    ]


def test_a_deleted_user_is_found_out_at_the_command(engine, load) -> None:
    """Trap 37: the code of a user who is gone may still lock."""
    library = load(
        CATCH
        + """redis.registerAsyncFunction('f', async (client) => {
    for (;;) {
        const seen = caught(() => client.block(() => 'locked'));
        const called = caught(() => client.block(c => c.call('exists', 'go')));
        if (typeof called === 'string') {
            redis.log(seen);
            redis.log(called);
            await client.block(c => c.callAsync('ping').catch(e => redis.log('rejected: ' + e)));
            return;
        }
    }
});"""
    )
    engine.execute("ACL", "SETUSER", "alice", "on", "nopass", "~*", "+@all")
    session = engine.session()
    session.execute("AUTH", "alice", "x")
    thread = threading.Thread(
        target=lambda: session.execute("TFCALLASYNC", "lib.f", 0), daemon=True
    )
    thread.start()
    eventually(lambda: library.functions["f"].calls == 1)
    engine.execute("ACL", "DELUSER", "alice")
    eventually(lambda: len(library.logs) == 3)
    assert [line.text for line in library.logs] == [
        "locked",
        "User does not exists or disabled",
        "rejected: User does not exists or disabled",
    ]


# -- 9.3 timeouts


def test_a_block_s_timeout_can_be_caught(engine, load) -> None:
    """Trap 39: changes made before it stay, the coroutine goes on."""
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    load(
        CATCH
        + """redis.registerAsyncFunction('f', async (client) => {
    const e = caught(() => client.block(c => { for (;;) c.call('incr', 'n'); }));
    return [typeof e, e, client.block(c => c.call('exists', 'n'))];
});"""
    )
    assert engine.execute("TFCALLASYNC", "lib.f", 0) == [
        b"string",
        TERMINATED.encode(),
        1,
    ]


def test_every_section_has_its_own_time(engine, load) -> None:
    engine.clock.resume()
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "200")
    load(
        """redis.registerAsyncFunction('f', async (client) => {
    for (let i = 0; i < 6; i++) client.block(() => {
        const end = Date.now() + 60; while (Date.now() < end);
    });
    return 'done';
});
redis.registerAsyncFunction('outside', async () => {
    const end = Date.now() + 500; while (Date.now() < end);
    return 'done';
});"""
    )
    assert engine.execute("TFCALLASYNC", "lib.f", 0) == b"done"
    # Outside of block nobody counts (trap 40).
    assert engine.execute("TFCALLASYNC", "lib.outside", 0) == b"done"


def test_waiting_for_the_lock_does_not_count(engine, load) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    load(
        "redis.registerAsyncFunction('f', async (client) => client.block(c => c.call('ping')));"
    )
    function = engine.library_registry.libraries["lib"].functions["f"]
    thread, replies = later(engine, "TFCALLASYNC", "lib.f", 0)
    eventually(lambda: function.calls == 1)
    with engine.core.lock:
        time.sleep(0.4)
    thread.join(10)
    assert replies == [b"PONG"]


# -- 9.4 promises


def test_promises_as_results(engine, load) -> None:
    load(
        """redis.registerFunction('queued', () => new Promise(resolve => resolve(1)));
redis.registerFunction('rejected', () => new Promise((_, reject) => reject(new TypeError('no'))));
redis.registerFunction('settled', () => (async () => ({a: 1}))());
redis.registerFunction('settledBadly', () => (async () => { throw {}; })());
redis.registerFunction('nested', () => (async () => (async () => (async () => 'flat')())())());
redis.registerAsyncFunction('cyclic', async () => { const a = []; a.push(a); return a; });
redis.registerAsyncFunction('sync', (client) => client.call('incr', 'n'));"""
    )
    refused = (
        "Can not block client for background execution, Blocking is not allow inside "
        "multi/exec, Lua, or within another module (RM_Call)."
    )
    assert error_of(engine.call, "lib.queued") == refused
    assert engine.execute("TFCALLASYNC", "lib.queued", 0) == 1
    assert error_of(engine.execute, "TFCALLASYNC", "lib.rejected", 0) == "TypeError: no"
    assert engine.call("lib.settled") == {b"a": 1}
    assert error_of(engine.call, "lib.settledBadly") == "[object Object]"
    assert engine.call("lib.nested") == b"flat"
    text = error_of(engine.execute, "TFCALLASYNC", "lib.cyclic", 0)
    assert text == "nesting level reached"
    assert engine.execute("TFCALLASYNC", "lib.sync", 0) == 1


def test_a_client_that_leaves_does_not_cancel_the_work(engine, load) -> None:
    load(
        """redis.registerAsyncFunction('f', async (client) => {
    while (client.block(c => c.call('exists', 'go')) == 0);
    client.block(c => c.call('set', 'finished', '1'));
});"""
    )
    session = engine.session()
    thread = threading.Thread(
        target=lambda: session.execute("TFCALLASYNC", "lib.f", 0), daemon=True
    )
    thread.start()
    function = engine.library_registry.libraries["lib"].functions["f"]
    eventually(lambda: function.calls == 1)
    session.close()
    engine.execute("SET", "go", "1")
    eventually(lambda: engine.execute("GET", "finished") == b"1")


# -- 9.5 callAsync

POP = """redis.registerFunction('pop', (client) => client.callAsync('blpop', 'l', '0'));
redis.registerFunction('raw', (client) => client.callAsyncRaw('blpop', 'l', '0'));
redis.registerFunction('now', (client, ...args) => client.callAsync(...args));
redis.registerFunction('order', (client) => {
    let settled = false;
    const p = client.callAsync('ping').then(() => { settled = true; });
    return settled;
});
redis.registerAsyncFunction('stale', async (client) => {
    let kept; client.block(c => { kept = c; });
    try { kept.callAsync('ping'); return 'no'; } catch (e) { return e; }
});"""


def test_call_async(engine, load) -> None:
    load(POP)
    assert engine.execute("TFCALLASYNC", "lib.now", 0, "ping") == b"PONG"
    text = error_of(engine.execute, "TFCALLASYNC", "lib.now", 0, "incr")
    assert text == "ERR wrong number of arguments for 'incr' command"
    assert engine.call("lib.order") is False
    # What a stale client is refused is thrown, not rejected.
    assert engine.execute("TFCALLASYNC", "lib.stale", 0) == NOT_LOCKED
    # Binary data arrives through the raw form only.
    library = engine.library_registry.libraries["lib"]
    thread, replies = later(engine, "TFCALLASYNC", "lib.raw", 0)
    eventually(lambda: library.pending_async_calls == ["blpop l 0"])
    assert listed(engine)[0][b"pending_async_calls"] == [b"blpop l 0"]
    engine.execute("RPUSH", "l", b"\xff")
    thread.join(10)
    assert replies == [[b"l", b"\xff"]]
    assert listed(engine)[0][b"pending_async_calls"] == []


def test_a_deleted_library_does_not_cancel_a_command(engine, load) -> None:
    library = load(POP)
    thread, replies = later(engine, "TFCALLASYNC", "lib.pop", 0)
    eventually(lambda: library.pending_async_calls)
    engine.execute("TFUNCTION", "DELETE", "lib")
    engine.execute("RPUSH", "l", "lost", "kept")
    # The command took its element, nobody hears of it.
    assert engine.execute("LRANGE", "l", 0, -1) == [b"kept"]
    time.sleep(0.05)
    assert replies == []
    engine.close()
    thread.join(10)


def test_becoming_a_replica_aborts_what_waits(engine, load) -> None:
    library = load(
        """redis.registerFunction('pop', (client) => {
    client.callAsync('blpop', 'l', '0').then(() => redis.log('got it'), e => redis.log(e));
    return 'started';
});
redis.registerAsyncFunction('wait', () => new Promise(() => {}));"""
    )
    assert engine.call("lib.pop") == b"started"
    assert library.pending_async_calls == ["blpop l 0"]
    thread, replies = later(engine, "TFCALLASYNC", "lib.wait", 0)
    eventually(lambda: library.functions["wait"].calls == 1)
    time.sleep(0.02)
    with engine.core.lock:
        engine.core.is_replica = True
        engine.library_registry.role_changed()
    eventually(lambda: library.logs)
    assert [line.text for line in library.logs] == ["Command was aborted"]
    assert library.pending_async_calls == []
    thread.join(10)
    assert str(replies[0]) == (
        "UNBLOCKED force unblock from blocking operation, instance state changed "
        "(master -> replica?)"
    )
    engine.core.is_replica = False
    engine.execute("RPUSH", "l", "stays")
    assert engine.execute("LLEN", "l") == 1


def test_becoming_a_master_reads_the_streams(engine, load) -> None:
    load(
        "redis.registerStreamTrigger('t', 's', (c, data) => { c.call('incr', 'n'); });"
    )
    engine.core.is_replica = True
    engine.execute("XADD", "s1", "*", "a", "b")
    with engine.core.lock:
        engine.core.is_replica = False
        engine.library_registry.role_changed()
    eventually(lambda: engine.execute("GET", "n") == b"1")


# -- 9.6 stale clients


def test_stale_clients(engine, load) -> None:
    load(
        CATCH
        + """let outer;
redis.registerFunction('later', (client) => {
    outer = client;
    return client.executeAsync(async (c) => [
        caught(() => client.call('ping')),
        c.block(() => caught(() => client.call('ping'))),
        caught(() => client.isBlockAllowed()),
        caught(() => client.executeAsync(async () => 1)),
        caught(() => client.callAsync('ping')),
    ]);
});
let seen;
redis.registerFunction('same', (client) => { const before = seen; seen = client; return before === client; });
redis.registerAsyncFunction('finished', async (c) => {
    let kept;
    c.block(b => { kept = b; });
    return c.block(() => [caught(() => kept.call('ping')), caught(() => kept.isBlockAllowed()),
                          caught(() => kept.executeAsync(async () => 1))]);
});"""
    )
    out_of_context = b"Called 'executeAsync' out of context"
    assert engine.execute("TFCALLASYNC", "lib.later", 0) == [
        NOT_LOCKED,
        INVALID,
        INVALID,
        out_of_context,
        NOT_LOCKED,
    ]
    # A function has one client for all its calls.
    assert [engine.call("lib.same") for _ in range(2)] == [False, True]
    assert engine.execute("TFCALLASYNC", "lib.finished", 0) == [
        INVALID,
        INVALID,
        out_of_context,
    ]


@pytest.mark.parametrize("before", ["", "await null;"])
def test_a_sync_trigger_runs_while_a_coroutine_waits_in_block(
    engine, load, before
) -> None:
    """Trap 38 and no deadlock: the trigger is served on top of the waiting coroutine."""
    library = load(
        """redis.registerAsyncFunction('f', async (client) => {
    %s
    return client.block(c => c.call('get', 'n'));
});
redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'n'); });"""
        % before
    )
    with engine.core.lock:
        thread, replies = later(engine, "TFCALLASYNC", "lib.f", 0)
        job = threading.Event()
        # The call itself needs the lock: let it in, then take the lock again.
        engine.core.lock.release()
        try:
            eventually(lambda: library.functions["f"].calls == 1)
        finally:
            engine.core.lock.acquire()
        job.wait(0.05)
        started = time.monotonic()
        for _ in range(3):
            engine.execute("SET", "k", "v")
        assert time.monotonic() - started < 2
        assert trigger_of(engine, "t").num_success == 3
    thread.join(10)
    assert replies in ([b"3"], [None])
