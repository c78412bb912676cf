"""Coroutines: asynchronous triggers, `client.block`, what outlives its library."""

from __future__ import annotations

import threading

from functions.libraries import counters, error_of, eventually, trigger_of


def test_an_asynchronous_trigger_with_block(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', async (client, data) => {
    client.block(c => {
        c.call('incr', 'n');
        c.call('rpush', 'seen', data.key);
    });
});"""
    )
    for i in range(20):
        engine.execute("SET", f"k{i}", "v")
    trigger = trigger_of(engine, "t")
    eventually(lambda: trigger.running == 0)
    assert counters(trigger) == (20, 20, 20, 0)
    assert engine.execute("GET", "n") == b"20"
    assert engine.execute("LLEN", "seen") == 20
    runs = [run for e in engine.core.notifications.entries() for run in e.fired]
    assert {run.outcome for run in runs} == {"ok"}


def test_data_of_on_trigger_fired_reaches_a_coroutine(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', async (client, data) => {
    client.block(c => c.call('set', 'copy', data.value));
}, {onTriggerFired: (client, data) => { data.value = client.call('get', data.key); }});"""
    )
    engine.execute("SET", "k", "v")
    eventually(lambda: engine.execute("GET", "copy") == b"v")


def test_a_coroutine_that_fails(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('throws', 'k', async () => { throw new Error('x'); });
redis.registerKeySpaceTrigger('call', 'k', async (client) => {
    client.block(c => c.call('incr', 'k'));
});
redis.registerKeySpaceTrigger('caught', 'k', async (client) => {
    try { client.block(c => c.call('incr', 'k')); }
    catch (e) { client.block(c => c.call('set', 'caught', e)); }
});"""
    )
    engine.execute("SET", "k", "text")
    triggers = engine.library_registry.triggers
    eventually(lambda: all(t.running == 0 for t in triggers))
    assert counters(trigger_of(engine, "throws")) == (1, 1, 0, 1)
    assert trigger_of(engine, "throws").last_error == "Error: x"
    assert trigger_of(engine, "throws").last_error_line == 2
    assert counters(trigger_of(engine, "call")) == (1, 1, 0, 1)
    assert counters(trigger_of(engine, "caught")) == (1, 1, 1, 0)
    assert (
        engine.execute("GET", "caught")
        == b"ERR value is not an integer or out of range"
    )


def test_a_promise_that_settles_later(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', (client, data) =>
    client.executeAsync(async c => {
        c.block(c => c.call('set', 'later', '1'));
        if (data.key == 'kbad') throw 'rejected';
    }));"""
    )
    engine.execute("SET", "k", "v")
    engine.execute("SET", "kbad", "v")
    trigger = trigger_of(engine, "t")
    eventually(lambda: trigger.running == 0)
    assert counters(trigger) == (2, 2, 1, 1)
    assert trigger.last_error == "rejected"


def test_a_block_is_one_unit_put_down_to_the_trigger(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', async (client) => {
    client.block(c => { c.call('set', 'a', '1'); c.call('set', 'b', '2'); });
});"""
    )
    batches = []
    engine.core.sinks.append(batches.append)
    engine.core.sinks_changed()
    engine.execute("SET", "k", "v")
    eventually(lambda: len(batches) == 2)
    assert [[args[0] for _, args in batch] for batch in batches] == [
        [b"SET"],
        [b"MULTI", b"set", b"set", b"EXEC"],
    ]
    entry = engine.core.notifications.entries()[-1]
    assert (entry.key, entry.origin, entry.depth) == (b"b", "trigger", 1)
    assert engine.core.frame.origin == "client"


def test_block_is_refused(engine, load) -> None:
    load(
        """let last = '';
redis.registerAsyncFunction('block', async (client, outside) => {
    try { return client.block(c => c.call('set', 'k', 'v')); } catch (e) { return e; }
});
redis.registerAsyncFunction('free', async (client) => client.block(c => c.call('exists', 'k')),
    {flags: ['no-writes']});
redis.registerAsyncFunction('twice', async (client) => {
    try { client.block(() => client.block(() => 1)); } catch (e) { return e; }
});"""
    )
    engine.library_registry.out_of_memory = lambda: True
    assert error_of(engine.execute, "TFCALLASYNC", "lib.block", 0) == (
        "OOM can not run the function when out of memory"
    )
    assert engine.execute("TFCALLASYNC", "lib.free", 0) == 0
    engine.library_registry.out_of_memory = lambda: False
    assert (
        engine.execute("TFCALLASYNC", "lib.twice", 0)
        == b"Main thread is already blocked"
    )


def test_block_of_a_trigger_is_refused_when_out_of_memory(engine, load) -> None:
    load(
        """redis.registerKeySpaceTrigger('t', 'k', async (client) => {
    client.block(c => c.call('set', 'x', '1'));
});"""
    )
    engine.library_registry.out_of_memory = lambda: True
    engine.execute("SET", "k", "v")
    trigger = trigger_of(engine, "t")
    eventually(lambda: trigger.running == 0)
    assert trigger.last_error == "Can not lock Redis, OOM Can not lock redis for write"


def test_block_times_out(engine, load) -> None:
    engine.execute("TCONFIG_SET", "lock-redis-timeout", "100")
    library = load(
        """redis.registerAsyncFunction('hang', async (client) => {
    client.block(c => { c.call('set', 'k', 'v'); while (true); });
});
redis.registerAsyncFunction('f', async (client) => client.block(c => c.call('get', 'k')));"""
    )
    assert error_of(engine.execute, "TFCALLASYNC", "lib.hang", 0) == (
        "Err Execution was terminated due to OOM or timeout"
    )
    assert library.functions["hang"].failures == 1
    assert engine.core.nesting == 0
    assert engine.execute("TFCALLASYNC", "lib.f", 0) == b"v"


GOING = """redis.registerAsyncFunction('wait', async (client) => {
    try { while (client.block(c => c.call('exists', 'go')) == 0) {} }
    catch (e) { return e; }
});"""


def test_background_work_of_a_deleted_library(engine, load) -> None:
    library = load(GOING)
    replies = []
    thread = threading.Thread(
        target=lambda: replies.append(engine.execute("TFCALLASYNC", "lib.wait", 0))
    )
    thread.start()
    eventually(lambda: library.functions["wait"].calls == 1)
    engine.execute("TFUNCTION", "DELETE", "lib")
    thread.join(10)
    assert replies == [b"Function were unregistered"]
    eventually(lambda: not engine.library_registry._retired)


def test_closing_ends_waiting_clients(engine, load) -> None:
    load("redis.registerAsyncFunction('never', () => new Promise(() => {}));")
    replies = []

    def call() -> None:
        replies.append(error_of(engine.execute, "TFCALLASYNC", "lib.never", 0))

    thread = threading.Thread(target=call)
    thread.start()
    eventually(
        lambda: engine.library_registry.libraries["lib"].functions["never"].calls
    )
    engine.close()
    thread.join(10)
    assert len(replies) == 1


def test_many_blocks_beside_a_busy_main_thread(engine, load) -> None:
    load(
        """redis.registerAsyncFunction('work', async (client) => {
    for (let i = 0; i < 50; i++) client.block(c => c.call('incr', 'background'));
    return 'done';
});
redis.registerKeySpaceTrigger('t', 'k', c => { c.call('incr', 'foreground'); });"""
    )
    replies = []
    threads = [
        threading.Thread(
            target=lambda: replies.append(engine.execute("TFCALLASYNC", "lib.work", 0))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    written = 0
    while any(thread.is_alive() for thread in threads):
        engine.execute("SET", "k", "v")
        written += 1
    assert replies == [b"done"] * 3
    assert engine.execute("GET", "background") == b"150"
    assert engine.execute("GET", "foreground") == b"%d" % written
