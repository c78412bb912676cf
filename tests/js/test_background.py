"""Coroutines: block, executeAsync, callAsync, cluster functions, and the lock."""

from __future__ import annotations

import threading
import time

import pytest

from js.fakes import FakeHost, Library
from trignb.errors import ResponseError
from trignb.js.runtime import TERMINATED, JsError, JsTerminated


def eventually(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


ASYNC = """
const nap = (ms) => { const end = Date.now() + ms; while (Date.now() < end); };
redis.registerAsyncFunction('incr', async (c, k) => c.block(l => l.call('incr', k)));
redis.registerAsyncFunction('many', async (c, k, n) => {
    for (let i = 0; i < n; i++) { c.block(l => l.call('incr', k)); await null; }
    return 'done';
});
redis.registerAsyncFunction('throws', async () => { throw new Error('no') });
redis.registerAsyncFunction('sync', () => 5);
redis.registerAsyncFunction('syncThrows', () => { throw 'at once' });
redis.registerAsyncFunction('never', () => new Promise(() => 1));
redis.registerAsyncFunction('nap', async (c, ms) => { nap(Number(ms)); return ms });
redis.registerAsyncFunction('args', async (c, ...args) => args);
redis.registerAsyncFunction('cyclic', async () => { const a = []; a.push(a); return a });
redis.registerAsyncFunction('logs', async () => ({get x() { redis.log('in'); return 1 }}));
redis.registerFunction('now', (c, k) => c.call('incr', k));
redis.registerFunction('nested', (c) => c.call('nested'));
"""


@pytest.fixture
def library(load):
    return load(ASYNC)


def test_results(library, host):
    assert library.run("incr", b"n") == 1
    assert library.run("sync") == 5
    assert library.run("args", b"a", "é".encode()) == [b"a", "é".encode()]
    assert library.run("many", b"n", b"50") == b"done"
    assert host.data[b"n"] == 51
    eventually(lambda: len(host.jobs) == 4)
    assert all(job.done for job in host.jobs)


def test_raw_arguments(load, host):
    library = load(
        """redis.registerAsyncFunction('f', async (c, a) =>
            c.block(l => l.callRaw('set', 'k', a)))"""
    )
    with host.lock:
        job = library.runtime.start(library["f"].callback, "user", [b"\xff"], raw=True)
    job.result(5)
    assert host.data[b"k"] == b"\xff"
    with pytest.raises(ResponseError, match="^Can not convert argument to string$"):
        library.start("f", b"\xff")


def test_large_values(library, host):
    large, wide = b"x" * 3_000_000, "é".encode() * 500_000
    assert library.run("args", large, wide, b"") == [large, wide, b""]
    jobs = [library.start("args", large, b"%d" % i) for i in range(5)]
    assert [job.result(10) for job in jobs] == [[large, b"%d" % i] for i in range(5)]


def test_errors(library):
    with pytest.raises(JsError, match="^Error: no$") as caught:
        library.run("throws")
    assert caught.value.line == 9
    with pytest.raises(JsError, match="^at once$"):
        library.run("syncThrows")
    with pytest.raises(JsError, match="^nesting level reached$"):
        library.run("cyclic")


def test_getters_of_results_may_log(library, host):
    assert library.run("logs") == {b"x": 1}
    eventually(lambda: host.logs == ["in"])


def test_callbacks_of_jobs(library):
    done = []
    job = library.start("nap", b"50")
    job.add_done_callback(
        lambda job: done.append((job.value, threading.current_thread()))
    )
    assert job.result(5) == b"50"
    eventually(lambda: done)
    assert done[0][0] == b"50"
    assert done[0][1] is not threading.current_thread()
    job.add_done_callback(done.append)
    assert done[1] is job


def test_jobs_that_are_not_done(library):
    job = library.start("never")
    with pytest.raises(TimeoutError):
        job.result(0.05)
    library.runtime.dispose()
    with pytest.raises(JsTerminated) as caught:
        job.result(5)
    assert caught.value.reason == "the library was unloaded"


def test_pending_jobs(library, host):
    with host.lock:
        jobs = [library.start("nap", b"20") for _ in range(5)]
        time.sleep(0.01)
        assert 3 <= library.runtime.pending_jobs <= 5
    for job in jobs:
        job.result(5)
    assert library.runtime.pending_jobs == 0


def test_jobs_run_in_order(load, host):
    library = load(
        """const order = [];
        redis.registerAsyncFunction('f', async (c, n) => { order.push(n); });
        redis.registerFunction('order', () => order);"""
    )
    with host.lock:
        jobs = [library.start("f", b"%d" % i) for i in range(20)]
    for job in jobs:
        job.result(5)
    assert library.call("order") == [b"%d" % i for i in range(20)]


def test_starting_does_not_wait_for_background_code(library):
    library.start("nap", b"300")
    started = time.monotonic()
    jobs = [library.start("incr", b"n") for _ in range(3)]
    assert time.monotonic() - started < 0.1
    assert [job.result(5) for job in jobs] == [1, 2, 3]


# block --------------------------------------------------------------------------------


def test_block(load, host):
    library = load(
        """redis.registerAsyncFunction('f', async (c) => {
            const first = c.block(l => { l.call('incr', 'n'); return l.isBlockAllowed() });
            let thrown;
            try { c.block(() => { throw {mine: 1} }) } catch (e) { thrown = e.mine }
            let failed;
            try { c.block(l => l.call('fail')) } catch (e) { failed = e }
            return [first, thrown, failed];
        })"""
    )
    assert library.run("f") == [True, 1, b"WRONGTYPE Operation against a key"]
    assert host.blocks == ["user", ("block", "user")] * 3
    assert host.calls[0][0].origin == ("block", "user")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("c.block()", "Argument to 'block' must be a function"),
        ("c.block(1)", "Argument to 'block' must be a function"),
        ("c.block(() => c.block(() => 1))", "Main thread is already blocked"),
        ("c.block(() => ({get x() { return c.block(() => 1) }}).x)", "Main thread is already blocked"),
    ],
)  # fmt: skip
def test_refused_blocks(load, code, text):
    library = load(
        f"""redis.registerAsyncFunction('f', async (c) => {{
            try {{ return {code} }} catch (e) {{ return e }}
        }})"""
    )
    assert library.run("f") == text.encode()


def test_block_inside_sync_code(load):
    library = load(
        """let saved;
        redis.registerAsyncFunction('keep', async (c) => { saved = c; });
        redis.registerFunction('f', () => saved.block(() => 1));
        redis.registerFunction('getter', () => ({get x() { return saved.block(() => 1) }}));"""
    )
    library.run("keep")
    for name in ("f", "getter"):
        with pytest.raises(JsError, match="^Main thread is already blocked$"):
            library.call(name)


def test_block_refused_by_the_host(load, host):
    host.refuse_block = "Can not lock Redis, OOM Can not lock redis for write"
    library = load(
        """redis.registerAsyncFunction('f', async (c) => {
            try { c.block(() => 1) } catch (e) { return [typeof e, e] }
        })"""
    )
    assert library.run("f") == [b"string", host.refuse_block.encode()]


def test_async_functions_in_block(load):
    library = load(
        """redis.registerAsyncFunction('f', async (c) => c.block(async l => {
            const before = l.call('incr', 'n');
            await null;
            try { l.call('incr', 'n') } catch (e) { return [before, e] }
        }))"""
    )
    assert library.run("f") == [1, b"Main thread is not locked"]


def test_what_leaves_block_happens_before_javascript_goes_on(load, host):
    order = []
    library = load(
        """redis.registerAsyncFunction('f', async (c) => {
            c.block(l => l.call('note', 'inside')); redis.log('after');
        })
        redis.registerFunction('job', (c) => c.call('note', 'job'));"""
    )
    host.commands[b"note"] = lambda text: order.append(text)
    host.log = lambda text: order.append(text)

    def leave(section):
        time.sleep(0.02)
        library.call("job")

    host.leave_block = leave
    library.run("f")
    assert order == [b"inside", b"job", "after"]


def test_block_that_takes_too_long_can_be_caught(load, host):
    host.block_ms = 100
    library = load(
        """redis.registerAsyncFunction('f', async (c) => {
            try { c.block(l => { while (true) l.call('incr', 'n') }) }
            catch (e) { return e }
        })"""
    )
    assert library.run("f") == b"Err Execution was terminated due to OOM or timeout"
    assert host.lost == []
    assert host.data[b"n"] > 10


NEVER_ENDS = {
    "loop": "while (true);",
    "caught": "for (;;) try { while (true); } catch {} finally { while (true); }",
    "commands": "while (true) l.call('incr', 'n');",
    "caught commands": "for (;;) try { l.call('incr', 'n') } catch {}",
    "failing commands": "for (;;) try { l.call('fail') } catch {}",
    "raw commands": "for (;;) try { l.callRaw('get', 'n') } catch {}",
    "log": "for (;;) redis.log('x')",
    "getter": "return ({get x() { while (true); }}).x",
    "generator": "for (const x of (function* () { for (;;) yield 1 })());",
    "recursion": "const f = () => { try { f() } finally { f() } }; f()",
    "regexp": "/(a+)+$/.test('a'.repeat(50) + 'b')",
}  # fmt: skip


@pytest.mark.parametrize("before", ["", "await null;"])
@pytest.mark.parametrize("loop", NEVER_ENDS.values(), ids=NEVER_ENDS)
def test_block_that_does_not_end(load, host, before, loop):
    """It is ended and throws a string; the coroutine goes on with what it has."""
    host.block_ms = 100
    library = load(
        f"""let kept = 0, late = 0;
        redis.registerAsyncFunction('f', async (c) => {{
            {before} kept++;
            try {{ c.block(l => {{ try {{ {loop} }} finally {{ late++ }} }}) }} catch (e) {{
                return [e, kept, c.block(l => l.call('incr', 'after'))];
            }}
        }});
        redis.registerFunction('after', () => [kept, late]);"""
    )
    for i in (1, 2):
        started = time.monotonic()
        assert library.run("f") == [TERMINATED.encode(), i, i]
        assert time.monotonic() - started < 3
    assert host.lost == []
    assert library.call("after") == [2, 0]


def test_block_that_does_not_end_and_is_not_caught(load, host):
    host.block_ms = 100
    library = load(
        "redis.registerAsyncFunction('f', async (c) => c.block(() => { while (true); }));"
    )
    with pytest.raises(JsError, match=f"^{TERMINATED}$"):
        library.run("f")
    assert host.blocks == ["user", ("block", "user")]


def test_a_run_within_block_that_does_not_end(load, host):
    """What it ran in goes with it, up to block()."""
    host.block_ms = 5000
    library = load(
        """redis.registerAsyncFunction('f', async (c) => {
            try { c.block(l => { try { l.call('nested') } catch {} while (true); }) }
            catch (e) { return e }
        });
        redis.registerFunction('hang', () => { while (true); });
        redis.registerFunction('after', () => 1);"""
    )

    def nested():
        library.timeout_ms = 100
        return library.call("hang")

    host.commands[b"nested"] = nested
    assert library.run("f") == TERMINATED.encode()
    assert library.call("after") == 1


def test_other_coroutines_survive_a_block_that_does_not_end(load, host):
    host.block_ms = 100
    library = load(
        """let wake; redis.registerAsyncFunction('sleep', async () => {
            await new Promise((resolve) => { wake = resolve }); return 'woken' });
        redis.registerAsyncFunction('f', async (c) => {
            await null; try { c.block(() => { while (true); }) } catch { wake(1) } return 'f'; });"""
    )
    sleeper = library.start("sleep")
    assert library.run("f") == b"f"
    assert sleeper.result(5) == b"woken"


# The lock -----------------------------------------------------------------------------


def test_sync_code_while_a_coroutine_waits_for_the_lock(library, host):
    """Two triggers, one with a nested one, run on top of the waiting coroutine."""
    host.commands[b"nested"] = lambda: library.call("now", b"n")
    with host.lock:
        job = library.start("incr", b"n")
        time.sleep(0.1)
        assert library.call("now", b"n") == 1
        assert library.call("nested") == 2
        assert not job.done
    assert job.result(5) == 3


def test_a_failing_run_while_a_coroutine_waits(load, host):
    library = load(
        ASYNC
        + """redis.registerFunction('bad', () => { throw new Error('bad') });
        redis.registerFunction('promise', async_());
        function async_() { return () => Promise.resolve(1) }"""
    )
    with host.lock:
        job = library.start("incr", b"n")
        time.sleep(0.1)
        with pytest.raises(JsError, match="bad"):
            library.call("bad")
        promise = library.call("promise")
    assert job.result(5) == 1
    assert promise.result(5) == 1


@pytest.mark.parametrize("before", ["", "await null;"])
def test_a_stuck_run_while_a_coroutine_waits(load, host, before):
    library = load(
        f"""redis.registerAsyncFunction('f', async (c) => {{
            {before} return c.block(l => l.call('incr', 'n'))
        }});
        redis.registerFunction('stuck', () => {{ while (true); }});
        redis.registerFunction('after', () => 1);"""
    )
    library.timeout_ms = 200
    with host.lock:
        job = library.start("f")
        time.sleep(0.1)
        with pytest.raises(JsTerminated):
            library.call("stuck")
        assert library.call("after") == 1
    assert job.result(5) == 1
    assert library.run("f") == 2


def test_many_coroutines_and_triggers(library, host):
    with host.lock:
        jobs = [library.start("many", b"n", b"20") for _ in range(40)]
    runs = 0
    while not all(job.done for job in jobs):
        with host.lock:
            library.call("now", b"m")
        runs += 1
        time.sleep(0.0005)
    assert host.data[b"n"] == 800
    assert host.data[b"m"] == runs


def test_background_code_that_computes_delays_sync_code_only(library):
    job = library.start("nap", b"200")
    time.sleep(0.05)
    started = time.monotonic()
    assert library.call("now", b"n") == 1
    assert 0.05 < time.monotonic() - started < 1
    assert job.result(5) == b"200"


def test_background_code_that_never_ends(load, host):
    library = load(
        """redis.registerAsyncFunction('f', async () => { while (true); });
        redis.registerAsyncFunction('g', async () => { await null; while (true); });
        redis.registerFunction('after', () => 1);"""
    )
    library.timeout_ms = 200
    for name, text in (("f", TERMINATED), ("g", "Promise was dropped without been")):
        job = library.start(name)
        time.sleep(0.05)
        # It waits for as long as it may run, then the other gives way.
        assert library.call("after") == 1
        with pytest.raises((JsError, JsTerminated), match=f"^{text}"):
            job.result(5)
        assert library.call("after") == 1
    assert host.lost == []


def test_heap_statistics_while_a_coroutine_waits(library, host):
    assert library.runtime.heap_statistics().used > 0
    with host.lock:
        job = library.start("incr", b"n")
        time.sleep(0.05)
        started = time.monotonic()
        assert library.runtime.heap_statistics().used > 0
        assert time.monotonic() - started < 1
    assert job.result(5) == 1


# executeAsync, callAsync --------------------------------------------------------------


def test_execute_async(load, host):
    library = load(
        """redis.registerFunction('f', (c) => {
            const promise = c.executeAsync(async (a) => a.block(l => l.call('incr', 'n')));
            c.call('set', 'before', String(typeof promise.then));
            return promise;
        })"""
    )
    assert library.call("f").result(5) == 1
    assert host.data[b"before"] == b"function"
    assert host.blocks == ["user", ("block", "user")]


def test_the_promise_of_a_job_that_was_terminated(load, host):
    """It is rejected: nobody else is going to settle it."""
    host.block_ms = 100
    library = load(
        """redis.registerFunction('f', (client) => client.executeAsync(
            async (a) => a.block(() => { while (true); })));
        redis.registerFunction('after', () => 1);"""
    )
    job = library.call("f")
    with pytest.raises(JsError, match="^Err Execution was terminated due to OOM or ti"):
        job.result(5)
    assert host.lost == []
    assert library.call("after") == 1
    assert library.runtime.pending_jobs == 0


@pytest.mark.parametrize("argument", ["", "1", "() => 1"])
def test_execute_async_wants_an_async_function(evaluate, argument):
    with pytest.raises(JsError) as caught:
        evaluate(f"client.executeAsync({argument})")
    assert (
        str(caught.value)
        == "First argument to 'executeAsync' must be an async function"
    )


def test_call_async_that_waits(load, host):
    library = load(
        """redis.registerFunction('f', (c) => c.callAsync('wait', 'k'));
        redis.registerFunction('raw', (c) => c.callAsyncRaw('wait', 'k'));
        redis.registerFunction('caught', (c) => (async () => {
            try { return await c.callAsync('wait', 'k') } catch (e) { return [typeof e, e] }
        })());"""
    )
    jobs = [library.call(name) for name in ("f", "f", "raw", "caught", "f")]
    first, second, raw, caught, bad = host.waiting
    second(b"two")
    assert jobs[1].result(5) == b"two"
    assert not jobs[0].done
    first({b"a": [1, None]})
    assert jobs[0].result(5) == {b"a": [1, None]}
    raw(b"\xff")
    assert jobs[2].result(5) == b"\xff"
    caught(ResponseError("ERR later"))
    assert jobs[3].result(5) == [b"string", b"ERR later"]
    bad(b"\xff")
    with pytest.raises(JsError, match="^Could not decode value as string$"):
        jobs[4].result(5)


def test_call_async_that_fails(load):
    library = load(
        """redis.registerFunction('f', (c) => c.callAsync('fail'));
        redis.registerFunction('caught', (c) => c.callAsync('fail').catch(e => 'caught ' + e));"""
    )
    with pytest.raises(JsError, match="^WRONGTYPE"):
        library.call("f").result(5)
    assert library.call("caught").result(5).startswith(b"caught WRONGTYPE")


def test_replies_after_the_library_is_gone(load, host):
    library = load("redis.registerFunction('f', (c) => c.callAsync('wait'))")
    job = library.call("f")
    library.runtime.dispose()
    host.waiting[0](b"late")
    with pytest.raises(JsTerminated):
        job.result(5)


def test_promises_nobody_can_settle(load, host):
    library = load(
        """redis.registerFunction('f', () => new Promise(() => 1));
        redis.registerFunction('garbage', () => { for (let i = 0; i < 1e5; i++) [i]; });"""
    )
    job = library.call("f")
    for _ in range(50):
        library.runtime._instance.channel.isolate.recover_memory()
        library.call("garbage")
        if job.done:
            break
        time.sleep(0.02)
    with pytest.raises(JsError, match="^Promise was dropped without been resolved"):
        job.result(0)


# Cluster functions --------------------------------------------------------------------


CLUSTER = """
redis.registerClusterFunction('echo', async (c, ...args) => args);
redis.registerClusterFunction('buffer', async (c, b) => b);
redis.registerClusterFunction('throws', async () => { throw new Error('no') });
redis.registerClusterFunction('nothing', async () => undefined);
redis.registerClusterFunction('big', async () => 1n);
redis.registerClusterFunction('blocks', async (c) => c.block(() => 'x'));
redis.registerClusterFunction('never', async () => new Promise(() => 1));
"""


@pytest.mark.parametrize(
    ("code", "reply"),
    [
        ("c.runOnKey('k', 'echo', 'a', 1, {b: [null]})", [b"a", 1, {b"b": [None]}]),
        ("c.runOnKey(new ArrayBuffer(1), 'buffer', new ArrayBuffer(2))", b"\0\0"),
        ("c.runOnKey('k', 'throws')", "Error: no"),
        ("c.runOnKey('k', 'absent')", "Remote function absent does not exists on library lib"),
        ("c.runOnKey('k', 'toString')", "Remote function toString does not exists on library lib"),
        ("c.runOnKey('k', 'nothing')", "Failed deserializing remote function result"),
        ("c.runOnKey('k', 'big')", "Failed serializing result, TypeError: Do not know how to serialize a BigInt."),
        ("c.runOnKey('k', 'echo', 1n)", "Failed serializing arguments"),
        ("c.runOnKey('k', 'echo', undefined)", "Failed deserializing remote function argument"),
        (
            "c.runOnKey(1, 'echo')",
            ("Can not convert value at position 0 into V8RedisCallArgs."
             " Can not convert value into bytes buffer."),
        ),
        ("c.runOnKey('k', 1)", "Can not convert value at position 1 into V8LocalUtf8. Value is not string."),
        ("c.runOnShards('echo', 'a')", [[[b"a"]], []]),
        ("c.runOnShards('throws')", [[], [b"Error: no"]]),
        ("c.runOnShards('nothing')", [[], [b"Failed deserializing remote function result 'undefined'"]]),
        ("c.runOnKey('k', 'blocks')", b"x"),
    ],
)  # fmt: skip
def test_cluster_functions(load, host, code, reply):
    library = load(CLUSTER + f"redis.registerAsyncFunction('f', async (c) => {code})")
    if isinstance(reply, str):
        with pytest.raises(JsError) as caught:
            library.run("f")
        assert str(caught.value) == reply
    else:
        assert library.run("f") == reply
    if "blocks" in code:
        assert host.blocks[0] == ("cluster", "user")


def test_shards_that_do_not_answer(load, host):
    host.remote_ms = 50
    library = load(
        CLUSTER
        + "redis.registerAsyncFunction('f', async (c) => c.runOnShards('never'))"
    )
    assert library.run("f") == [[], [b"Timeout"]]


def test_origins_are_inherited(load, host):
    library = load(
        """redis.registerFunction('f', (c) => c.executeAsync(async (a) => {
            a.block(l => { l.executeAsync(async (b) => { b.block(() => 1) }) });
        }))"""
    )
    library.call("f").result(5)
    eventually(lambda: len(host.blocks) == 4)
    origins = [host.blocks[0], host.blocks[2]]
    assert origins == ["user", ("block", "user")]


def test_jobs_end_when_the_host_fails(monkeypatch):
    class Failing(FakeHost):
        def job_done(self, job):
            raise RuntimeError("a bug in the host")

    seen = []
    monkeypatch.setattr(
        threading, "excepthook", lambda args: seen.append(args.exc_value)
    )
    library = Library(Failing(), ASYNC)
    assert library.run("sync") == 5
    assert library.run("sync") == 5
    eventually(lambda: len(seen) == 2)
    library.runtime.dispose()
    assert isinstance(seen[0], RuntimeError)
